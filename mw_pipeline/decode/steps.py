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

from mw_pipeline.words import BARRED, INSIDE, UNREAD, PieceKinds

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

ON = slice(0, None, 2)
"""The ids of O and of every I- label: what a piece inside a word can have."""
BEGIN = slice(1, None, 2)
"""The ids of every B- label."""
INSIDE_LABELS = slice(2, None, 2)
"""The ids of every I- label."""


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
    def of(cls, logits: Floats, mask: Mask, kinds: PieceKinds, transitions: Floats) -> Words:
        """logits (B, T, K), mask (B, T) and kinds (B, T) of pieces; no row begins with an INSIDE piece."""
        begin = np.flatnonzero(kinds[mask] != INSIDE)  # of each word, among all real pieces
        sizes = np.diff(begin, append=int(mask.sum()))
        row, first = (found[begin] for found in np.nonzero(mask))
        counts = np.bincount(row, minlength=len(mask))
        real = np.arange(counts.max(initial=0)) < counts[:, None]
        found = _word_scores(logits[mask], begin, sizes, transitions)
        kind = kinds[mask][begin]
        found[kind >= BARRED, BEGIN] = -np.inf
        found[kind == UNREAD, 1:] = -np.inf
        scores = np.zeros((*real.shape, logits.shape[2]))
        firsts, lasts = np.zeros(real.shape, dtype=np.int64), np.zeros(real.shape, dtype=np.int64)
        scores[real], firsts[real], lasts[real] = found, first, first + sizes - 1
        return cls(scores, real, lasts > firsts, firsts, lasts)

    @classmethod
    def of_pieces(cls, logits: Floats, mask: Mask) -> Words:
        """Each piece as a word of its own, of logits (B, T, K) and mask (B, T): BIO alone then says what is legal."""
        places = np.where(mask, np.arange(mask.shape[1]), 0)
        return cls(logits.astype(np.float64), mask, np.zeros_like(mask), places, places)

    def __len__(self) -> int:
        return len(self.mask)

    def repeated(self, times: int) -> Words:
        """The rows so many times each."""
        rows = np.repeat(np.arange(len(self)), times)
        return Words(self.scores[rows], self.mask[rows], self.long[rows], self.firsts[rows], self.lasts[rows])

    def piece_labels(self, labels: Ids, mask: Mask, kinds: PieceKinds) -> Ids:
        """(B, T) the labels of the pieces, given those of the words (B, S); mask and kinds as given to `of`."""
        inside = kinds == INSIDE
        word = np.maximum(np.cumsum(~inside & mask, axis=1) - 1, 0)
        of_word = np.take_along_axis(labels, word, axis=1)
        return np.where(mask, of_word + (inside & (of_word % 2 == 1)), 0)


def _word_scores(logits: Floats, begin: Ids, sizes: Ids, transitions: Floats) -> Floats:
    """(W, K) scores of words from the logits (N, K) of all pieces: word w is the `sizes[w]` pieces from `begin[w]`."""
    scores: Floats = logits[begin].astype(np.float64)
    moves = transitions.astype(np.float64)
    stay = np.diagonal(moves)[ON]
    enter = np.diagonal(moves, offset=1)[BEGIN]  # from B- to I- of the same tag
    for step in range(1, int(sizes.max(initial=1))):
        longer = np.flatnonzero(sizes > step)
        onward = logits[begin[longer] + step, ON]
        scores[longer, ON] += onward + stay
        scores[longer, BEGIN] += onward[:, 1:] + (enter if step == 1 else stay[1:])
    return scores
