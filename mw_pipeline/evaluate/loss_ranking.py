"""Losses ranked by what their models decode, over several seeds: never by the loss itself, whose scales differ (M57).

Shape letters: N resamples, S seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.metrics.resampling import RESAMPLES, direction, interval, number, resampled_sums
from mw_pipeline.metrics.scores import Scored, demand_comparable, statistics_of

LEAST_SEEDS = 3
METRIC = "core_macro_f1"


@dataclass(frozen=True)
class SeedRun:
    """One run of one loss: its predictions scored, and its best validation loss in nats per piece.

    `label_entropy` is H0 of the training labels, nats per piece: the loss of the best constant guess."""

    seed: int
    scored: Scored
    best_val_loss: float
    label_entropy: float


def rank_losses(
    runs: Mapping[str, Sequence[SeedRun]], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[dict[str, JSON]]:
    """The losses by mean decoded core macro-F1 over their seeds, best first, each with its distance to the best.

    Intervals come from a bootstrap over families, in pairs, and over seeds, apart for each loss: so they hold both what
    other rows and what other seeds would change. A distance whose interval holds 0 is "no difference". Validation
    losses are shown divided by H0 and decide nothing. Raises GateError for fewer than three seeds, and for runs that
    were not scored on the same gold, labels, policy and decoder (M44).
    """
    _demand_evidence(runs)
    found = {
        name: _Spread.of(seeds, resamples=resamples, rng=np.random.default_rng([seed, place]), seed=seed)
        for place, (name, seeds) in enumerate(sorted(runs.items()))
    }
    order = sorted(found, key=lambda name: -found[name].point)
    best = found[order[0]]
    return [
        {
            "loss": name,
            METRIC: number(found[name].point),
            "interval": interval(found[name].sample),
            "by_seed": {str(run.seed): number(f1) for run, f1 in zip(runs[name], found[name].by_seed, strict=True)},
            "val_loss_over_h0": float(np.mean([run.best_val_loss / run.label_entropy for run in runs[name]])),
            "behind_best": _gap_to_best(best, found[name]) if name != order[0] else None,
        }
        for name in order
    ]


def _demand_evidence(runs: Mapping[str, Sequence[SeedRun]]) -> None:
    for name, seeds in runs.items():
        if len({run.seed for run in seeds}) < LEAST_SEEDS:
            raise GateError(
                f"loss {name!r} was trained with seeds {sorted({run.seed for run in seeds})}, expected at least "
                f"{LEAST_SEEDS}: one run more or less lucky is no ranking. Train more seeds."
            )
    for one, other in pairwise(run.scored.hashes for seeds in runs.values() for run in seeds):
        demand_comparable(other, one)


@dataclass(frozen=True)
class _Spread:
    """F1 of one loss: of each seed, their mean, and the mean in each of N resamples of families and seeds."""

    by_seed: list[float]
    point: float
    sample: NDArray[np.float64]

    @classmethod
    def of(cls, seeds: Sequence[SeedRun], *, resamples: int, rng: np.random.Generator, seed: int) -> _Spread:
        pairs = [_f1_of(run.scored, resamples=resamples, seed=seed) for run in seeds]
        by_seed = [point for point, _ in pairs]
        table = np.stack([sample for _, sample in pairs], axis=1)  # (N, S)
        drawn = rng.integers(0, len(seeds), size=table.shape)
        return cls(by_seed, float(np.mean(by_seed)), np.take_along_axis(table, drawn, axis=1).mean(axis=1))


def _f1_of(scored: Scored, *, resamples: int, seed: int) -> tuple[float, NDArray[np.float64]]:
    """F1 on all rows, and (N,) on resampled families: the same families for every run, since the seed is the same."""
    found = scored.outcomes
    whole = found.by_family.sum(axis=0, keepdims=True, dtype=np.int64)
    drawn = np.rint(resampled_sums(found.by_family, resamples=resamples, seed=seed)).astype(np.int64)
    point, sample = (statistics_of(counts, found.tags, found.supported).averages[METRIC] for counts in (whole, drawn))
    return float(point[0]), sample


def _gap_to_best(best: _Spread, other: _Spread) -> dict[str, JSON]:
    bounds = interval(best.sample - other.sample)
    return {
        "difference": number(best.point - other.point),
        "interval": bounds,
        "verdict": {"up": "worse", "down": "better"}.get(direction(bounds), "no difference"),
    }


def as_table(ranking: Sequence[Mapping[str, JSON]], failed: Mapping[str, str]) -> str:
    """The ranking as a Markdown table; the losses that failed below it, each with its reason."""
    lines = [
        f"| loss | {METRIC} | 95 % interval | behind the best | validation loss ÷ H0 |",
        "|---|---|---|---|---|",
    ]
    for row in ranking:
        behind = row["behind_best"]
        distance = "–" if behind is None else f"{behind['difference']:.4f} ({behind['verdict']})"
        low, high = row["interval"]
        lines.append(
            f"| {row['loss']} | {row[METRIC]:.4f} | {low:.4f} to {high:.4f} | {distance} | "
            f"{row['val_loss_over_h0']:.3f} |"
        )
    return "\n".join([*lines, *(f"\n{name} is not ranked: {reason}" for name, reason in failed.items())])
