"""Learning-rate schedules as shares of the peak rate, and how long each stays near its peak.

A rate depends on the step alone, never on what ran before, so a resumed run cannot jump (M37).
"""

from __future__ import annotations

import bisect
import math
from typing import Literal

from mw_pipeline.errors import RecipeError

Schedule = Literal["cosine", "constant", "linear_cooldown"]

SCHEDULES: tuple[Schedule, ...] = ("cosine", "constant", "linear_cooldown")
NEAR_PEAK_SHARE = 0.6


def lr_share(
    step: int,
    *,
    schedule: str,
    warmup_steps: int,
    steps: int,
    cooldown_from: int | None = None,
) -> float:
    """The share of the peak learning rate, 0..1, that holds at `step` of a run of `steps` steps.

    Warmup is linear, step / warmup_steps. After it: `constant` stays at 1; `cosine` is ½(1 + cos πp) with
    p = (step − warmup_steps) / (steps − warmup_steps); `linear_cooldown` stays at 1 until `cooldown_from`
    (default: the end of warmup) and falls linearly to 0 at `steps`. Cosine and cooldown are 0 from `steps` on.
    Raises RecipeError for another schedule name.
    """
    if schedule not in SCHEDULES:
        raise RecipeError(f"train.schedule is {schedule!r}: expected one of {', '.join(SCHEDULES)}.")
    if step < warmup_steps:
        return max(0, step) / warmup_steps
    if schedule == "constant":
        return 1.0
    if step >= steps:
        return 0.0
    if schedule == "cosine":
        progress = (step - warmup_steps) / (steps - warmup_steps)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
    start = warmup_steps if cooldown_from is None else max(cooldown_from, warmup_steps)
    return 1.0 if step < start else (steps - step) / (steps - start)


def near_peak_end(
    *,
    schedule: str,
    warmup_steps: int,
    steps: int,
    cooldown_from: int | None = None,
    share: float = NEAR_PEAK_SHARE,
) -> int:
    """The first step after warmup whose rate is below `share` of the peak; `steps` when none is.

    The near-peak steps are warmup_steps ≤ s < this value. Exact, because no schedule rises after its warmup.
    """
    if warmup_steps >= steps:
        return warmup_steps
    return bisect.bisect_left(
        range(steps),
        True,
        lo=warmup_steps,
        key=lambda step: (
            lr_share(step, schedule=schedule, warmup_steps=warmup_steps, steps=steps, cooldown_from=cooldown_from)
            < share
        ),
    )
