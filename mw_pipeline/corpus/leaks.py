"""What must not be trained on, nor choose a checkpoint: rows whose family or text is held out or is gold.

They are found by exact joins over all shards. Splitting by family keeps the variants of one address together, but a
short text such as "Paris, France" is a variant of many families, and two sources may hold one address under two ids.
Such rows are listed for exclusion, held-out first; but a text of closed words alone ("Vermont, USA") is taught, and its
held-out rows are left out: what is tested on may take no such word from training (M65). So are rows that an earlier
source has letter for letter: every text counts once in a corpus, for the first of its sources in alphabetical order.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.corpus.census import bounded_connection, query
from mw_pipeline.records.text import hash64, normalised_text

BATCH_ROWS = 65_536
MAX_EXAMPLES = 5
GOLD = "golden"

_SPLIT_WORDS = {"train": "training", "validation": "validation"}

EXCLUSION_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("repeats", pa.string()),
    ]
)
"""`repeats` is the row of another source that stays instead, where that is the reason."""

_KEY_COLUMNS = ["row_id", "source", "split", "base_id"]
_CLOSED_TAGS = pa.array(["country", "region", "subregion"])

# Rows of a later split win: what is tested is neither validated nor trained on. Of texts that some row labels as closed
# words alone those of the first split win, where their family lets them stay.
_CONFLICTS = """
    with ranked as (select *, case split when 'train' then 0 when 'validation' then 1 else 2 end as rank from keys),
    families as (select base_id, max(rank) as family_top from ranked group by 1),
    texts as (
        select text_hash, max(rank) as text_top, bool_or(closed) as of_closed_words,
            min(rank) filter (rank = family_top) as text_bottom
        from ranked join families using (base_id) group by 1
    )
    select row_id, source, split, raw_hash, case
        when rank < 2 and text_hash in (select text_hash from gold_texts) then 'gold'
        when rank < 2 and base_id in (select base_id from gold_families) then 'gold'
        when rank < family_top then 'family_held_out'
        when of_closed_words and rank > text_bottom and text_hash not in (select text_hash from gold_texts)
            then 'text_is_taught'
        when not of_closed_words and rank < text_top then 'text_held_out'
    end as reason
    from ranked join texts using (text_hash) join families using (base_id)
"""

# Only rows that nothing else speaks against can stay, or give way: what they repeat is sure to be there.
_EXCLUDED = """
    with judged as (select * from conflicts),
    shared as (
        select raw_hash, min(source) as first_source, arg_min(row_id, source) as first_id
        from judged where reason is null group by 1 having min(source) <> max(source)
    )
    select row_id, source, split, coalesce(reason, 'other_source') as reason,
        case when reason is null then first_id end as repeats
    from judged left join shared using (raw_hash)
    where reason is not null or source <> first_source order by row_id
"""


def write_exclusions(
    files: Sequence[Path], path: Path, *, gold_texts: Sequence[str] = (), gold_families: Collection[str] = ()
) -> dict[str, int]:
    """Writes the rows to leave out as EXCLUSION_SCHEMA, ordered by id, and returns how many per reason.

    Reasons: `gold` (rows of training or validation that are gold), `family_held_out`, `text_held_out` (rows whose
    family or text stands in a later split), `text_is_taught` (held-out rows of countries, regions and départements
    alone, whose text an earlier split has), `other_source` (rows that an earlier source has letter for letter). But for
    the last, texts count as equal under `normalised_text`. Without these rows the checks below find nothing.
    """
    reasons = Counter[str]()
    with _keys(files, None, gold_texts, gold_families, path.parent) as connection:
        connection.execute(f"create table conflicts as {_CONFLICTS}")
        with pq.ParquetWriter(path, EXCLUSION_SCHEMA, compression="zstd") as writer:
            for batch in connection.sql(_EXCLUDED).to_arrow_reader(BATCH_ROWS):
                reasons.update(batch["reason"].to_pylist())
                writer.write_batch(batch.cast(EXCLUSION_SCHEMA))
    return dict(sorted(reasons.items()))


def exclusion_counts(exclusions: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Per source, how many of its rows are excluded for each reason, and how many repeat each other source."""
    listed = f"read_parquet({_quoted(exclusions)})"
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for key, column in (("excluded", "reason"), ("repeats", "split_part(repeats, ':', 1)")):
        grouped = f"select source, {column} as name, count(*) from {listed} where name is not null group by all"
        for source, name, rows in query(f"{grouped} order by all"):
            counts.setdefault(source, {"excluded": {}, "repeats": {}})[key][name] = rows
    return counts


def sources_share_no_text(files: Sequence[Path], exclusions: Path | None = None) -> list[str]:
    """Findings: texts that stand in more than one source letter for letter, excluded rows left aside."""
    with _keys(files, exclusions) as connection:
        shared = connection.execute(
            "select count(*) over (), min(row_id), max(row_id) from keys group by raw_hash "
            f"having count(distinct source) > 1 order by 2 limit {MAX_EXAMPLES}"
        ).fetchall()
    if not shared:
        return []
    examples = "; ".join(f"{first!r} and {last!r}" for _, first, last in shared)
    return [f"{shared[0][0]} of one text stand in several sources: {examples}"]


def splits_are_disjoint(files: Sequence[Path], exclusions: Path | None = None) -> list[str]:
    """Findings: families and normalised texts that stand in more than one split (M20), excluded rows left aside."""
    with _keys(files, exclusions) as connection:
        return [
            finding
            for key, name in (("base_id", "family"), ("text_hash", "text"))
            for finding in _shared(connection, key, name)
        ]


def golden_is_not_in_train(
    files: Sequence[Path],
    gold_texts: Sequence[str],
    gold_families: Collection[str] = (),
    exclusions: Path | None = None,
) -> list[str]:
    """Findings: training and validation rows that are gold rows but for case, accents and punctuation, or of a gold
    family (M21): a checkpoint that is chosen on gold has seen it too."""
    with _keys(files, exclusions, gold_texts, gold_families) as connection:
        found = connection.execute(
            "select split, count(*), list(row_id order by row_id)[:?] from keys where split <> 'test' "
            "and (text_hash in (select text_hash from gold_texts) or base_id in (select base_id from gold_families)) "
            "group by split order by split",
            [MAX_EXAMPLES],
        ).fetchall()
    return [
        f"{rows} {_SPLIT_WORDS[split]} rows are gold rows or of their families: {', '.join(map(repr, examples))}"
        for split, rows, examples in found
    ]


@dataclass(frozen=True)
class Overlap:
    """Rows of `first`, and how many of them have a counterpart in `second` by row id, by family and by text.

    `first` and `second` are splits, or "golden", whose rows have no id. A family is a base id; texts are compared as
    `normalised_text` has them."""

    first: str
    second: str
    rows: int
    row_ids: int | None
    families: int
    texts: int


def overlaps(
    files: Sequence[Path],
    gold_texts: Sequence[str] = (),
    gold_families: Collection[str] = (),
    exclusions: Path | None = None,
) -> list[Overlap]:
    """What every two of train, validation, test and gold have in common, by exact anti-joins, excluded rows left aside.

    The rows without a counterpart are counted, and those left over have one. Gold may repeat test rows: neither is
    trained on."""
    pairs = (*itertools.combinations(("train", "validation", "test"), 2), ("train", GOLD), ("validation", GOLD))
    with _keys(files, exclusions, gold_texts, gold_families) as connection:
        return [_overlap(connection, first, second) for first, second in (*pairs, ("test", GOLD))]


def _overlap(connection: duckdb.DuckDBPyConnection, first: str, second: str) -> Overlap:
    def alone(key: str) -> int:
        tables = {"text_hash": "gold_texts", "base_id": "gold_families"}
        other = tables[key] if second == GOLD else f"(select {key} from keys where split = '{second}')"
        counted = f"select count(*) from (select * from keys where split = '{first}') anti join {other} using ({key})"
        return int(connection.execute(counted).fetchall()[0][0])

    ((rows,),) = connection.execute("select count(*) from keys where split = ?", [first]).fetchall()
    row_ids = None if second == GOLD else rows - alone("row_id")
    return Overlap(first, second, rows, row_ids, rows - alone("base_id"), rows - alone("text_hash"))


def _shared(connection: duckdb.DuckDBPyConnection, key: str, name: str) -> list[str]:
    shared = connection.execute(
        f"select count(*) over (), list(distinct split order by split), min(row_id), max(row_id) from keys "
        f"group by {key} having count(distinct split) > 1 order by 3 limit {MAX_EXAMPLES}"
    ).fetchall()
    if not shared:
        return []
    examples = "; ".join(f"{first!r} and {last!r} ({', '.join(splits)})" for _, splits, first, last in shared)
    return [f"{shared[0][0]} of one {name} stand in several splits: {examples}"]


@contextmanager
def _keys(
    files: Sequence[Path],
    exclusions: Path | None,
    gold_texts: Sequence[str] = (),
    gold_families: Collection[str] = (),
    folder: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the tables keys, gold_texts and gold_families; what it keeps in `folder` is removed after."""
    with tempfile.TemporaryDirectory(dir=folder) as kept, bounded_connection(Path(kept)) as connection:
        reader = pa.RecordBatchReader.from_batches(_key_schema(), _key_batches(files))
        connection.register("stream", reader)
        connection.execute("create table keys as select * from stream")
        if exclusions is not None:
            excluded = f"select row_id from read_parquet({_quoted(exclusions)})"
            connection.execute(f"delete from keys where row_id in ({excluded})")
        hashes = hash64(normalised_text(pa.array(list(gold_texts), pa.string())))
        connection.register("gold_texts", pa.table({"text_hash": pa.array(hashes, pa.uint64())}))
        connection.register("gold_families", pa.table({"base_id": pa.array(list(gold_families), pa.string())}))
        yield connection


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _key_schema() -> pa.Schema:
    return pa.schema(
        [
            *((name, pa.string()) for name in _KEY_COLUMNS),
            *(("text_hash", pa.uint64()), ("raw_hash", pa.uint64()), ("closed", pa.bool_())),
        ]
    )


def _key_batches(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=[*_KEY_COLUMNS, "raw", "span_tags"]):
                hashes = [pa.array(hash64(text), pa.uint64()) for text in (normalised_text(batch["raw"]), batch["raw"])]
                named = (batch[name] for name in _KEY_COLUMNS)
                yield pa.record_batch([*named, *hashes, _of_closed_words(batch["span_tags"])], schema=_key_schema())


def _of_closed_words(tags: pa.ListArray) -> pa.BooleanArray:
    """Rows that have spans, and none but those of countries, regions and départements."""
    open_spans = pc.invert(pc.is_in(pc.list_flatten(tags), value_set=_CLOSED_TAGS)).cast(pa.int64())
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(open_spans.to_numpy())])
    ends = np.cumsum(pc.list_value_length(tags).to_numpy())
    begins = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(ends)]
    return pa.array((before[ends] == before[begins]) & (ends > begins))
