"""Peak exposure: could this run have seen what the full run will meet?

A smoke whose rate had decayed, whose batch was smaller or whose data was other data may end without a failure and say
nothing about the full run (M01, M02, M04). Such a run is `invalid`, never `pass`.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import Recipe
from mw_pipeline.schedule import NEAR_PEAK_SHARE, SCHEDULES, lr_share, near_peak_end
from mw_pipeline.verdict.runlog import Row

MAX_REQUIRED_STEPS = 2000
REQUIRED_EVALS = 5
COMPARED_DIGESTS = ("loss", "model", "mix", "tokenizer", "labels", "data")
RATE_TOLERANCE_SHARE = 0.01
_GAP_INTERVALS = 5
_MOST = 10**12  # steps or rows: more is a slip, and would not fit the integers that schedules are searched with


@dataclass(frozen=True)
class RunFacts:
    """What decides the exposure of a run; None where nobody recorded it.

    steps is the length of the schedule, effective_batch = batch × accumulation × processes, digests holds what of
    COMPARED_DIGESTS is known.
    """

    schedule: str | None = None
    steps: int | None = None
    warmup_steps: int | None = None
    cooldown_from: int | None = None
    peak_lr: float | None = None
    effective_batch: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """One reason why a run is invalid."""

    rule: str
    detail: str


@dataclass(frozen=True)
class Exposure:
    """The near-peak stretch of a run against that of the full run.

    window is (first step, first step after it), evals counts evaluations from its first step to its end.
    near_peak_steps, window, evals and ratio are None when neither facts nor logged rates give them.
    """

    window: tuple[int, int] | None
    near_peak_steps: int | None
    required_steps: int | None
    evals: int | None
    ratio: float | None


def recipe_digests(recipe: Recipe) -> dict[str, str]:
    """Digests of what a recipe binds, by section; `labels` is the hash of the label set. A run records them."""
    sections = {name: digest_of(recipe.slice(name)) for name in ("loss", "model", "mix", "train", "smoke")}
    return {**sections, "labels": recipe.label_set.hash, "recipe": recipe.digest}


def full_facts(recipe: Recipe, digests: Mapping[str, str] | None = None) -> RunFacts:
    """The full run of a recipe. `digests` adds what the recipe alone does not know: data, tokenizer."""
    train = recipe.train
    return RunFacts(
        schedule=train.schedule,
        steps=train.steps,
        warmup_steps=train.warmup_steps,
        cooldown_from=train.cooldown_from,
        peak_lr=train.peak_lr,
        effective_batch=train.effective_batch,
        digests={**recipe_digests(recipe), **(digests or {})},
    )


def facts_of_run(run: Row) -> RunFacts:
    """What a run.json says about its run. Raises ArtifactError when a fact is of the wrong kind."""
    factors = [_whole(run, key) for key in ("batch_size", "accumulation", "processes")]
    known = [factor for factor in factors if factor is not None]
    product = known[0] * known[1] * known[2] if len(known) == len(factors) else None
    schedule, digests = run.get("schedule"), run.get("digests") or {}
    if schedule is not None and schedule not in SCHEDULES:
        raise ArtifactError(f"run.json: schedule is {schedule!r}, expected one of {', '.join(SCHEDULES)}. Correct it.")
    if not isinstance(digests, dict):
        raise ArtifactError(f"run.json: digests is {digests!r}, expected a table of name and digest. Correct it.")
    return RunFacts(
        schedule=schedule,
        steps=_whole(run, "max_steps"),
        warmup_steps=_whole(run, "warmup_steps"),
        cooldown_from=_whole(run, "cooldown_from"),
        peak_lr=number_of(run, "peak_lr"),
        effective_batch=_whole(run, "effective_batch") if product is None else product,
        digests={str(name): str(digest) for name, digest in digests.items()},
    )


def number_of(facts: Row, key: str) -> float | None:
    """A number of run.json, or None when it is not there. Raises ArtifactError for anything else."""
    value: JSON = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise ArtifactError(f"run.json: {key} is {value!r}, expected a number. Correct it.")
    return None if value is None else float(value)


def _whole(facts: Row, key: str) -> int | None:
    value = number_of(facts, key)
    if value is not None and not (value.is_integer() and 0 <= value <= _MOST):
        raise ArtifactError(f"run.json: {key} is {facts[key]!r}, expected a whole number up to {_MOST}. Correct it.")
    return None if value is None else int(value)


def measure(facts: RunFacts, full: RunFacts, steps: Sequence[Row], evals: Sequence[Row]) -> Exposure:
    """The exposure of a run by its schedule, else by its logged rates."""
    window = _window_of_schedule(facts) or _window_of_rates(steps)
    whole = _window_of_schedule(full)
    full_steps = None if whole is None else whole[1] - whole[0]
    # ceil(n / 2): with an odd number of near-peak steps, half of them is not yet half.
    required = None if full_steps is None else min(MAX_REQUIRED_STEPS, -(-full_steps // 2))
    if window is None:
        return Exposure(None, None, required, None, None)
    near_peak = window[1] - window[0]
    # The evaluation at the window's end has seen all of its steps, so it counts.
    seen = sum(window[0] <= row["step"] <= window[1] for row in evals)
    return Exposure(window, near_peak, required, seen, near_peak / full_steps if full_steps else None)


def _window_of_schedule(facts: RunFacts) -> tuple[int, int] | None:
    if facts.schedule is None or facts.steps is None or facts.warmup_steps is None:
        return None
    end = near_peak_end(
        schedule=facts.schedule,
        warmup_steps=facts.warmup_steps,
        steps=facts.steps,
        cooldown_from=facts.cooldown_from,
    )
    return min(facts.warmup_steps, end), end


def _window_of_rates(steps: Sequence[Row]) -> tuple[int, int] | None:
    """The stretch from the first logged top rate to where the rate leaves 0.6 of it, interpolated between rows."""
    rates = [
        (int(row["step"]), float(row["lr"])) for row in steps if row.get("lr") is not None and math.isfinite(row["lr"])
    ]
    top = max((rate for _, rate in rates), default=0.0)
    if top <= 0.0:
        return None
    start = next(index for index, (_, rate) in enumerate(rates) if rate >= (1 - RATE_TOLERANCE_SHARE) * top)
    limit = NEAR_PEAK_SHARE * top
    for (before, high), (after, low) in itertools.pairwise(rates[start:]):
        if low < limit:
            crossing = before + (after - before) * (high - limit) / (high - low)
            return rates[start][0], int(crossing) + 1
    return rates[start][0], rates[-1][0] + 1


def problems_of(
    facts: RunFacts, full: RunFacts, exposure: Exposure, steps: Sequence[Row]
) -> tuple[list[Problem], list[str]]:
    """(why the run is invalid, what could not be checked and why)."""
    judged = [
        what_is_missing(facts, steps),
        _too_short(exposure),
        _too_few_evals(exposure),
        _other_number("effective_batch", "effective batch", facts.effective_batch, full.effective_batch),
        _other_number("peak_lr", "peak rate", facts.peak_lr, full.peak_lr),
        *_other_digests(facts.digests, full.digests),
        _other_rates(facts, steps),
    ]
    return [p for p in judged if isinstance(p, Problem)], [text for text in judged if isinstance(text, str)]


def _too_short(exposure: Exposure) -> Problem | str | None:
    if exposure.near_peak_steps is None or exposure.required_steps is None:
        return "exposure: neither run.json nor the log says the schedule"
    if exposure.near_peak_steps >= exposure.required_steps:
        return None
    return Problem("exposure", f"{exposure.near_peak_steps} near-peak steps, {exposure.required_steps} required")


def _too_few_evals(exposure: Exposure) -> Problem | str | None:
    if exposure.evals is None:
        return "evals in the window: the window is not known"
    if exposure.evals >= REQUIRED_EVALS:
        return None
    return Problem("evals", f"{exposure.evals} evaluations near the peak rate, {REQUIRED_EVALS} required")


def _other_number(rule: str, name: str, found: float | None, wanted: float | None) -> Problem | str | None:
    if found is None or wanted is None:
        return f"{name}: {'run.json' if found is None else 'the full run'} does not say it"
    return None if found == wanted else Problem(rule, f"{name} {found:g} ≠ {wanted:g} of the full run")


def _other_digests(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[Problem | str]:
    """Differences in what both sides name. A run that names only its recipe is compared by that."""
    names = [name for name in COMPARED_DIGESTS if name in found and name in wanted]
    if "recipe" in found and not any(name in found for name in ("loss", "model", "mix")):
        names.append("recipe")
    unknown = [name for name in COMPARED_DIGESTS if name not in names]
    judged: list[Problem | str] = [
        Problem("digests", f"{name} digest {found[name][:12]} ≠ {wanted[name][:12]} of the full run")
        for name in names
        if name in wanted and found[name] != wanted[name]
    ]
    return [*judged, *([f"digests of {', '.join(unknown)}: not on both sides"] if unknown else [])]


def what_is_missing(facts: RunFacts, steps: Sequence[Row]) -> Problem | str | None:
    """The log reaches from the start of the window to the end of the run, without a hole in between."""
    if not steps:
        return Problem("log_incomplete", "log incomplete: it has no steps")
    at = [int(row["step"]) for row in steps]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    interval = statistics.median(gaps) if gaps else 1
    widest = max(range(len(gaps)), key=gaps.__getitem__, default=0)
    if gaps and gaps[widest] > _GAP_INTERVALS * interval and gaps[widest] > 0.05 * at[-1]:
        return Problem("log_incomplete", f"log incomplete: nothing between steps {at[widest]} and {at[widest + 1]}")
    if facts.steps is None or facts.warmup_steps is None:
        return "log complete: run.json does not say max_steps and warmup_steps"
    if at[0] > facts.warmup_steps + interval:
        return Problem("log_incomplete", f"log incomplete: it begins at step {at[0]}, after the warmup")
    if at[-1] < facts.steps - 1 - interval:
        return Problem("log_incomplete", f"log incomplete: it ends at step {at[-1]} of {facts.steps}")
    return None


def _other_rates(facts: RunFacts, steps: Sequence[Row]) -> Problem | str | None:
    """The logged rates are those of the declared schedule; one step of difference in numbering is allowed."""
    if None in (facts.schedule, facts.steps, facts.warmup_steps) or not any(_has_rate(row) for row in steps):
        return "logged rates against the schedule: not both are there"
    other = first_other_rate(facts, steps, slack_share=RATE_TOLERANCE_SHARE, off_by_steps=1)
    return None if other is None else Problem("schedule", str(other))


@dataclass(frozen=True)
class OtherRate:
    """A logged rate that is not the schedule's."""

    step: int
    logged: float
    scheduled: float

    def __str__(self) -> str:
        return f"the log's rate at step {self.step} is {self.logged:g}, its schedule says {self.scheduled:g}"


def first_other_rate(
    facts: RunFacts, steps: Sequence[Row], *, slack_share: float, off_by_steps: int = 0
) -> OtherRate | None:
    """The first logged rate that lies outside the schedule's over `off_by_steps` to either side (M01, M37), or None.

    slack_share is a share of the peak rate, which is the highest logged one where run.json does not say it. None too
    where the schedule is not known or no rate is logged.
    """
    rates = [(int(row["step"]), float(row["lr"])) for row in steps if _has_rate(row)]
    if not rates or facts.schedule is None or facts.steps is None or facts.warmup_steps is None:
        return None
    peak = facts.peak_lr or max(rate for _, rate in rates)
    share = functools.partial(
        lr_share,
        schedule=facts.schedule,
        steps=facts.steps,
        warmup_steps=facts.warmup_steps,
        cooldown_from=facts.cooldown_from,
    )
    for step, rate in rates:
        beside = range(max(0, step - off_by_steps), step + off_by_steps + 1)
        near = [peak * share(at) for at in beside]
        if not min(near) - slack_share * peak <= rate <= max(near) + slack_share * peak:
            return OtherRate(step, rate, near[step - beside.start])
    return None


def _has_rate(row: Row) -> bool:
    return row.get("lr") is not None
