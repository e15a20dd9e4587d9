"""What must not be trained on, nor choose a checkpoint: rows whose family or text is held out or is gold.

They are found by exact joins over all shards. Splitting by family keeps the variants of one address together, but a
short text such as "Paris, France" is a variant of many families, and two sources may hold one address under two ids.
Such rows are listed for exclusion, held-out first; but a text of closed words alone ("Vermont, USA") is taught, and its
held-out rows are left out: what is tested on may take no such word from training (M65). So are rows that an earlier
source has letter for letter: every text counts once in a corpus, for the first of its sources in alphabetical order.

All of it is joins of the keys that lie beside the shards (`corpus.keys`): each reads the keys that it compares, once or
twice, and holds in memory what stands on both sides, as far as it may; the rest is spilled.
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
import pyarrow as pa

from mw_pipeline.corpus.census import BATCH_ROWS, bounded_connection, query, rows_in
from mw_pipeline.corpus.exclusions import write_excluded
from mw_pipeline.corpus.keys import hashed, text_keys
from mw_pipeline.errors import CorpusError

MAX_EXAMPLES = 5
GOLD = "golden"

_SPLIT_WORDS = {"train": "training", "validation": "validation"}

# Rows of a later split win: what is tested is neither validated nor trained on. Of texts that some row labels as closed
# words alone those of the first split win, where their family lets them stay. Only what stands in two splits matters,
# which is little: it is what the rest is joined with.
_CONFLICTS = (
    """create view ranked as select *, case split when 'train' then 0 when 'validation' then 1 else 2 end as rank,
    parse_filename(filename) as part from keys""",
    """create table families as select family, max(rank) as family_top from ranked
    group by 1 having min(rank) <> max(rank)""",
    """create table split_texts as select text, max(rank) as text_top, bool_or(closed) as of_closed_words from ranked
    group by 1 having min(rank) <> max(rank)""",
    """create table texts as select text, any_value(text_top) as text_top,
    any_value(of_closed_words) as of_closed_words, min(rank) filter (rank = coalesce(family_top, rank)) as text_bottom
    from ranked join split_texts using (text) left join families using (family) group by 1""",
    """create table conflicts as select row_id, source, part, split, case
        when rank < 2 and text in (select text from gold_texts) then 'gold'
        when rank < 2 and family in (select family from gold_families) then 'gold'
        when rank < family_top then 'family_held_out'
        when of_closed_words and rank > text_bottom and text not in (select text from gold_texts)
            then 'text_is_taught'
        when not of_closed_words and rank < text_top then 'text_held_out'
    end as reason
    from ranked left join texts using (text) left join families using (family) where reason is not null""",
)

# Only rows that nothing else speaks against can stay, or give way: what they repeat is sure to be there. A source has
# no text twice, so one row of the first source has it, and as many rows are kept as there are firsts.
_REPEATS = (
    "create table shared as select raw from keys group by 1 having min(source) <> max(source)",
    """create table rivals as select row_id, source, part, split, raw from ranked semi join shared using (raw)
    anti join conflicts using (row_id)""",
    """create table firsts as select raw, min(source) as source from rivals group by 1
    having min(source) <> max(source)""",
    "create table kept as select raw, source, row_id from rivals semi join firsts using (raw, source)",
    """create table repeats as select rivals.row_id, rivals.source, part, split, kept.row_id as repeats
    from rivals join kept using (raw) where rivals.source <> kept.source""",
)

_EXCLUDED = """
    select row_id, source::varchar as source, part, split, reason, null as repeats from conflicts union all
    select row_id, source::varchar, part, split, 'other_source', repeats from repeats order by source, part, row_id
"""


def write_exclusions(
    keys: Sequence[Path], path: Path, *, gold_texts: Sequence[str] = (), gold_families: Collection[str] = ()
) -> dict[str, int]:
    """Writes the rows to leave out as EXCLUSION_SCHEMA, by source and shard, and returns how many per reason.

    `keys` are the files of keys of all shards. Reasons: `gold` (rows of training or validation that are gold),
    `family_held_out`, `text_held_out` (rows whose family or text stands in a later split), `text_is_taught` (held-out
    rows of countries, regions and départements alone, whose text an earlier split has), `other_source` (rows that an
    earlier source has letter for letter). But for the last, texts count as equal under `normalised_text`. Without these
    rows the checks below find nothing. Raises CorpusError for a source that has one of the texts twice.
    """
    reasons = Counter[str]()
    with _joined(keys, None, gold_texts, gold_families, path.parent) as connection:
        for step in (*_CONFLICTS, *_REPEATS):
            connection.execute(step)
        _demand_one_of_each(connection)

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in connection.sql(_EXCLUDED).to_arrow_reader(BATCH_ROWS):
                reasons.update(batch["reason"].to_pylist())
                yield batch

        write_excluded(path, counted())
    return dict(sorted(reasons.items()))


def _demand_one_of_each(connection: duckdb.DuckDBPyConnection) -> None:
    (more,) = connection.execute("select (select count(*) from kept) - (select count(*) from firsts)").fetchall()[0]
    if not more:
        return
    source, first, last = connection.execute(
        "select source::varchar, min(row_id), max(row_id) from kept group by raw, source having count(*) > 1 "
        "order by 2 limit 1"
    ).fetchall()[0]
    raise CorpusError(
        f"source {source!r} has one text in several rows, as in {first!r} and {last!r}: what others repeat of it would "
        f"be counted {more:,} times too often. Delete its corpus_shards and materialize them again."
    )


def exclusion_counts(exclusions: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Per source, how many of its rows are excluded for each reason, and how many repeat each other source."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for key, column in (("excluded", "reason"), ("repeats", "split_part(repeats, ':', 1)")):
        grouped = f"select source, {column} as name, count(*) from {rows_in([exclusions])} where name is not null"
        for source, name, rows in query(f"{grouped} group by all order by all"):
            counts.setdefault(source, {"excluded": {}, "repeats": {}})[key][name] = rows
    return counts


def excluded_training_rows(exclusions: Path) -> dict[str, int]:
    """Source → how many rows of its training split are left out."""
    counted = f"select source, count(*) from {rows_in([exclusions])} where split = 'train' group by 1"
    return dict(query(counted))


def sources_share_no_text(keys: Sequence[Path], exclusions: Path | None = None) -> list[str]:
    """Findings: texts that stand in more than one source letter for letter, excluded rows left aside."""
    with _joined(keys, exclusions) as connection:
        shared = _shared(connection, "raw", "source")
    if not shared:
        return []
    examples = "; ".join(f"{first!r} and {last!r}" for _, _, first, last in shared)
    return [f"{shared[0][0]} of one text stand in several sources: {examples}"]


def splits_are_disjoint(keys: Sequence[Path], exclusions: Path | None = None) -> list[str]:
    """Findings: families and normalised texts that stand in more than one split (M20), excluded rows left aside."""
    findings = []
    with _joined(keys, exclusions) as connection:
        for key, name in (("family", "family"), ("text", "text")):
            if shared := _shared(connection, key, "split"):
                examples = (f"{first!r} and {last!r} ({', '.join(splits)})" for _, splits, first, last in shared)
                findings.append(f"{shared[0][0]} of one {name} stand in several splits: {'; '.join(examples)}")
    return findings


def golden_is_not_in_train(
    keys: Sequence[Path],
    gold_texts: Sequence[str],
    gold_families: Collection[str] = (),
    exclusions: Path | None = None,
) -> list[str]:
    """Findings: training and validation rows that are gold rows but for case, accents and punctuation, or of a gold
    family (M21): a checkpoint that is chosen on gold has seen it too."""
    with _joined(keys, exclusions, gold_texts, gold_families) as connection:
        found = connection.execute(
            "select split, count(*), list(row_id order by row_id)[:?] from keys where split <> 'test' "
            "and (text in (select text from gold_texts) or family in (select family from gold_families)) "
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


_SPLITS = ("train", "validation", "test")
_PAIRS = (*itertools.combinations(_SPLITS, 2), *((split, GOLD) for split in _SPLITS))


def overlaps(
    keys: Sequence[Path],
    gold_texts: Sequence[str] = (),
    gold_families: Collection[str] = (),
    exclusions: Path | None = None,
) -> list[Overlap]:
    """What every two of train, validation, test and gold have in common, excluded rows left aside.

    Gold may repeat test rows: neither is trained on."""
    with _joined(keys, exclusions, gold_texts, gold_families) as connection:
        rows, row_ids = _counterparts(connection, "row_id", "false")
        _, families = _counterparts(connection, "family", "family in (select family from gold_families)")
        _, texts = _counterparts(connection, "text", "text in (select text from gold_texts)")
    return [
        Overlap(first, second, rows[first], None if second == GOLD else row_ids[at], families[at], texts[at])
        for at, (first, second) in enumerate(_PAIRS)
    ]


def _counterparts(
    connection: duckdb.DuckDBPyConnection, key: str, is_golden: str
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Rows per split, and for each of the pairs how many rows of the first have a key that the second has."""
    per_split = ", ".join(f"count(*) filter (split = '{split}') as {split}" for split in _SPLITS)
    grouped = f"select {is_golden} as {GOLD}, {per_split} from keys group by {key}"
    both = (f"sum({first}) filter ({GOLD if second == GOLD else f'{second} > 0'})" for first, second in _PAIRS)
    sums = ", ".join(f"coalesce({each}, 0)::bigint" for each in [*(f"sum({split})" for split in _SPLITS), *both])
    (counts,) = connection.execute(f"select {sums} from ({grouped})").fetchall()
    return dict(zip(_SPLITS, counts, strict=False)), counts[len(_SPLITS) :]


def _shared(connection: duckdb.DuckDBPyConnection, key: str, column: str) -> list[tuple[int, list[str], str, str]]:
    """(how many such keys there are, values, first and last row id) of keys whose rows differ in a column."""
    found: list[tuple[int, list[str], str, str]] = connection.execute(
        f"with shared as (select {key} from keys group by 1 having min({column}) <> max({column})) "
        f"select count(*) over (), list(distinct {column} order by {column}), min(row_id), max(row_id) "
        f"from keys semi join shared using ({key}) group by {key} order by 3 limit {MAX_EXAMPLES}"
    ).fetchall()
    return found


@contextmanager
def _joined(
    keys: Sequence[Path],
    exclusions: Path | None,
    gold_texts: Sequence[str] = (),
    gold_families: Collection[str] = (),
    folder: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with keys, gold_texts and gold_families; what it keeps in `folder` is removed after."""
    with tempfile.TemporaryDirectory(dir=folder) as kept, bounded_connection(Path(kept)) as connection:
        connection.execute("set preserve_insertion_order = false")  # else every thread keeps what it has read
        rows = rows_in(keys, but=exclusions)
        # The state of a group holds a number and no name, which would lie where nothing can be spilled.
        connection.execute(f"create type source_name as enum (select distinct source from {rows} order by 1)")
        connection.execute(f"create view keys as select * replace (source::source_name as source) from {rows}")
        texts, families = (pa.array(list(values), pa.string()) for values in (gold_texts, gold_families))
        connection.register("gold_texts", pa.table({"text": text_keys(texts)}))
        connection.register("gold_families", pa.table({"family": hashed(families)}))
        yield connection
