"""Synthetic training logs of the shapes that real runs had, for the tests of verdict, gate and command line."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.schedule import lr_share
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import Verdict, verdict

H0 = 1.5
"""Entropy of the training labels in nats per token, in every log here."""

Curve = Callable[[int], float]


def course(
    schedule: str = "constant", steps: int = 3000, *, peak_lr: float = 5e-4, warmup_steps: int = 1000, batch: int = 128
) -> RunFacts:
    return RunFacts(schedule, steps, warmup_steps, None, peak_lr, batch, precision="fp32", device="cpu")


def line(points: Sequence[tuple[float, float]]) -> Curve:
    """The curve through (step, value) points, straight in between and flat outside."""

    def at(step: int) -> float:
        if step <= points[0][0]:
            return points[0][1]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if step <= x1:
                return y0 + (y1 - y0) * (step - x0) / (x1 - x0)
        return points[-1][1]

    return at


def step_rows(facts: RunFacts, loss: Curve, *, every: int = 10, until: int | None = None) -> list[dict[str, JSON]]:
    """Rows of steps.jsonl: the loss with 2 % of noise, and the rate of the schedule."""
    noise = random.Random(7)
    assert facts.schedule is not None and facts.steps is not None and facts.warmup_steps is not None
    assert facts.peak_lr is not None
    rows = []
    for step in range(every, (until or facts.steps) + 1, every):
        share = lr_share(
            step,
            schedule=facts.schedule,
            warmup_steps=facts.warmup_steps,
            steps=facts.steps,
            cooldown_from=facts.cooldown_from,
        )
        value = loss(step) * noise.uniform(0.98, 1.02)
        rows.append(
            {
                "step": step,
                "pass": 0,
                "lr": facts.peak_lr * share,
                "loss": value,
                "ce": value,
                "crf": None,
                "grad_norm": noise.uniform(0.5, 1.5),
                "tokens": step * 1000,
                "tokens_per_second": 5000.0,
                "wall_seconds": step * 0.2 + noise.uniform(0, 0.5),
            }
        )
    return rows


def eval_rows(facts: RunFacts, f1: Curve, *, every: int = 250, val_loss: float = 0.4) -> list[dict[str, JSON]]:
    """Rows of evals.jsonl, with val_macro_f1 on the curve and a flat validation loss."""
    assert facts.steps is not None
    return [
        {"step": step, "val_loss": val_loss, "val_macro_f1": f1(step), "f1": {"locality": f1(step)}}
        for step in range(every, facts.steps + 1, every)
    ]


HEALTHY_LOSS: Curve = lambda step: 0.3 + 6.2 * math.exp(-step / 200)  # noqa: E731
HEALTHY_F1: Curve = lambda step: 0.42 * (1 - math.exp(-step / 300))  # noqa: E731


def write_run(path: Path, steps: Sequence[JSON], evals: Sequence[JSON], run: dict[str, JSON] | None = None) -> Path:
    """A run's folder as training leaves it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in steps))
    (path / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in evals))
    if run is not None:
        (path / "run.json").write_text(json.dumps(run))
    return path


def run_json(facts: RunFacts, **others: JSON) -> dict[str, JSON]:
    """The run.json of such a run, all of its batch in one accumulation."""
    return {
        "kind": "smoke",
        "schedule": facts.schedule,
        "max_steps": facts.steps,
        "warmup_steps": facts.warmup_steps,
        "cooldown_from": facts.cooldown_from,
        "peak_lr": facts.peak_lr,
        "batch_size": facts.effective_batch,
        "accumulation": 1,
        "processes": 1,
        "effective_batch": facts.effective_batch,
        "precision": facts.precision,
        "device": facts.device,
        "label_entropy": H0,
        "digests": dict(facts.digests),
        **others,
    }


def diverging(lowest_at: int, highest_at: int) -> Curve:
    return line([(0, 6.5), (lowest_at, 0.3), (highest_at, 3.3)])


FULL = course("cosine", 50_000)
SMOKE = course("constant", 3000)


def decide(
    run: RunFacts = SMOKE,
    full: RunFacts = FULL,
    *,
    steps: Sequence[dict[str, JSON]] | None = None,
    evals: Sequence[dict[str, JSON]] | None = None,
    loss: Curve = HEALTHY_LOSS,
    f1: Curve = HEALTHY_F1,
) -> Verdict:
    """The verdict on a log of these shapes."""
    return verdict(
        run,
        full,
        step_rows(run, loss) if steps is None else steps,
        eval_rows(run, f1) if evals is None else evals,
        label_entropy=H0,
    )
