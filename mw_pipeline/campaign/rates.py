"""Did a lower learning rate buy time? Step of failure against rate, and when the rate alone cannot be the cause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mw_pipeline.campaign.attribution import canonical
from mw_pipeline.digest import JSON

RATE_KEY = "train.peak_lr"


@dataclass(frozen=True)
class RatedRun:
    """A run as far as rates go: `failed_at` is the step of its failure; None: it survived."""

    name: str
    changes: Mapping[str, JSON]
    peak_lr: float
    failed_at: int | None


@dataclass(frozen=True)
class RateFit:
    """step ≈ e^intercept · rate^slope over runs that differ in their rate alone, by least squares of the logarithms.

    points         (name, rate, step) from the highest rate to the lowest
    rate_factor    highest rate ÷ lowest
    step_factor    step at the lowest rate ÷ step at the highest: what that factor bought
    scatter        largest factor between a step and the fit's
    """

    changes: Mapping[str, JSON]
    points: tuple[tuple[str, float, int], ...]
    slope: float
    intercept: float
    rate_factor: float
    step_factor: float
    scatter: float

    def step_at(self, rate: float) -> float:
        """The step of failure that the fit expects at a rate."""
        return math.exp(self.intercept + self.slope * math.log(rate))

    def rate_for(self, step: float) -> float | None:
        """The rate at which the fit expects the failure at a step; None when a lower rate buys no steps."""
        return math.exp((math.log(step) - self.intercept) / self.slope) if self.slope < 0 else None

    def as_json(self) -> JSON:
        """All of it."""
        return {**asdict(self), "points": [list(point) for point in self.points]}


def fit_rates(runs: Sequence[RatedRun]) -> tuple[RateFit, ...]:
    """A fit for every group of failed runs that differ in `train.peak_lr` alone and have two rates or more."""
    groups: dict[str, list[RatedRun]] = {}
    for run in runs:
        if run.failed_at:
            groups.setdefault(canonical(_other_changes(run)), []).append(run)
    return tuple(_fit(group) for group in groups.values() if len({run.peak_lr for run in group}) > 1)


def rate_is_cleared(runs: Sequence[RatedRun]) -> tuple[RatedRun, RatedRun] | None:
    """(survived, failed) where the survivor's rate is no lower: the rate alone cannot be the cause. None: it may be.

    The pair with the widest gap. Were the rate alone to blame, whatever runs at it or above it would fail."""
    survived = [run for run in runs if run.failed_at is None]
    failed = [run for run in runs if run.failed_at is not None]
    if not survived or not failed:
        return None
    highest, lowest = max(survived, key=lambda run: run.peak_lr), min(failed, key=lambda run: run.peak_lr)
    return (highest, lowest) if highest.peak_lr >= lowest.peak_lr else None


def _other_changes(run: RatedRun) -> dict[str, JSON]:
    return {key: value for key, value in run.changes.items() if key != RATE_KEY}


def _fit(group: Sequence[RatedRun]) -> RateFit:
    points = sorted(((run.name, run.peak_lr, run.failed_at or 0) for run in group), key=lambda point: -point[1])
    xs, ys = [math.log(rate) for _, rate, _ in points], [math.log(step) for _, _, step in points]
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    across = math.fsum((x - mean_x) ** 2 for x in xs)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / across
    intercept = mean_y - slope * mean_x
    off = max(abs(y - intercept - slope * x) for x, y in zip(xs, ys, strict=True))
    return RateFit(
        changes=_other_changes(group[0]),
        points=tuple(points),
        slope=slope,
        intercept=intercept,
        rate_factor=points[0][1] / points[-1][1],
        step_factor=points[-1][2] / points[0][2],
        scatter=math.exp(off),
    )
