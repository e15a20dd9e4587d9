"""Aligned rows to piece ids and labels, table by table, with every row that is left out counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mw_pipeline.dataset.cutting import AS_PARSED, Cutting
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
from mw_pipeline.dataset.tokenized import TOKENIZED_SCHEMA
from mw_pipeline.digest import JSON
from mw_pipeline.labels import LabelSet
from mw_pipeline.records.text import hash64
from mw_pipeline.tokenizer import Tokenizer


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

    def as_json(self) -> JSON:
        """The counts as `from_json` reads them."""
        return {"dropped": self.dropped, "gold": self.gold, "survived": self.survived}

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Self:
        """The counts that `as_json` wrote."""
        return cls(**{name: Counter(counts) for name, counts in value.items()})

    def survival(self) -> dict[str, dict[str, int]]:
        """Tag → gold spans and survivors, for every tag of the label set that has gold spans."""
        return {tag: {"gold": n, "survived": self.survived[tag]} for tag, n in sorted(self.gold.items())}


def tokenize_rows(
    table: pa.Table, tokenizer: Tokenizer, label_set: LabelSet, max_length: int, cutting: Cutting = AS_PARSED
) -> tuple[pa.Table, Tally]:
    """Aligned rows as TOKENIZED_SCHEMA, in their order, and what was lost on the way.

    `table` needs row_id, raw, source, place and the three span columns; `cutting` says which rows are cut otherwise
    than the parser cuts them.

    A row is dropped, and counted, when its spans are unsound (`bad_spans`), it has no piece (`empty`), more than
    `max_length` (`too_long`), or labels that the transition mask forbids (`illegal_labels`, M31). So is one of which
    the decoder, which knows words, could never find a span (M67): it begins or ends inside a word (`span_inside_word`),
    or in a piece that holds the end of one word and the start of the next (`piece_across_words`). The spans of these
    rows count among those that may not survive.
    """
    tally = Tally()
    table, spans = _sound_rows(table, label_set, tally)
    raws: list[str] = table.column("raw").to_pylist()
    row_ids = table.column("row_id").combine_chunks()
    texts = Texts(raws)
    kept = spans.only(
        np.isin(spans.tag, [number for number, tag in enumerate(label_set.tags) if tag in cutting.kept_tags])
    )
    pieces = cutting.pieces_of(
        row_ids, raws, tokenizer, at_most=max_length, kept=lambda whole: labels_of(texts, whole, kept) > 0
    )
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
    words = pa.array(np.minimum(tokenizer.words_of(pieces), max_length).astype(np.uint8))
    columns = [*named, words, *_list_columns((pieces.ids, labels, kinds), pieces.offsets)]
    return pa.table(columns, schema=TOKENIZED_SCHEMA).filter(pa.array(keep)), tally


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
