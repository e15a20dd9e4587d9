"""Peak exposure: could this run have seen what the full run will meet?

A smoke whose rate had decayed, whose batch was smaller or whose data was other data may end without a failure and say
nothing about the full run (M01, M02, M04). Such a run is `invalid`, never `pass`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mw_pipeline.digest import digest_of
from mw_pipeline.recipe import Recipe, required_steps
from mw_pipeline.schedule import NEAR_PEAK_SHARE, lr_share, near_peak_end
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, sets_of

COMPARED_DIGESTS = ("loss", "model", "mix", "tokenizer", "labels", "data")
RATE_TOLERANCE_SHARE = 0.01


@dataclass(frozen=True)
class RunFacts:
    """What decides the exposure of a run; None where nobody recorded it.

    steps is the length of the schedule, effective_batch = batch × accumulation × processes, digests holds what of
    COMPARED_DIGESTS is known, device is a kind ("cpu", "cuda"), and resumed_from are the steps after which the run went
    on anew. A full run that takes what is there says neither device nor precision.
    """

    schedule: str | None = None
    steps: int | None = None
    warmup_steps: int | None = None
    cooldown_from: int | None = None
    peak_lr: float | None = None
    effective_batch: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    precision: str | None = None
    device: str | None = None
    resumed_from: tuple[int, ...] = ()


@dataclass(frozen=True)
class Exposure:
    """The near-peak stretch of a run against that of the full run.

    window is (first step, first step after it); evals and losses count evaluations and logged training losses from its
    first step to its end. near_peak_steps, window, evals, losses and ratio are None when neither facts nor logged rates
    give them.
    """

    window: tuple[int, int] | None
    near_peak_steps: int | None
    required_steps: int | None
    evals: int | None
    losses: int | None
    ratio: float | None


def recipe_digests(recipe: Recipe) -> dict[str, str]:
    """Digests of what a recipe binds, by section; `labels` is the hash of the label set. A run records them.

    `recipe` is that of all of these: gates and package may change, and a run that is begun or has ended stands."""
    sections = {name: digest_of(recipe.slice(name)) for name in ("loss", "model", "mix", "train", "smoke")}
    sections["labels"] = recipe.label_set.hash
    return {**sections, "recipe": digest_of(sections)}


def full_facts(recipe: Recipe, digests: Mapping[str, str] | None = None, *, device: str | None = None) -> RunFacts:
    """The full run of a recipe. `digests` adds what the recipe alone does not know: data, tokenizer.

    `device` is the kind that it will train on; without it the recipe's own is taken. "auto" says none, of precisions
    too."""
    train = recipe.train
    return RunFacts(
        schedule=train.schedule,
        steps=train.steps,
        warmup_steps=train.warmup_steps,
        cooldown_from=train.cooldown_from,
        peak_lr=train.peak_lr,
        effective_batch=train.effective_batch,
        digests={**recipe_digests(recipe), **(digests or {})},
        precision=None if train.precision == "auto" else train.precision,
        device=_kind_of_device(device or (None if train.device == "auto" else train.device)),
    )


def facts_of_run(run: Row) -> RunFacts:
    """What a run.json says about its run. Raises ArtifactError for a fact that no run could have."""
    facts = run_facts(run)
    product = None
    if facts.batch_size and facts.accumulation and facts.processes:
        product = facts.batch_size * facts.accumulation * facts.processes
    return RunFacts(
        schedule=facts.schedule,
        steps=facts.max_steps,
        warmup_steps=facts.warmup_steps,
        cooldown_from=facts.cooldown_from,
        peak_lr=facts.peak_lr,
        effective_batch=product or facts.effective_batch,
        digests=facts.digests,
        precision=facts.precision,
        device=_kind_of_device(facts.device),
        resumed_from=tuple(facts.resumed_from_steps),
    )


def _kind_of_device(name: str | None) -> str | None:
    """ "cuda" of "cuda:1": which of its kind a device is changes nothing."""
    return None if name is None else name.partition(":")[0]


def measure(facts: RunFacts, full: RunFacts, steps: Sequence[Row], evals: Sequence[Row]) -> Exposure:
    """The exposure of a run by its schedule, else by its logged rates."""
    window = _window_of_schedule(facts) or _window_of_rates(steps)
    whole = _window_of_schedule(full)
    full_steps = None if whole is None else whole[1] - whole[0]
    required = None if full_steps is None else required_steps(full_steps)
    if window is None:
        return Exposure(None, None, required, None, None, None)
    near_peak = window[1] - window[0]
    # What is logged at the window's end has seen all of its steps, so it counts.
    seen = _scores_within([row for row in evals if window[0] <= row["step"] <= window[1]])
    losses = sum(window[0] <= row["step"] <= window[1] for row in steps if row.get("loss") is not None)
    return Exposure(window, near_peak, required, seen, losses, near_peak / full_steps if full_steps else None)


def _scores_within(evals: Sequence[Row]) -> int:
    """How often macro-F1 was taken, on the set where it was most often; without any, the validation loss."""
    for name in ("val_macro_f1", "val_loss"):
        counts = Counter(of for row in evals for of, table in sets_of(row).items() if table.get(name) is not None)
        if counts:
            return max(counts.values())
    return 0


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


@dataclass(frozen=True)
class RateMismatch:
    """A logged rate that is not the schedule's."""

    step: int
    logged: float
    scheduled: float

    def __str__(self) -> str:
        return f"the log's rate at step {self.step} is {self.logged:g}, its schedule says {self.scheduled:g}"


def rate_mismatch(
    facts: RunFacts, steps: Sequence[Row], *, slack_share: float, off_by_steps: int = 0
) -> RateMismatch | None:
    """The first logged rate that lies outside the schedule's over `off_by_steps` to either side (M01, M37), or None.

    slack_share is a share of the peak rate, which is the highest logged one where run.json does not say it. None too
    where the schedule is not known or no rate is logged.
    """
    rates = [(int(row["step"]), float(row["lr"])) for row in steps if has_rate(row)]
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
        nearby = range(max(0, step - off_by_steps), step + off_by_steps + 1)
        scheduled = [peak * share(near_step) for near_step in nearby]
        if not min(scheduled) - slack_share * peak <= rate <= max(scheduled) + slack_share * peak:
            return RateMismatch(step, rate, scheduled[step - nearby.start])
    return None


def has_rate(row: Row) -> bool:
    """Whether a learning rate was logged in this row."""
    return row.get("lr") is not None
