"""How probable labels and spans are: the forward-backward algorithm over legal label sequences. Needs numpy only.

Shape letters: B rows, S steps, K labels, N spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mw_pipeline.decode.moves import LEAST_WEIGHT, Floats, Ids, Moves, relative_weights
from mw_pipeline.decode.spans import LabelSpans
from mw_pipeline.decode.steps import Mask, Words

# A move makes a vector smaller by e^-120 at most, a confidence has one of each sweep, and float64 ends at e^±708.
_MOVES_A_SCALE = 2
# Above a half by more than any rounding, of the posterior's sums or of Viterbi's.
_LOG_OF_MORE_THAN_HALF = float(np.log(0.51))


@dataclass(frozen=True)
class Posterior:
    """Scaled forward and backward vectors of a batch (Rabiner 1989, §V.A), in float64.

    Both are sweeps over the steps of a row that begin at an end of that row, so that what pads it comes after them.

    words                    what the vectors are of
    moves                    what moves between their labels score
    weights   (B, S, K)      exp of the scores, largest 1 in each step
    back      (B, S)         the step at which the backward sweep is after t moves; 0 when it is through
    sweeps    (S, 2, B, K)   [t, 0] weight of all ways into step t, without its own; [t, 1] out of step `back`
    scales    (S, 2, B)      log of what these were divided by
    log_sum   (B,)           log of the weight of all label sequences, nats
    """

    words: Words
    moves: Moves
    weights: Floats
    back: Ids
    sweeps: Floats
    scales: Floats
    log_sum: Floats

    @classmethod
    def of(cls, words: Words, moves: Moves) -> Posterior:
        """The posterior over legal label sequences; every row has a step."""
        weights = relative_weights(words.scores, axis=2)
        rows, last = np.arange(len(words)), words.mask.sum(axis=1) - 1
        back = np.maximum(last[:, None] - np.arange(weights.shape[1]), 0)
        sweeps, scales = _swept(words, weights, back, moves)
        log_sum = np.log((sweeps[last, 0, rows] * weights[rows, last]).sum(axis=1)) + scales[last, 0, rows]
        return cls(words, moves, weights, back, sweeps, scales, log_sum)

    @property
    def log_total(self) -> Floats:
        """(B,) log of the partition function, nats."""
        peaks = np.where(self.words.mask, self.words.scores.max(axis=2), 0.0).sum(axis=1)
        total: Floats = self.log_sum + peaks + self.moves.transitions.max() * self.back[:, 0] + self.moves.starts.max()
        return total

    @property
    def marginals(self) -> Floats:
        """(B, S, K) the probability of each label at each real step."""
        joint = self._joint
        found: Floats = joint / joint.sum(axis=2, keepdims=True)
        return found

    @property
    def likeliest(self) -> Ids:
        """(B, S) the label of the highest probability at each step, whether or not they may follow each other; 0 under
        padding."""
        labels: Ids = self._joint.argmax(axis=2) * self.words.mask
        return labels

    @property
    def _joint(self) -> Floats:
        """(B, S, K) the marginals, but for a factor of each step."""
        behind = self.sweeps[self.back, 1, np.arange(len(self.words))[:, None]]
        joint: Floats = self.sweeps[:, 0].swapaxes(0, 1) * self.weights
        joint *= behind
        return joint

    def holds_half(self, labels: Ids) -> Mask:
        """(B,) True where a label sequence is proved to have more than half of the probability of its row.

        A floored weight proves nothing of the sequence that has it; of others, it makes the proof harder."""
        steps, real = self._steps(labels), self.words.mask
        steps[:, 0] *= self.moves.start_weights[labels[:, 0]]
        unfloored = np.minimum.reduce(steps, axis=1, where=real, initial=1.0) > LEAST_WEIGHT
        log_share = np.add.reduce(np.log(np.maximum(steps, LEAST_WEIGHT)), axis=1, where=real) - self.log_sum
        held: Mask = unfloored & (log_share > _LOG_OF_MORE_THAN_HALF)
        return held

    def of_spans(self, labels: Ids, spans: LabelSpans) -> Floats:
        """(N,) the probability that exactly this span, both boundaries and the tag, is in the label sequence.

        It is the forward weight of B at the first step, times the moves along the span, times the backward weight of
        not going on: a sum over all legal sequences that hold the span, with no independence assumed between steps.
        The spans are those of the label sequences (B, S)."""
        if not len(spans):
            return np.zeros(0)
        row, first, last, begin = spans.rows, spans.firsts, spans.ends - 1, 2 * spans.tags + 1
        left = self.back[row, last]  # moves from the last step of a span to the end of its row
        along = self._along(labels)
        inside = along[row, last] - along[row, first] + np.log(self.weights[row, first, begin])
        outside = self.scales[first, 0, row] + self.scales[left, 1, row] - self.log_sum[row]
        weight = self.sweeps[first, 0, row, begin] * np.exp(inside + outside)
        weight *= self._ending(labels, row, last, left, begin)
        found: Floats = np.minimum(np.maximum(weight, 0.0), 1.0)
        return found

    def _along(self, labels: Ids) -> Floats:
        """(B, S) log of the weight of the label sequences from step 0, up to and with each step."""
        along: Floats = np.log(self._steps(labels)).cumsum(axis=1)
        return along

    def _steps(self, labels: Ids) -> Floats:
        """(B, S) the weight of each label, times that of the move into it."""
        rows, count = labels.shape
        steps: Floats = self.weights[np.arange(rows)[:, None], np.arange(count), labels]
        several = self.words.long[:, :-1].view(np.uint8)
        steps[:, 1:] *= self.moves.leaving_weights[several, labels[:, :-1], labels[:, 1:]]
        return steps

    def _ending(self, labels: Ids, row: Ids, last: Ids, left: Ids, begin: Ids) -> Floats:
        """(N,) backward weight at the last steps of spans, of all moves but the one into I of the same tag."""
        label, long = labels[row, last], self.words.long[row, last].view(np.uint8)
        after, before = np.minimum(last + 1, labels.shape[1] - 1), np.maximum(left - 1, 0)
        onward = self.moves.leaving_weights[long, label, begin + 1] * self.weights[row, after, begin + 1]
        onward *= self.sweeps[before, 1, row, begin + 1] * np.exp(
            self.scales[before, 1, row] - self.scales[left, 1, row]
        )
        ending: Floats = self.sweeps[left, 1, row, label] - np.where(left > 0, onward, 0.0)
        return ending


def _swept(words: Words, weights: Floats, back: Ids, moves: Moves) -> tuple[Floats, Floats]:
    """Both sweeps (S, 2, B, K), and the log of what they were divided by, up to each step (S, 2, B).

    A move is one product with a matrix of 2·K rows: the labels of words of one piece, and of several, which are left
    with other moves. numpy makes a product of its own of each row: company does not change the order of its sums."""
    rows, steps, labels = weights.shape
    row, move, several = np.arange(rows)[:, None], np.arange(steps - 1), words.long.view(np.uint8)
    loads = np.zeros((2, rows, steps - 1, 2, labels))
    loads[0, row, move, several[:, :-1]] = weights[:, :-1]
    loads[1, row, move, several[row, back[:, 1:]]] = weights[row, back[:, :-1]]
    sweeps, sums = np.empty((steps, 2, rows, 1, labels)), np.ones((steps, 2, rows, 1, 1))
    sweeps[0, 0], sweeps[0, 1] = moves.start_weights, 1.0
    carried = np.empty((2, rows, 2, labels))
    as_rows = carried.reshape(2, rows, 1, 2 * labels)
    before = sweeps[0]
    for t, here in enumerate(sweeps[1:]):
        np.multiply(before, loads[:, :, t], out=carried)
        np.matmul(as_rows, moves.sweep_weights, out=here)
        if t % _MOVES_A_SCALE == 0:
            here /= np.add.reduce(here, axis=-1, keepdims=True, out=sums[t + 1])
        before = here
    scales: Floats = np.log(sums[..., 0, 0]).cumsum(axis=0)
    return sweeps[:, :, :, 0], scales
