"""How probable labels and spans are: the forward-backward algorithm over legal label sequences. Needs numpy only.

Shape letters: B rows, S steps, K labels, N spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mw_pipeline.decode.paths import batch_last, last_piece_labels, moves_by_kind
from mw_pipeline.decode.spans import LabelSpans
from mw_pipeline.decode.steps import BEGIN, INSIDE_LABELS, Floats, Ids, Mask, Words

# Scores further than this below the best of their step count as this far below: it changes no probability by more
# than 1e-26, and without it one wild logit could leave a row with no legal path of non-zero weight.
_DEEPEST_NATS = 60.0


@dataclass(frozen=True)
class Posterior:
    """Scaled forward and backward vectors of a batch (Rabiner 1989, §V.A), in float64.

    words                 what the vectors are of
    weights    (S, K, B)  exp of the scores, largest 1 in each step
    moves      (K, K)     exp of the transitions, largest 1
    ahead      (S, K, B)  forward vectors, each of sum 1
    behind     (S, K, B)  backward vectors: ahead · behind is the marginal of each label
    scales     (S, B)     what each forward vector was divided by; 1 under padding
    log_total  (B,)       log of the partition function, nats
    """

    words: Words
    weights: Floats
    moves: Floats
    ahead: Floats
    behind: Floats
    scales: Floats
    log_total: Floats

    @classmethod
    def of(cls, words: Words, transitions: Floats, starts: Floats) -> Posterior:
        """The posterior over legal label sequences; transitions and starts as in `constrained_viterbi`, S ≥ 1."""
        # einsum adds up the labels of a lone row in another order than those of rows in company: two of it are company.
        scores, real, long = batch_last(words if len(words) > 1 else words.repeated(2))
        weights, peaks = _relative(scores, axis=1)
        moves, move_peak = _relative(transitions.astype(np.float64), axis=None)
        first, first_peak = _relative(starts.astype(np.float64), axis=None)
        ahead, scales = _forward(weights, real, long, moves, first)
        behind = _backward(weights, real, long, moves, scales)
        lengths = real.sum(axis=0)
        log_total = np.where(real, np.log(scales) + peaks[:, 0], 0.0).sum(axis=0)
        log_total += move_peak * np.maximum(lengths - 1, 0) + first_peak * (lengths > 0)
        weights, ahead, behind, scales = (part[..., : len(words)] for part in (weights, ahead, behind, scales))
        return cls(words, weights, moves, ahead, behind, scales, log_total[: len(words)])

    @property
    def marginals(self) -> Floats:
        """(B, S, K) the probability of each label at each real step."""
        return (self.ahead * self.behind).transpose(2, 0, 1)

    def of_spans(self, labels: Ids, spans: LabelSpans) -> Floats:
        """(N,) the probability that exactly this span, both boundaries and the tag, is in the label sequence.

        It is the forward weight of B at the first step, times the moves along the span, times the backward weight of
        not going on: a sum over all legal sequences that hold the span, with no independence assumed between steps.
        The spans are those of the label sequences (B, S)."""
        if not len(spans):
            return np.zeros(0)
        row, first, last, begin = spans.rows, spans.firsts, spans.ends - 1, 2 * spans.tags + 1
        first_labels, last_labels = labels.T, last_piece_labels(labels, self.words.long).T
        steps = self.moves[last_labels[:-1], first_labels[1:]] / self.scales[1:]
        steps = steps * np.take_along_axis(self.weights[1:], first_labels[1:, None], axis=1)[:, 0]
        path_weights = np.zeros(first_labels.shape)  # (S, B) log weight of the path from step 0
        np.cumsum(np.log(np.where(self.words.mask.T[1:], steps, 1.0)), axis=0, out=path_weights[1:])
        inside = np.exp(path_weights[last, row] - path_weights[first, row])
        ending = self._ending(last_labels[last, row], row, last, begin)
        return np.clip(self.ahead[first, begin, row] * inside * ending, 0.0, 1.0)

    def _ending(self, last_labels: Ids, row: Ids, last: Ids, begin: Ids) -> Floats:
        """(N,) backward weight of spans that leave their last step with these labels: all moves but the one into I
        of the same tag."""
        steps = len(self.scales)
        after = np.minimum(last + 1, steps - 1)
        onward = self.moves[last_labels].copy()  # (N, K)
        onward[np.arange(len(row)), begin + 1] = 0.0
        weight = (onward * self.weights[after, :, row] * self.behind[after, :, row]).sum(axis=1)
        goes_on = (last + 1 < steps) & self.words.mask[row, after]
        return np.where(goes_on, weight / self.scales[after, row], 1.0)


def _forward(weights: Floats, real: Mask, long: Mask, moves: Floats, first: Floats) -> tuple[Floats, Floats]:
    """Forward vectors (S, K, B), each of sum 1, and what they were divided by (S, B)."""
    fresh, enter, stay = moves_by_kind(moves)
    ahead, scales = np.empty_like(weights), np.ones(real.shape)
    state = first[:, None] * weights[0]
    for t in range(len(weights)):
        if t:
            left = ahead[t - 1].copy()
            np.add(left[BEGIN], left[INSIDE_LABELS], out=left[INSIDE_LABELS], where=long[t - 1])
            np.copyto(left[BEGIN], 0.0, where=long[t - 1])
            arriving = np.einsum("kb,kj->jb", left, fresh)
            state = np.empty_like(left)
            state[0], state[BEGIN] = arriving[0], arriving[1:]
            state[INSIDE_LABELS] = left[BEGIN] * enter[:, None] + left[INSIDE_LABELS] * stay[:, None]
            state *= weights[t]
        total = state.sum(axis=0)
        np.copyto(scales[t], total, where=real[t])
        ahead[t] = np.where(real[t], state / total, ahead[t - 1])
    return ahead, scales


def _backward(weights: Floats, real: Mask, long: Mask, moves: Floats, scales: Floats) -> Floats:
    """Backward vectors (S, K, B), scaled like the forward ones."""
    fresh, enter, stay = moves_by_kind(moves)
    into_fresh = np.ascontiguousarray(fresh.T)
    behind = np.ones_like(weights)
    for t in range(len(weights) - 1, 0, -1):
        onward = behind[t] * weights[t] / scales[t]
        carried = np.einsum("jb,jk->kb", np.concatenate((onward[:1], onward[BEGIN])), into_fresh)
        carried[BEGIN] += onward[INSIDE_LABELS] * enter[:, None]
        carried[INSIDE_LABELS] += onward[INSIDE_LABELS] * stay[:, None]
        np.copyto(carried[BEGIN], carried[INSIDE_LABELS], where=long[t - 1])
        np.copyto(behind[t - 1], carried, where=real[t])
    return behind


def _relative(scores: Floats, axis: int | None) -> tuple[Floats, Floats]:
    """exp(scores - peak), floored for finite scores, and the peak: with its axes kept, or a scalar for axis None."""
    peak = scores.max(axis=axis, keepdims=axis is not None)
    weights = np.exp(np.maximum(scores - peak, -_DEEPEST_NATS))
    return np.where(np.isneginf(scores), 0.0, weights), peak
