"""Training stability: how far validation macro-F1 fell while the rate was near its peak. Pure.

The verdicts of two releases can say nothing here: both have passed, or neither had been trained (M79).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mw_pipeline.digest import JSON
from mw_pipeline.schedule import near_peak_end

EVALUATIONS = 5
NOTICEABLE = 0.02
"""The least difference of two falls that is one."""
_ROUNDING = 1e-9  # 0.05 − 0.03 is above 0.02 in binary, 0.12 − 0.10 is below


def largest_fall(scores: Sequence[float]) -> float | None:
    """The largest fall from one of any five scores running to a later one of them; None with fewer than two."""
    if len(scores) < 2:
        return None
    return max(
        0.0,
        *(before - after for first, before in enumerate(scores) for after in scores[first + 1 : first + EVALUATIONS]),
    )


def stability_of(run: Mapping[str, JSON], evals: Sequence[Mapping[str, JSON]]) -> dict[str, JSON] | None:
    """What a card says of the stability of a full run: the fall, and the evaluations and steps that it was found in.

    `run` is a run.json, `evals` the rows of its evals.jsonl in step order. None where the run does not say its
    schedule, or fewer than two evaluations with a score stand in its near-peak window."""
    schedule, warmup, steps = (run.get(key) for key in ("schedule", "warmup_steps", "max_steps"))
    if schedule is None or warmup is None or steps is None:
        return None
    end = near_peak_end(schedule=schedule, warmup_steps=warmup, steps=steps, cooldown_from=run.get("cooldown_from"))
    # The evaluation at the window's end has seen all of its steps, so it counts, as it does in the verdict.
    inside = [row.get("val_macro_f1") for row in evals if warmup <= row["step"] <= end]
    scores = [float(score) for score in inside if score is not None and math.isfinite(score)]
    fall = largest_fall(scores)
    if fall is None:
        return None
    return {"largest_fall": fall, "evaluations": len(scores), "near_peak_window": [warmup, end]}


def fall_on_card(card: Mapping[str, JSON]) -> float | None:
    """The fall that a card says, whoever wrote it; None where it says none, or what is no fall of a score."""
    training = card.get("training")
    stability = training.get("stability") if isinstance(training, Mapping) else None
    fall = stability.get("largest_fall") if isinstance(stability, Mapping) else None
    if isinstance(fall, bool) or not isinstance(fall, int | float) or not 0 <= fall <= 1:
        return None
    return float(fall)


def compare_stability(candidate: float | None, baseline: float | None) -> dict[str, JSON]:
    """Candidate minus baseline fall; lower is better. Less than 0.02, or a side that is not known, is no difference."""
    difference = None if candidate is None or baseline is None else candidate - baseline
    noticeable = difference is not None and abs(difference) >= NOTICEABLE - _ROUNDING
    verdict = "no difference"
    if noticeable and difference is not None:
        verdict = "better" if difference < 0 else "worse"
    return {
        "candidate": candidate,
        "baseline": baseline,
        "difference": difference,
        "interval": None,
        "verdict": verdict,
    }
