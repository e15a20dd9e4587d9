"""Learned weights of losses, and whether they may be read at all (M58).

Uncertainty weighting is at rest where σ² = L for every task: until it is there, the weights say how far a step size has
carried them and nothing about the tasks. Pure functions of numbers and of log rows; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.runlog import Row

REST_TOLERANCE = 0.1
"""|σ²/L − 1| of a task that is at rest."""
ROOM_SHARE = 0.7
"""|Δ log σ²| above this share of Σ lr has gone as fast as it could all along: where it would stop is not known."""
_LAST_ROWS = 5


def weight_shares(sigmas: Mapping[str, float]) -> dict[str, float]:
    """Task → σ⁻² / Σ σ⁻²."""
    precisions = {task: sigma**-2 for task, sigma in sigmas.items()}
    total = sum(precisions.values())
    return {task: precision / total for task, precision in precisions.items()}


@dataclass(frozen=True)
class TaskWeights:
    """Learned weights at the end of a run. `doubts` say why they must not be interpreted; none: they may."""

    sigmas: Mapping[str, float]
    losses: Mapping[str, float]
    doubts: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """Task → its share of the weight."""
        return weight_shares(self.sigmas)

    def one_line(self) -> str:
        """The weights, or why they say nothing."""
        shares = ", ".join(f"{task} {share:.2%}" for task, share in self.shares.items())
        if self.doubts:
            return f"learned task weights ({shares}): do not interpret: {'; '.join(self.doubts)}"
        return f"learned task weights: {shares}, at rest"

    def as_json(self) -> dict[str, JSON]:
        """Everything by name."""
        return {
            "sigmas": dict(self.sigmas),
            "losses": dict(self.losses),
            "shares": self.shares,
            "interpretable": not self.doubts,
            "doubts": list(self.doubts),
        }


def judge_task_weights(
    sigmas: Mapping[str, float],
    losses: Mapping[str, float],
    *,
    start: Mapping[str, float],
    learning_rate_sum: float,
) -> TaskWeights:
    """The weights with every reason against reading them: a task that is not at rest, or had no room to come there.

    `sigmas` and `start` are σ by task at the end and at the beginning, `losses` nats, `learning_rate_sum` Σ lr over the
    steps between: an Adam step moves the logarithm of a variance by about one lr at most.
    """
    doubts = []
    for task, sigma in sigmas.items():
        loss = losses[task]
        if not (math.isfinite(loss) and loss > 0 and abs(sigma**2 / loss - 1) <= REST_TOLERANCE):
            doubts.append(f"{task} is not at rest (σ² {sigma**2:.4g}, loss {loss:.4g} nats)")
        moved = abs(2 * math.log(sigma / start[task]))
        if not moved < ROOM_SHARE * learning_rate_sum:
            doubts.append(f"{task} had no room: log σ² moved by {moved:.3g} where Σ lr allows {learning_rate_sum:.3g}")
    return TaskWeights(sigmas, losses, tuple(doubts))


def task_weights_of(steps: Sequence[Row]) -> TaskWeights | None:
    """What a run's steps.jsonl says of its learned weights; None for a run that learned none.

    The loss of a task is the median of its last five logged values; Σ lr counts a logged rate for every step since the
    row before it. Weights begin at σ = 1.
    """
    rows = [row for row in steps if row.get("sigmas")]
    if not rows:
        return None
    sigmas: Mapping[str, float] = rows[-1]["sigmas"]
    last = rows[-_LAST_ROWS:]
    losses = {task: median(float(row[task]) for row in last if task in row["sigmas"]) for task in sigmas}
    before = [0, *(int(row["step"]) for row in rows[:-1])]
    walked = sum(float(row["lr"]) * (int(row["step"]) - start) for row, start in zip(rows, before, strict=True))
    return judge_task_weights(sigmas, losses, start=dict.fromkeys(sigmas, 1.0), learning_rate_sum=walked)
