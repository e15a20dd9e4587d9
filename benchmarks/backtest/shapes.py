"""Logs of the shapes of a published campaign of ten runs (docs/verdict.md), with noise and turns drawn by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from mw_pipeline.schedule import lr_share
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import verdict
from mw_pipeline.verdict.runlog import Row

ENTROPY = 1.5
LOG_EVERY, EVAL_EVERY = 10, 250
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shape:
    """One run of the campaign: straight lines between (step, value) points, and the verdict that it must get.

    `end` is the last logged step: a run that diverged was stopped."""

    number: int
    outcome: str
    peak_lr: float
    schedule: str
    steps: int
    end: int
    loss: Curve
    f1: Curve


_HEALTHY_LOSS: Curve = ((0, 6.5), (700, 0.42), (3000, 0.32), (50_000, 0.28))
_PROMOTED_F1: Curve = ((0, 0), (1700, 0.41), (2150, 0.41), (2250, 0.29))


def _diverging(low: int, high: int) -> Curve:
    return ((0, 6.5), (low, 0.3), (high, 3.3))


SHAPES = (
    Shape(1, "fail", 5e-4, "cosine", 50_000, 4000, _diverging(700, 1000), ((0, 0), (700, 0.36), (1000, 0.11))),
    Shape(2, "fail", 3e-4, "cosine", 50_000, 4000, _diverging(940, 1300), ((0, 0), (950, 0.37), (1300, 0.11))),
    Shape(3, "fail", 1.5e-4, "cosine", 50_000, 4000, _diverging(1900, 2600), ((0, 0), (1900, 0.39), (2600, 0.11))),
    Shape(4, "fail", 5e-4, "cosine", 50_000, 4000, _diverging(940, 1300), ((0, 0), (950, 0.36), (1300, 0.11))),
    Shape(5, "fail", 5e-4, "cosine", 50_000, 4000, _diverging(930, 1250), ((0, 0), (950, 0.35), (1250, 0.10))),
    Shape(6, "invalid", 1.5e-4, "cosine", 3000, 3000, _HEALTHY_LOSS, ((0, 0), (2000, 0.4190), (3000, 0.4140))),
    Shape(7, "invalid", 1.5e-4, "cosine", 3000, 3000, _HEALTHY_LOSS, ((0, 0), (2000, 0.4279), (3000, 0.4243))),
    Shape(8, "fail", 1.5e-4, "cosine", 3000, 3000, ((0, 6.5), (1500, 0.3), (3000, 1.24)), ((0, 0), (2000, 0.42))),
    Shape(9, "fail", 1.5e-4, "cosine", 50_000, 2750, _HEALTHY_LOSS, _PROMOTED_F1),
    Shape(10, "pass", 1.5e-4, "cosine", 50_000, 50_000, _HEALTHY_LOSS, ((0, 0), (2200, 0.42), (50_000, 0.36))),
)


def judged(shape: Shape, *, seed: int, loss_noise: float, f1_noise: float) -> str:
    """The outcome for one drawn log: relative noise on the loss, absolute on macro-F1, turns moved by up to a tenth."""
    draw = random.Random(f"{shape.number} {seed}")
    stretch = draw.uniform(0.9, 1.1) if shape.end < shape.steps else 1.0
    full = RunFacts("cosine", 50_000, 1000, None, shape.peak_lr, 128)
    run = replace(full, schedule=shape.schedule, steps=shape.steps)
    steps = _steps(shape, run, draw, stretch, loss_noise)
    evals = _evals(shape, draw, stretch, f1_noise)
    return verdict(run, full, steps, evals, label_entropy=ENTROPY).outcome


def right_shares(*, seeds: int, loss_noise: float, f1_noise: float) -> dict[int, float]:
    """Row of the campaign → share of seeds with the right verdict."""
    return {
        shape.number: sum(
            judged(shape, seed=seed, loss_noise=loss_noise, f1_noise=f1_noise) == shape.outcome for seed in range(seeds)
        )
        / seeds
        for shape in SHAPES
    }


def _steps(shape: Shape, run: RunFacts, draw: random.Random, stretch: float, noise: float) -> list[Row]:
    clock = 0.0
    rows = []
    for step in range(LOG_EVERY, shape.end + 1, LOG_EVERY):
        clock += draw.uniform(1.8, 2.2)
        share = lr_share(step, schedule=shape.schedule, warmup_steps=1000, steps=shape.steps)
        rows.append(
            {
                "step": step,
                "lr": shape.peak_lr * share,
                "loss": _at(shape.loss, step / stretch) * draw.gauss(1.0, noise),
                "grad_norm": draw.uniform(0.5, 1.5),
                "wall_seconds": clock,
            }
        )
    return rows


def _evals(shape: Shape, draw: random.Random, stretch: float, noise: float) -> list[Row]:
    return [
        {
            "step": step,
            "val_loss": 0.4,
            "val_macro_f1": min(1.0, max(0.0, _at(shape.f1, step / stretch) + draw.gauss(0.0, noise))),
        }
        for step in range(EVAL_EVERY, shape.end + 1, EVAL_EVERY)
    ]


def _at(curve: Curve, step: float) -> float:
    return float(np.interp(step, [x for x, _ in curve], [y for _, y in curve]))
