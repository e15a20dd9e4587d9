"""Aligned rows to piece ids and labels, table by table, with every row that is left out counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mw_pipeline.dataset.cutting import AS_PARSED, Cutting, with_words_of
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
from mw_pipeline.tokenizer import Pieces, Tokenizer
from mw_pipeline.words import PieceKinds


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

    Rows are dropped and spans counted as the parser cuts them. One that would be dropped or lose a span if it were cut
    otherwise is not cut so.
    """
    tally = Tally()
    table, spans = _sound_rows(table, label_set, tally)
    as_parsed = _CutRows.labelled(table, spans, tokenizer.encode(table.column("raw").to_pylist()))
    keep = as_parsed.kept(label_set, max_length, tally)
    found = as_parsed.tokenized(tokenizer, max_length)
    tally.dropped, tally.gold = +tally.dropped, +tally.gold
    chosen = keep & cutting.chosen(table.column("row_id").combine_chunks())
    if chosen.any():
        table, spans = _only(table, spans, chosen)
        row_ids, raws = table.column("row_id").combine_chunks(), table.column("raw").to_pylist()
        whole = as_parsed.pieces.taken(np.flatnonzero(chosen))
        kept = as_parsed.has_label_of(cutting.kept_tags, label_set)[chosen[as_parsed.pieces.row_of]]
        pieces = with_words_of(raws, whole, kept, cutting.pieces_of(row_ids, raws, tokenizer))
        otherwise = _CutRows.labelled(table, spans, pieces)
        sound = otherwise.kept(label_set, max_length, Tally()) & otherwise.intact
        row = np.arange(len(keep))
        row[np.flatnonzero(chosen)[sound]] = len(keep) + np.flatnonzero(sound)
        found = pa.concat_tables([found, otherwise.tokenized(tokenizer, max_length)]).take(pa.array(row))
    return found.filter(pa.array(keep)), tally


@dataclass(frozen=True)
class _CutRows:
    """R rows cut into N pieces, with what their S spans make of these.

    labels       (N,) uint8  BIO label of each piece
    kinds        (N,) uint8  what it is to its word
    whole_words  (S,) bool   True for spans of whole words
    survived     (S,) bool   True for those of them that their own labels give back
    """

    table: pa.Table
    spans: Spans
    pieces: Pieces
    labels: NDArray[np.uint8]
    kinds: PieceKinds
    whole_words: NDArray[np.bool_]
    survived: NDArray[np.bool_]

    @classmethod
    def labelled(cls, table: pa.Table, spans: Spans, pieces: Pieces) -> Self:
        """Rows with sound spans, which are cut into these pieces."""
        texts = Texts(table.column("raw").to_pylist())
        labels, kinds = labels_of(texts, pieces, spans), texts.kinds_of(pieces)
        whole_words = texts.whole_words(spans.row, spans.starts, spans.ends)
        survived = spans_survive(texts, pieces, labels, spans) & whole_words
        return cls(table, spans, pieces, labels, kinds, whole_words, survived)

    @property
    def intact(self) -> NDArray[np.bool_]:
        """(R,) True for rows that lose no span."""
        return self._all_of(self.survived)

    def has_label_of(self, tags: Collection[str], label_set: LabelSet) -> NDArray[np.bool_]:
        """(N,) True for pieces that are labelled with one of these tags."""
        return np.isin(self.labels, [number for number, name in enumerate(label_set.labels) if name[2:] in tags])

    def kept(self, label_set: LabelSet, max_length: int, tally: Tally) -> NDArray[np.bool_]:
        """(R,) True for rows that are not dropped; each of the others is counted, and so is what survives."""
        offsets, lengths = self.pieces.offsets, self.pieces.lengths
        keep = tally.count_dropped(
            np.ones(len(lengths), dtype=bool),
            empty=lengths > 0,
            too_long=lengths <= max_length,
            illegal_labels=rows_are_legal(self.labels, offsets, label_set),
        )
        for tag, name in enumerate(label_set.tags):
            of_tag = keep[self.spans.row] & (self.spans.tag == tag)
            tally.gold[name] += int(of_tag.sum())
            tally.survived[name] += int((of_tag & self.survived).sum())
        return tally.count_dropped(
            keep,
            span_inside_word=self._all_of(self.whole_words),
            piece_across_words=words_are_whole(self.labels, self.kinds, offsets),
        )

    def tokenized(self, tokenizer: Tokenizer, max_length: int) -> pa.Table:
        """All rows as TOKENIZED_SCHEMA."""
        named = [self.table.column("row_id"), self.table.column("source"), _place_ids(self.table.column("place"))]
        words = pa.array(np.minimum(tokenizer.words_of(self.pieces), max_length).astype(np.uint8))
        lists = _list_columns((self.pieces.ids, self.labels, self.kinds), self.pieces.offsets)
        return pa.table([*named, words, *lists], schema=TOKENIZED_SCHEMA)

    def _all_of(self, holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(R,) True for rows where it holds for each span (S,) with a tag of the label set."""
        fails = self.spans.row[~holds & (self.spans.tag != NO_TAG)]
        found: NDArray[np.bool_] = np.bincount(fails, minlength=len(self.pieces)) == 0
        return found


def _sound_rows(table: pa.Table, label_set: LabelSet, tally: Tally) -> tuple[pa.Table, Spans]:
    """The rows whose spans can be used, and those spans; the other rows are counted as `bad_spans`."""
    counts = [pc.list_value_length(table.column(name)) for name in ("span_tags", "span_starts", "span_ends")]
    agree = pc.and_(pc.equal(counts[0], counts[1]), pc.equal(counts[1], counts[2])).fill_null(False)
    paired = table.filter(agree)
    spans = _spans_of(paired, label_set)
    lengths = pc.utf8_length(paired.column("raw")).to_numpy().astype(np.int64)
    sound = spans_are_sound(spans, lengths)
    tally.dropped["bad_spans"] += table.num_rows - int(sound.sum())
    return _only(paired, spans, sound)


def _only(table: pa.Table, spans: Spans, keep: NDArray[np.bool_]) -> tuple[pa.Table, Spans]:
    """The rows where `keep` (R,) holds, and their spans."""
    spans, renumbered = spans.only(keep[spans.row]), np.cumsum(keep) - 1
    return table.filter(pa.array(keep)), Spans(renumbered[spans.row], spans.tag, spans.starts, spans.ends)


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
