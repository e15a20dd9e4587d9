"""The scores of moves between labels, in the forms in which steps, Viterbi and posteriors use them. numpy only.

Shape letters: K labels, G tags, P = 1 + G pairs of labels. Label ids are those of a LabelSet: O is 0, B-tag odd, I-tag
the even id after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.labels import LabelSet

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]

BEGIN = slice(1, None, 2)
"""The ids of every B- label."""
INSIDE_LABELS = slice(2, None, 2)
"""The ids of every I- label."""

# Scores further than this below the best of their step count as this far below: it changes no probability by more
# than 1e-26, and without it one wild logit could leave a row with no legal path of non-zero weight.
_DEEPEST_NATS = 60.0
LEAST_WEIGHT = float(np.exp(-_DEEPEST_NATS))
"""What a possible label or move weighs at least, of 1 for the best."""


def hard_mask(labels: LabelSet) -> tuple[Floats, Floats]:
    """Transitions (K, K) and starts (K,) of a model without a CRF: 0 where BIO allows the move, -inf elsewhere."""
    transitions = np.where(np.array(labels.legal_moves()), np.float32(0), np.float32(-np.inf))
    starts = np.where(np.array(labels.legal_starts()), np.float32(0), np.float32(-np.inf))
    return transitions, starts


@dataclass(frozen=True)
class Moves:
    """What moves between labels score: learned by a CRF, or zeros, and -inf wherever BIO forbids a move.

    transitions  (K, K)  float64  score of label j after label i
    starts       (K,)    float64  score of label j on the first step

    All else is made of these once, when it is first asked for: a parser keeps one of these for all texts.
    """

    transitions: Floats
    starts: Floats

    @classmethod
    def of(cls, transitions: Floats, starts: Floats) -> Moves:
        """Of scores in any precision."""
        return cls(transitions.astype(np.float64), starts.astype(np.float64))

    @cached_property
    def goes_on(self) -> Ids:
        """(K,) the label of a second piece of a word whose first has label i, and of every piece after it."""
        labels = np.arange(len(self.starts))
        return labels + labels % 2

    @cached_property
    def within(self) -> Floats:
        """(2, K) what a move within a word adds to it, by its label: to its second, and to any later piece."""
        second = self.transitions[np.arange(len(self.starts)), self.goes_on]
        return np.stack((second, np.diagonal(self.transitions)[self.goes_on]))

    @cached_property
    def leaving(self) -> Floats:
        """(2, K, K) score of label j after a word of label i that has one piece, and one that has several."""
        return np.stack((self.transitions, self.transitions[self.goes_on]))

    @cached_property
    def in_pairs(self) -> tuple[Floats, Floats, Floats, Floats]:
        """What Viterbi adds, labels as `_paired` lays them out.

        starts  (2·P, 1)        score of each on the first step
        fresh   (P, 2, P, 1)    moves from each to O and to every B-
        onward  (P, 2, 1)       moves to every I-, from its B- and from itself; BIO has no others
        into    (2·P, 2·2·P)    moves from each, after a word of one piece and after one of several, to each
        """
        moves, leaving = _paired(self.transitions, (0, 1)), _paired(self.leaving, (1, 2))
        size = len(moves)
        onward = np.full((size // 2, 2, 1), -np.inf)
        onward[1:, 0, 0] = np.diagonal(self.transitions, offset=1)[BEGIN]
        onward[1:, 1, 0] = np.diagonal(self.transitions)[INSIDE_LABELS]
        fresh = moves.reshape(size // 2, 2, size // 2, 2)[..., :1].copy()
        fresh[0, 1] = fresh[0, 0]  # a word of several pieces that is O may be left as what is behind it in its pair
        into = leaving.transpose(1, 0, 2).reshape(size, 2 * size)
        return _paired(self.starts, (0,))[:, None], fresh, onward, into

    @cached_property
    def start_weights(self) -> Floats:
        """(K,) exp of the starts, largest 1."""
        return relative_weights(self.starts)

    @cached_property
    def leaving_weights(self) -> Floats:
        """(2, K, K) exp of `leaving`, largest 1."""
        return relative_weights(self.leaving)

    @cached_property
    def sweep_weights(self) -> Floats:
        """(2, 1, 2·K, K) `leaving_weights` as matrices, for a sweep forward and for one backward; columns are whole in
        memory, which makes the product of a vector with them a quarter faster."""
        weights = self.leaving_weights
        matrices = np.stack((weights, weights.transpose(0, 2, 1))).reshape(2, 1, -1, len(self.starts))
        return np.ascontiguousarray(matrices.swapaxes(2, 3)).swapaxes(2, 3)


def _paired(scores: Floats, axes: tuple[int, ...]) -> Floats:
    """The scores with axes of 2·P places for K labels, in the order of ids: an I- of no tag, which no path has, is
    behind O. Even places are then what may follow any label, each with what it goes on as behind it."""
    for axis in axes:
        scores = np.insert(scores, 1, -np.inf, axis=axis)
    return scores


def relative_weights(scores: Floats, axis: int | None = None) -> Floats:
    """exp of the scores over that of the highest along an axis, floored where they are finite."""
    relative = scores - scores.max(axis=axis, keepdims=True)
    weights: Floats = np.exp(np.maximum(relative, -_DEEPEST_NATS))
    weights[relative == -np.inf] = 0.0
    return weights
