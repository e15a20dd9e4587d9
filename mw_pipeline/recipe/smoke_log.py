"""Whether what a smoke logs can carry a verdict: how long it must be near the peak rate, and how often it must log."""

from __future__ import annotations

from mw_pipeline.recipe.training_recipe import Recipe
from mw_pipeline.schedule import near_peak_end

MAX_REQUIRED_STEPS = 2000
REQUIRED_LOSSES = 50
REQUIRED_EVALS = 5


def logging_problem(recipe: Recipe) -> str | None:
    """Why the smoke of a recipe logs too little for a verdict, by the key's path; None when it logs enough.

    A smoke of mode `cosine` that has decayed too early is left to its verdict: it is there to show that (M01)."""
    smoke, train = recipe.smoke, recipe.train
    schedule = "constant" if smoke.mode == "constant" else "cosine"
    end = near_peak_end(schedule=schedule, warmup_steps=train.warmup_steps, steps=smoke.steps)
    steps = end - min(train.warmup_steps, end)
    if smoke.mode == "cosine" and steps < required_steps(_near_peak_steps(recipe)):
        return None
    if steps < REQUIRED_LOSSES:
        return (
            f"smoke.steps is {smoke.steps}, which leaves {steps} near the peak rate after {train.warmup_steps} of "
            f"warmup, expected {REQUIRED_LOSSES} at least: each logs one loss at most. Raise it."
        )
    losses = _count(train.warmup_steps, end, train.log_every, smoke.steps)
    if losses < REQUIRED_LOSSES:
        return (
            f"train.log_every is {train.log_every}: the smoke would log {losses} losses near the peak rate, expected "
            f"{REQUIRED_LOSSES} at least, for a verdict sees no more than its log. Lower it, or raise smoke.steps."
        )
    evals = _count(train.warmup_steps, end, smoke.eval_every, smoke.steps)
    if evals < REQUIRED_EVALS:
        return (
            f"smoke.eval_every is {smoke.eval_every}: the smoke would be evaluated {evals} times near the peak rate, "
            f"expected {REQUIRED_EVALS} at least. Lower it, or raise smoke.steps."
        )
    return None


def required_steps(near_peak_steps: int) -> int:
    """Near-peak steps that a smoke must have, for a full run with so many."""
    # ceil(n / 2): with an odd number of near-peak steps, half of them is not yet half.
    return min(MAX_REQUIRED_STEPS, -(-near_peak_steps // 2))


def _near_peak_steps(recipe: Recipe) -> int:
    train = recipe.train
    course = train.model_dump(include={"schedule", "warmup_steps", "steps", "cooldown_from"})
    return near_peak_end(**course) - train.warmup_steps


def _count(first: int, last: int, every: int, steps: int) -> int:
    """Multiples of `every` from first to last; the last step of a run is logged and evaluated too."""
    found = last // every - max(0, first - 1) // every
    return found + (last == steps and last % every > 0)
