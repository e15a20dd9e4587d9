"""The words of a batch as the steps that a path takes, so that no span is half a word. Needs numpy only.

The pieces of one word share one fate: all outside, or all in one span, which began before the word or with it. Their
scores add up to those of one step, and a search over steps is one over exactly the paths whose spans are whole words.
They add up in float64: in float32 a sum of dozens of scores tells two paths 4e-5 apart wrongly.

Shape letters: B rows, T pieces, S steps (words), K labels. Real pieces and steps are a prefix of each row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.decode.moves import BEGIN, INSIDE_LABELS, Floats, Ids, Moves
from mw_pipeline.words import BARRED, INSIDE, UNREAD, PieceKinds

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Words:
    """The words of a batch as steps of a path: what a span holds whole or not at all.

    scores  (B, S, K)  float64  label k on the first piece of a word, and on with it over the others
    mask    (B, S)     bool     True on real words
    long    (B, S)     bool     True on words of several pieces: what begins with B-tag leaves them as I-tag
    firsts  (B, S)     int64    first piece of each word; 0 under padding
    lasts   (B, S)     int64    last piece of each word; 0 under padding
    """

    scores: Floats
    mask: Mask
    long: Mask
    firsts: Ids
    lasts: Ids

    @classmethod
    def of(cls, logits: Floats, mask: Mask, kinds: PieceKinds, moves: Moves) -> Words:
        """logits (B, T, K), mask (B, T) and kinds (B, T) of pieces; no row begins with an INSIDE piece."""
        row, column = mask.nonzero()  # of all real pieces
        kind = kinds[mask]
        begin = kind.nonzero()[0]  # of each word, among these: INSIDE is 0
        last = np.empty_like(begin)
        last[:-1], last[-1:] = begin[1:] - 1, len(row) - 1
        found = _word_scores(logits[mask], kind == INSIDE, begin, moves)
        kind = kind[begin]
        if kind.max(initial=0) >= BARRED:
            found[kind >= BARRED, BEGIN] = -np.inf
            found[kind == UNREAD, 1:] = -np.inf
        counts = np.bincount(row[begin], minlength=len(mask))
        real = np.arange(counts.max(initial=0)) < counts[:, None]
        scores = np.zeros((*real.shape, logits.shape[2]))
        firsts, lasts = np.zeros((2, *real.shape), dtype=np.int64)
        scores[real], firsts[real], lasts[real] = found, column[begin], column[last]
        return cls(scores, real, lasts > firsts, firsts, lasts)

    @classmethod
    def of_pieces(cls, logits: Floats, mask: Mask) -> Words:
        """Each piece as a word of its own, of logits (B, T, K) and mask (B, T): BIO alone then says what is legal."""
        places = np.where(mask, np.arange(mask.shape[1]), 0)
        return cls(logits.astype(np.float64), mask, np.zeros_like(mask), places, places)

    def __len__(self) -> int:
        return len(self.mask)

    def of_rows(self, rows: Ids) -> Words:
        """Those of some rows."""
        return Words(self.scores[rows], self.mask[rows], self.long[rows], self.firsts[rows], self.lasts[rows])

    def piece_labels(self, labels: Ids, mask: Mask, kinds: PieceKinds) -> Ids:
        """(B, T) the labels of the pieces, given those of the words (B, S); mask and kinds as given to `of`."""
        inside = kinds == INSIDE
        word = np.maximum(np.cumsum(~inside & mask, axis=1) - 1, 0)
        of_word = np.take_along_axis(labels, word, axis=1)
        return np.where(mask, of_word + (inside & (of_word % 2 == 1)), 0)


def _word_scores(logits: Floats, inside: Mask, begin: Ids, moves: Moves) -> Floats:
    """(W, K) scores of words from the logits (N, K) of all pieces, which of these go on, and where each word begins."""
    on = inside.nonzero()[0]
    scores: Floats = logits.astype(np.float64)
    if len(on):
        gained, later = logits[on], inside[on - 1].view(np.uint8)  # than the second of its word: no row begins in one
        gained[:, BEGIN] = gained[:, INSIDE_LABELS]
        scores[on] = gained + moves.within[later]
        scores = np.add.reduceat(scores, begin, axis=0)
    return scores
