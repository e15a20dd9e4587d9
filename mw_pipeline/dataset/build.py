"""The tokenized dataset: aligned rows in, piece ids and labels out, as memory-mapped Arrow with nothing lost silently.

train.arrow  validation.arrow  test.arrow     TOKENIZED_SCHEMA, uncompressed, rows grouped by source
dataset.json                                  labels, hashes, row ranges, label counts, losses, survival
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mw_pipeline.corpus.exclusions import Excluded, nothing_excluded
from mw_pipeline.dataset.labelling import (
    NO_TAG,
    Spans,
    Texts,
    labels_of,
    rows_are_legal,
    spans_are_sound,
    spans_survive,
    words_are_whole,
)
from mw_pipeline.dataset.tokenized import BATCH_ROWS, SPLITS, TOKENIZED_SCHEMA, SplitWriter
from mw_pipeline.digest import JSON, json_value, write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.labels import LabelSet
from mw_pipeline.records.text import hash64
from mw_pipeline.tokenizer import Tokenizer

DATASET_JSON = "dataset.json"
SURVIVAL_SHARE = 0.995
WORD_REASONS = ("span_inside_word", "piece_across_words")
_COLUMNS = ["row_id", "raw", "source", "place", "split", "span_tags", "span_starts", "span_ends"]


@dataclass
class Tally:
    """What tokenizing cost: rows dropped by reason, and gold spans with how many of them survive, by tag."""

    dropped: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)

    def add(self, other: Self) -> None:
        """Counts of another chunk on top of these."""
        self.dropped.update(other.dropped)
        self.gold.update(other.gold)
        self.survived.update(other.survived)

    def count_dropped(self, keep: NDArray[np.bool_], **demands: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows (R,) of `keep` that meet every demand; each of the others is counted under the first it fails."""
        for reason, holds in demands.items():
            self.dropped[reason] += int((keep & ~holds).sum())
            keep = keep & holds
        return keep

    def survival(self) -> dict[str, dict[str, int]]:
        """Tag → gold spans and survivors, for every tag of the label set that has gold spans."""
        return {tag: {"gold": n, "survived": self.survived[tag]} for tag, n in sorted(self.gold.items())}


def tokenize_rows(
    table: pa.Table, tokenizer: Tokenizer, label_set: LabelSet, max_length: int
) -> tuple[pa.Table, Tally]:
    """Aligned rows as TOKENIZED_SCHEMA, in their order, and what was lost on the way.

    `table` needs row_id, raw, source, place and the three span columns. A row is dropped, and counted, when its spans
    are unsound (`bad_spans`), it has no piece (`empty`), more than `max_length` (`too_long`), or labels that the
    transition mask forbids (`illegal_labels`, M31). So is one of which the decoder, which knows words, could never find
    a span (M67): it begins or ends inside a word (`span_inside_word`), or in a piece that holds the end of one word and
    the start of the next (`piece_across_words`). The spans of these rows count among those that may not survive.
    """
    tally = Tally()
    table, spans = _sound_rows(table, label_set, tally)
    raws: list[str] = table.column("raw").to_pylist()
    texts, pieces = Texts(raws), tokenizer.encode(raws)
    labels, kinds = labels_of(texts, pieces, spans), texts.kinds_of(pieces)
    lengths = np.diff(pieces.offsets)
    keep = tally.count_dropped(
        np.ones(len(raws), dtype=bool),
        empty=lengths > 0,
        too_long=lengths <= max_length,
        illegal_labels=rows_are_legal(labels, pieces.offsets, label_set),
    )
    tagged = spans.tag != NO_TAG
    counted = keep[spans.row] & tagged
    whole = texts.whole_words(spans.row, spans.starts, spans.ends)
    survived = spans_survive(texts, pieces, labels, spans) & whole
    for tag, name in enumerate(label_set.tags):
        of_tag = counted & (spans.tag == tag)
        tally.gold[name] += int(of_tag.sum())
        tally.survived[name] += int((of_tag & survived).sum())
    keep = tally.count_dropped(
        keep,
        span_inside_word=np.bincount(spans.row[tagged & ~whole], minlength=len(raws)) == 0,
        piece_across_words=words_are_whole(labels, kinds, pieces.offsets),
    )
    tally.dropped, tally.gold = +tally.dropped, +tally.gold
    named = [table.column("row_id"), table.column("source"), _place_ids(table.column("place"))]
    columns = [*named, *_list_columns((pieces.ids, labels, kinds), pieces.offsets)]
    return pa.table(columns, schema=TOKENIZED_SCHEMA).filter(pa.array(keep)), tally


def build_dataset(
    row_files: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    label_set: LabelSet,
    max_length: int,
    out: Path,
    *,
    excluded: Excluded = nothing_excluded,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, JSON]:
    """Writes the three split files and dataset.json into `out`; returns what dataset.json holds.

    `row_files` maps every source, in the order it shall have, to its Parquet files of aligned rows; rows that are
    `excluded` are dropped, and counted. `progress` is told the number of rows read with each batch. Memory does not
    grow with rows. Raises CorpusError when a file holds rows of another source or split, and
    when training or validation is left without rows.
    """
    writers = {split: SplitWriter(out / f"{split}.arrow", len(label_set)) for split in SPLITS}
    tallies = {source: Tally() for source in row_files}
    for source, paths in row_files.items():
        for path in paths:
            left_out = excluded(source, path)
            for table in _batches_of(path, source):
                progress(table.num_rows)
                table = _without_excluded(table, left_out, tallies[source])
                for split, writer in writers.items():
                    rows, tally = tokenize_rows(_rows_of_split(table, split), tokenizer, label_set, max_length)
                    tallies[source].add(tally)
                    writer.add(rows)
        for writer in writers.values():
            writer.end_source(source)
    for writer in writers.values():
        writer.close()
    _demand_rows(writers)
    summary = _summary(writers, tallies, tokenizer, label_set, max_length)
    write_json_atomically(out / DATASET_JSON, summary)
    return summary


def labels_survive_tokenizing(summary: Mapping[str, JSON]) -> tuple[str, ...]:
    """Findings of a dataset.json: tags of which fewer than 99.5 % of gold spans come back from their own labels."""
    survival = summary["survival"]
    findings = [] if survival else ["no gold span was counted: nothing is labelled"]
    for tag, counts in survival.items():
        share = counts["survived"] / counts["gold"]
        if share < SURVIVAL_SHARE:
            findings.append(
                f"{tag}: {counts['survived']} of {counts['gold']} spans survive ({share:.2%}), "
                f"expected at least {SURVIVAL_SHARE:.1%}"
            )
    illegal = sum(dropped.get("illegal_labels", 0) for dropped in summary["dropped"].values())
    if illegal:
        findings.append(f"{illegal} rows have labels that the transition mask forbids")
    return tuple(findings)


def dropped_rows(summary: Mapping[str, JSON]) -> dict[str, int]:
    """Reason → rows that tokenizing left out, of all sources of a dataset.json; the reasons about words always."""
    total = Counter(dict.fromkeys(WORD_REASONS, 0))
    for reasons in summary["dropped"].values():
        total.update(reasons)
    return dict(total)


def label_entropy(counts: Sequence[int]) -> float:
    """Entropy of a label distribution in nats per piece: the loss of the best constant predictor."""
    share = np.asarray(counts, dtype=np.float64) / max(1, sum(counts))
    share = share[share > 0]
    return float(-(share * np.log(share)).sum()) + 0.0


def read_dataset_json(path: Path) -> dict[str, JSON]:
    """The dataset.json of a tokenized dataset's folder. Raises CorpusError when it is missing or unreadable."""
    try:
        found: dict[str, JSON] = json_value((path / DATASET_JSON).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path}: no readable {DATASET_JSON} ({error}). Point at the folder that build_dataset wrote."
        ) from None
    return found


def _summary(
    writers: Mapping[str, SplitWriter],
    tallies: Mapping[str, Tally],
    tokenizer: Tokenizer,
    label_set: LabelSet,
    max_length: int,
) -> dict[str, JSON]:
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    by_source = {source: counts.tolist() for source, counts in writers["train"].label_counts.items()}
    counts = np.sum(list(writers["train"].label_counts.values()), axis=0).tolist()
    return {
        "labels": list(label_set.labels),
        "label_hash": label_set.hash,
        "tokenizer_sha256": tokenizer.sha256,
        "vocab_size": tokenizer.vocab_size,
        "max_length": max_length,
        "splits": {split: writer.as_json() for split, writer in writers.items()},
        "rows": sum(writer.rows for writer in writers.values()),
        "dropped": {source: dict(tally.dropped) for source, tally in tallies.items()},
        "survival": total.survival(),
        "label_counts": dict(zip(label_set.labels, counts, strict=True)),
        "label_counts_by_source": by_source,
        "label_entropy": label_entropy(counts),
    }


def _batches_of(path: Path, source: str) -> Iterator[pa.Table]:
    """The rows of one Parquet file in tables of at most 65,536 rows, once they are known to be what they should be."""
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=_COLUMNS):
            table = pa.Table.from_batches([batch])
            _demand_values(table, "source", (source,), path)
            _demand_values(table, "split", SPLITS, path)
            yield table


def _demand_values(table: pa.Table, column: str, expected: Sequence[str], path: Path) -> None:
    unexpected = set(pc.unique(table.column(column)).to_pylist()) - set(expected)
    if unexpected:
        raise CorpusError(
            f"{path}: column {column} holds {sorted(map(str, unexpected))!r}, expected {' or '.join(expected)}. "
            "Rebuild the corpus shard."
        )


def _demand_rows(writers: Mapping[str, SplitWriter]) -> None:
    """An empty split passes every later check, so it must not get that far."""
    for split in ("train", "validation"):
        if not writers[split].rows:
            raise CorpusError(
                f"dataset: split {split!r} has no row after tokenizing, expected at least one. "
                "Look at the corpus' split counts, its shares and holdouts, and at what tokenizing dropped."
            )


def _without_excluded(table: pa.Table, excluded: pa.StringArray, tally: Tally) -> pa.Table:
    kept = table.filter(pc.invert(pc.is_in(table.column("row_id"), value_set=excluded)))
    if kept.num_rows < table.num_rows:
        tally.dropped["excluded"] += table.num_rows - kept.num_rows
    return kept


def _rows_of_split(table: pa.Table, split: str) -> pa.Table:
    return table.filter(pc.equal(table.column("split"), split))


def _sound_rows(table: pa.Table, label_set: LabelSet, tally: Tally) -> tuple[pa.Table, Spans]:
    """The rows whose spans can be used, and those spans; the other rows are counted as `bad_spans`."""
    counts = [pc.list_value_length(table.column(name)) for name in ("span_tags", "span_starts", "span_ends")]
    agree = pc.and_(pc.equal(counts[0], counts[1]), pc.equal(counts[1], counts[2])).fill_null(False)
    paired = table.filter(agree)
    spans = _spans_of(paired, label_set)
    lengths = pc.utf8_length(paired.column("raw")).to_numpy().astype(np.int64)
    sound = spans_are_sound(spans, lengths)
    tally.dropped["bad_spans"] += table.num_rows - int(sound.sum())
    spans = spans.only(sound[spans.row])
    renumbered = np.cumsum(sound) - 1
    return paired.filter(pa.array(sound)), Spans(renumbered[spans.row], spans.tag, spans.starts, spans.ends)


def _spans_of(table: pa.Table, label_set: LabelSet) -> Spans:
    counts = pc.list_value_length(table.column("span_tags")).to_numpy()
    tags = pc.index_in(pc.list_flatten(table.column("span_tags")), value_set=pa.array(label_set.tags, pa.string()))
    return Spans(
        row=np.repeat(np.arange(table.num_rows, dtype=np.int64), counts),
        tag=pc.fill_null(tags, NO_TAG).to_numpy().astype(np.int64),
        starts=pc.list_flatten(table.column("span_starts")).to_numpy().astype(np.int64),
        ends=pc.list_flatten(table.column("span_ends")).to_numpy().astype(np.int64),
    )


def _place_ids(places: pa.ChunkedArray) -> pa.Array:
    """A number for each place, and 0 for none: what is dosed by place need not know its name."""
    hashes = hash64(places.combine_chunks())
    return pc.if_else(pc.equal(places, ""), pa.scalar(0, pa.uint64()), pa.array(hashes, pa.uint64()))


def _list_columns(columns: Sequence[NDArray[np.generic]], offsets: NDArray[np.int64]) -> list[pa.Array]:
    """The list columns of TOKENIZED_SCHEMA over one set of row boundaries."""
    bounds = pa.array(offsets.astype(np.int32))
    types = [TOKENIZED_SCHEMA.field(name).type for name in ("input_ids", "labels", "kinds")]
    return [
        pa.ListArray.from_arrays(bounds, pa.array(values), type=kind)
        for values, kind in zip(columns, types, strict=True)
    ]
