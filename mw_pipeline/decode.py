"""From logits to spans: constrained Viterbi, exact span posteriors, k-best paths and the span trim. numpy only.

Shape letters: B rows, T pieces, K labels. Real pieces are a prefix of each row. Label ids are those of a LabelSet: O is
0, B-tag odd, I-tag the even id after it. Transitions and starts hold the learned scores of a CRF, or zeros, and -inf
wherever BIO forbids a move.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.labels import LabelSet

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Scores further than this below the best of their piece count as this far below: it changes no probability by more
# than 1e-26, and without it one wild logit could leave a row with no legal path of non-zero weight.
_DEEPEST_NATS = 60.0


@dataclass(frozen=True)
class LabelSpan:
    """A tagged run of pieces in one row, end exclusive."""

    row: int
    tag: int
    first_piece: int
    end_piece: int


def hard_mask(labels: LabelSet) -> tuple[Floats, Floats]:
    """Transitions (K, K) and starts (K,) of a model without a CRF: 0 where BIO allows the move, -inf elsewhere."""
    transitions = np.where(np.array(labels.legal_moves()), np.float32(0), np.float32(-np.inf))
    starts = np.where(np.array(labels.legal_starts()), np.float32(0), np.float32(-np.inf))
    return transitions, starts


def constrained_viterbi(logits: Floats, mask: Mask, transitions: Floats, starts: Floats) -> Ids:
    """The best legal label sequence of every row.

    logits       (B, T, K)  float   label scores
    mask         (B, T)     bool    True on real pieces
    transitions  (K, K)     float   score of label j after label i
    starts       (K,)       float   score of label j on the first piece
    returns      (B, T)     int64   labels; 0 under padding
    """
    rows, pieces, _ = logits.shape
    if pieces == 0:
        return np.zeros((rows, 0), dtype=np.int64)
    scores = np.empty_like(logits)  # (B, T, K) best score of a path that ends here in label k
    scores[:, 0] = logits[:, 0] + starts
    for t in range(1, pieces):
        best = (scores[:, t - 1, :, None] + transitions).max(axis=1) + logits[:, t]
        scores[:, t] = np.where(mask[:, t, None], best, scores[:, t - 1])
    labels = np.empty((rows, pieces), dtype=np.int64)
    labels[:, -1] = scores[:, -1].argmax(axis=1)
    into = np.ascontiguousarray(transitions.T)
    for t in range(pieces - 1, 0, -1):
        # No back pointers are kept: the best predecessor of the one label on the path is cheaper to find again.
        before = (scores[:, t - 1] + into[labels[:, t]]).argmax(axis=1)
        labels[:, t - 1] = np.where(mask[:, t], before, labels[:, t])
    return np.where(mask, labels, 0)


def best_paths(logits: Floats, transitions: Floats, starts: Floats, count: int) -> tuple[Ids, Floats]:
    """The `count` best legal label sequences of one row (fewer when it has fewer), best first, with their scores.

    logits   (T, K)  float, T ≥ 1
    returns  (N, T)  int64 labels and (N,) float64 unnormalised path scores, N ≤ count
    """
    pieces, labels = logits.shape
    scores = (logits[0] + starts).astype(np.float64)[None, :]  # (n, K) the n best paths into each label
    pointers: list[Ids] = []  # per step (n, K): rank * K + label of the predecessor
    for t in range(1, pieces):
        arriving = (scores[:, :, None] + transitions).reshape(-1, labels)  # (n·K, K)
        order = np.argsort(-arriving, axis=0, kind="stable")[:count]
        scores = np.take_along_axis(arriving, order, axis=0) + logits[t]
        pointers.append(order)
    flat = scores.reshape(-1)
    chosen = np.argsort(-flat, kind="stable")[:count]
    chosen = chosen[np.isfinite(flat[chosen])]
    found = np.empty((len(chosen), pieces), dtype=np.int64)
    cursor = chosen
    for t in range(pieces - 1, -1, -1):
        found[:, t] = cursor % labels
        if t:
            cursor = pointers[t - 1].reshape(-1)[cursor]
    return found, flat[chosen]


@dataclass(frozen=True)
class Posterior:
    """Scaled forward and backward vectors of a batch (Rabiner 1989, §V.A), in float64.

    weights    (B, T, K)  exp of the logits, largest 1 in each piece
    moves      (K, K)     exp of the transitions, largest 1
    ahead      (B, T, K)  forward vectors, each of sum 1
    behind     (B, T, K)  backward vectors: ahead · behind is the marginal of each label
    scales     (B, T)     what each forward vector was divided by; 1 under padding
    log_total  (B,)       log of the partition function, nats
    """

    weights: Floats
    moves: Floats
    ahead: Floats
    behind: Floats
    scales: Floats
    log_total: Floats

    @classmethod
    def of(cls, logits: Floats, mask: Mask, transitions: Floats, starts: Floats) -> Posterior:
        """The posterior over legal label sequences; arguments as in `constrained_viterbi`, T ≥ 1."""
        weights, peaks = _relative(logits.astype(np.float64), axis=2)
        moves, move_peak = _relative(transitions.astype(np.float64), axis=None)
        first, first_peak = _relative(starts.astype(np.float64), axis=None)
        pieces = logits.shape[1]
        ahead, behind = np.empty_like(weights), np.ones_like(weights)
        scales = np.ones(mask.shape)
        state = first * weights[:, 0]
        for t in range(pieces):
            if t:
                state = (ahead[:, t - 1] @ moves) * weights[:, t]
            total = state.sum(axis=1)
            real = mask[:, t]
            scales[real, t] = total[real]
            ahead[:, t] = np.where(real[:, None], state / total[:, None], ahead[:, t - 1])
        for t in range(pieces - 1, 0, -1):
            carried = ((behind[:, t] * weights[:, t]) @ moves.T) / scales[:, t, None]
            behind[:, t - 1] = np.where(mask[:, t, None], carried, 1.0)
        peaks = np.where(mask, np.log(scales) + peaks[:, :, 0], 0.0)
        lengths = mask.sum(axis=1)
        log_total = peaks.sum(axis=1) + move_peak * np.maximum(lengths - 1, 0) + first_peak * (lengths > 0)
        return cls(weights, moves, ahead, behind, scales, log_total)

    @property
    def marginals(self) -> Floats:
        """(B, T, K) the probability of each label at each real piece."""
        return self.ahead * self.behind

    def of_spans(self, labels: Ids, mask: Mask, spans: list[LabelSpan]) -> Floats:
        """(N,) the probability that exactly this span, both boundaries and the tag, is in the label sequence.

        It is the forward weight of B at the first piece, times the moves along the span, times the backward weight of
        not going on: a sum over all legal sequences that hold the span, with no independence assumed between pieces."""
        if not spans:
            return np.zeros(0)
        row, first, last, begin = _columns(spans)
        steps = self.moves[labels[:, :-1], labels[:, 1:]] / self.scales[:, 1:]
        steps = steps * np.take_along_axis(self.weights[:, 1:], labels[:, 1:, None], axis=2)[:, :, 0]
        along = np.zeros(labels.shape)  # (B, T) log weight of the path from piece 0
        np.cumsum(np.log(np.where(mask[:, 1:], steps, 1.0)), axis=1, out=along[:, 1:])
        inside = np.exp(along[row, last] - along[row, first])
        return np.clip(self.ahead[row, first, begin] * inside * self._ending(labels, mask, row, last, begin), 0.0, 1.0)

    def _ending(self, labels: Ids, mask: Mask, row: Ids, last: Ids, begin: Ids) -> Floats:
        """(N,) backward weight of spans that end at their last piece: all moves but the one into I of the same tag."""
        pieces = labels.shape[1]
        after = np.minimum(last + 1, pieces - 1)
        onward = self.moves[labels[row, last]].copy()  # (N, K)
        onward[np.arange(len(row)), begin + 1] = 0.0
        weight = (onward * self.weights[row, after] * self.behind[row, after]).sum(axis=1) / self.scales[row, after]
        goes_on = (last + 1 < pieces) & mask[row, after]
        return np.where(goes_on, weight, 1.0)


def _relative(scores: Floats, axis: int | None) -> tuple[Floats, Floats]:
    """exp(scores - peak), floored for finite scores, and the peak: with its axes kept, or a scalar for axis None."""
    peak = scores.max(axis=axis, keepdims=axis is not None)
    weights = np.exp(np.maximum(scores - peak, -_DEEPEST_NATS))
    return np.where(np.isneginf(scores), 0.0, weights), peak


def _columns(spans: list[LabelSpan]) -> tuple[Ids, Ids, Ids, Ids]:
    """Row, first piece, last piece and B- label id of every span, (N,) each."""
    table = np.array([(s.row, s.first_piece, s.end_piece - 1, 2 * s.tag + 1) for s in spans], dtype=np.int64)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def label_spans(labels: Ids, mask: Mask) -> list[LabelSpan]:
    """The spans of legal label sequences (B, T), row by row from left to right. `tag` indexes `LabelSet.tags`."""
    real = np.where(mask, labels, 0)
    begins = real % 2 == 1
    inside_next = np.zeros_like(begins)
    inside_next[:, :-1] = (real[:, 1:] > 0) & (real[:, 1:] % 2 == 0)
    rows, firsts = np.nonzero(begins)
    _, lasts = np.nonzero((real > 0) & ~inside_next)
    tags = (real[rows, firsts] - 1) // 2
    columns = (rows.tolist(), tags.tolist(), firsts.tolist(), (lasts + 1).tolist())
    return [LabelSpan(*span) for span in zip(*columns, strict=True)]


def trim(raw: str, start: int, end: int) -> tuple[int, int] | None:
    """The range without what is no letter or digit at its ends, in code points; None when nothing is left.

    Letters and digits are the Unicode categories L* and N*, which is what str.isalnum tests. Combining marks (M*) are
    neither, but those that follow the last letter are part of it: the end keeps them, so that no accent or vowel sign
    is cut off its letter."""
    while start < end and not raw[start].isalnum():
        start += 1
    kept = end
    while kept > start and not raw[kept - 1].isalnum():
        kept -= 1
    if kept == start:
        return None
    while kept < end and unicodedata.category(raw[kept])[0] == "M":
        kept += 1
    return start, kept


@dataclass(frozen=True)
class Span:
    """A tagged part of a text: `raw[start:end] == value`, offsets in code points, end exclusive.

    `confidence` is the model's probability (0..1) of exactly this span."""

    tag: str
    value: str
    start: int
    end: int
    confidence: float


def components_of(spans: tuple[Span, ...]) -> dict[str, str]:
    """One value per tag, in order of first appearance: of several spans the most confident, of equals the first."""
    best: dict[str, Span] = {}
    for span in spans:
        if span.tag not in best or span.confidence > best[span.tag].confidence:
            best[span.tag] = span
    return {tag: span.value for tag, span in best.items()}
