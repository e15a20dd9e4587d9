"""Spans to BIO labels and back, whole chunks at a time: one truth (the spans), any tokenizer.

Shape letters: R rows, C code points of all rows together, N pieces of all rows, S spans of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.labels import LabelSet
from mw_pipeline.tokenizer import Pieces
from mw_pipeline.words import BEGINS, INSIDE, Characters, PieceKinds

NO_TAG = -1
_OUTSIDE = -1


@dataclass(frozen=True)
class Spans:
    """Spans of R rows, flat and sorted by row, then by start.

    row     (S,) int64   row of each span
    tag     (S,) int64   index into the label set's tags, NO_TAG when the set does not have the tag
    starts  (S,) int64   first code point within the row's text
    ends    (S,) int64   one past the last code point
    """

    row: NDArray[np.int64]
    tag: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def only(self, keep: NDArray[np.bool_]) -> Spans:
        """The spans where `keep` (S,) holds."""
        return Spans(self.row[keep], self.tag[keep], self.starts[keep], self.ends[keep])


class Texts(Characters):
    """The code points of R texts, with what pieces and spans mean there."""

    def anchors(self, pieces: Pieces) -> NDArray[np.int64]:
        """(N,) the position in C whose span decides a piece's label, _OUTSIDE for the empty piece before a text.

        That is its first letter or digit, else its first character; for a piece without content, the space or byte
        it stands for. Anchors never go back, so a span is never torn apart by a piece inside it.
        """
        base = self.offsets[pieces.row_of]
        starts, ends = base + pieces.starts, base + pieces.ends
        has_content = starts < ends
        core = self.next_core(starts)
        anchor = np.where(has_content, np.where(core < ends, core, starts), ends - 1)
        return np.where(anchor >= base, anchor, _OUTSIDE)

    def values(self, spans: Spans) -> Spans:
        """Spans trimmed to the values that a parser gives; those of which nothing is left are dropped."""
        if not len(spans.row):
            return spans
        starts, ends = self.trimmed(spans.row, spans.starts, spans.ends)
        return Spans(spans.row, spans.tag, starts, ends).only(starts < ends)

    def kinds_of(self, pieces: Pieces) -> PieceKinds:
        """(N,) what each piece is to its word."""
        return self.piece_kinds(pieces.starts, pieces.ends, pieces.offsets)


def spans_are_sound(spans: Spans, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(R,) True for rows whose spans are not empty, lie inside the text, are sorted and do not overlap (M19)."""
    bad = (spans.starts < 0) | (spans.starts >= spans.ends) | (spans.ends > lengths[spans.row])
    if len(bad) > 1:
        bad[1:] |= (spans.row[1:] == spans.row[:-1]) & (spans.starts[1:] < spans.ends[:-1])
    sound = np.ones(len(lengths), dtype=bool)
    sound[spans.row[bad]] = False
    return sound


def labels_of(texts: Texts, pieces: Pieces, spans: Spans) -> NDArray[np.uint8]:
    """(N,) BIO label of every piece: B- on the first piece of a span, I- on its others, O elsewhere.

    Spans must be sound; those without a tag of the label set become O.
    """
    tagged = spans.only(spans.tag != NO_TAG)
    span_at = np.full(texts.offsets[-1] + 1, _OUTSIDE, dtype=np.int64)  # the last entry is what _OUTSIDE reads
    lengths = tagged.ends - tagged.starts
    first = texts.offsets[tagged.row] + tagged.starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    span_at[np.repeat(first, lengths) + within] = np.repeat(np.arange(len(lengths)), lengths)
    span = span_at[texts.anchors(pieces)]
    inside = span != _OUTSIDE
    begins = inside.copy()
    begins[1:] &= span[1:] != span[:-1]  # span numbers run through all rows, so a row's start is always a change
    tags = np.append(tagged.tag, 0)[span]
    return np.where(inside, 2 * tags + 2 - begins, 0).astype(np.uint8)


def rows_are_legal(labels: NDArray[np.uint8], offsets: NDArray[np.int64], label_set: LabelSet) -> NDArray[np.bool_]:
    """(R,) True for rows whose label sequence the transition mask allows, its first label included (M31)."""
    moves = np.asarray(label_set.legal_moves(), dtype=bool)
    starts = np.asarray(label_set.legal_starts(), dtype=bool)
    known = labels < len(label_set)
    safe = np.where(known, labels, 0)
    legal = known.copy()
    legal[1:] &= moves[safe[:-1], safe[1:]]
    filled = offsets[:-1] < offsets[1:]
    begin = offsets[:-1][filled]
    legal[begin] = known[begin] & starts[safe[begin]]
    return _all_of_row(legal, offsets)


def words_are_whole(labels: NDArray[np.uint8], kinds: PieceKinds, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(R,) True for rows with legal labels whose spans the decoder can find: made of the pieces of whole words.

    A span of whole words fails where one piece holds the end of a word and the start of the next."""
    whole = (labels % 2 == 0) | (kinds == BEGINS)
    whole[1:] &= (kinds[1:] != INSIDE) | ((labels[1:] > 0) == (labels[:-1] > 0))
    return _all_of_row(whole, offsets)


def _all_of_row(holds: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(R,) True for rows of whose pieces it holds for all (N,)."""
    fails_before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(~holds)])
    found: NDArray[np.bool_] = fails_before[offsets[1:]] == fails_before[offsets[:-1]]
    return found


def spans_from(labels: NDArray[np.uint8], pieces: Pieces) -> Spans:
    """The spans that legal labels spell: from a B- piece to its last I- piece, untrimmed."""
    begins = labels % 2 == 1
    goes_on = np.append((labels[1:] % 2 == 0) & (labels[1:] > 0), False)
    row = pieces.row_of
    if len(row):
        goes_on[:-1] &= row[1:] == row[:-1]
    first = np.flatnonzero(begins)
    closes = np.flatnonzero((labels > 0) & ~goes_on)
    return Spans(
        row=row[first],
        tag=(labels[first].astype(np.int64) - 1) // 2,
        starts=pieces.starts[first].astype(np.int64),
        ends=pieces.ends[closes].astype(np.int64),
    )


def spans_survive(texts: Texts, pieces: Pieces, labels: NDArray[np.uint8], spans: Spans) -> NDArray[np.bool_]:
    """(S,) True for gold spans that decoding their own labels gives back: same tag, same value.

    Both sides are trimmed, since the parser trims: what is lost here is lost to the tokenizer alone. A gold span
    without a single letter or digit does not survive.
    """
    decoded = texts.values(spans_from(labels, pieces))
    gold = texts.values(Spans(spans.row, np.arange(len(spans.row)), spans.starts, spans.ends))
    survived = np.zeros(len(spans.row), dtype=bool)
    if not len(decoded.row):
        return survived
    base = texts.offsets[decoded.row]
    wanted = texts.offsets[gold.row]
    starts = base + decoded.starts  # strictly rising: decoded spans hold at least one character and never overlap
    match = np.minimum(np.searchsorted(starts, wanted + gold.starts), len(starts) - 1)
    survived[gold.tag] = (
        (starts[match] == wanted + gold.starts)
        & (base[match] + decoded.ends[match] == wanted + gold.ends)
        & (decoded.tag[match] == spans.tag[gold.tag])
    )
    return survived
