"""Everything a report shows, made small: the project's own gold with seeded mistakes, and made-up training logs."""

from __future__ import annotations

import math
import random
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.diagnose import diagnose, misses_of, regression
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import Prediction
from mw_pipeline.evaluate.release_axes import release_axes
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.labels import STAGE3
from mw_pipeline.mix.plan import plan_mix
from mw_pipeline.recipe import MixConfig
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import verdict
from mw_pipeline.verdict.runlog import RunLog

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
FACTS = {"warmup_steps": 100, "peak_lr": 3e-3, "effective_batch": 300}
RECIPE = {
    "name": "campaigns/us_fr/wider",
    "digest": "9f" * 32,
    "changes": {"model.width": 256, "loss.class_weights": {"B-venue": 2.0}},
}


def golden() -> GoldenSet:
    """The project's own gold."""
    return load_golden(sorted(GOLDEN.glob("*.jsonl")))


def noisy(gold: GoldenSet, *, seed: int, mistakes: float) -> list[Prediction]:
    """Gold values, a share of them spoilt the way parsers spoil them, with confidences that are a little too high."""
    rng = random.Random(seed)
    predictions = []
    for row in gold.rows:
        components, confidences = {}, {}
        for tag, value in row.components.items():
            spoilt = rng.random() < mistakes
            found = rng.choice(["", value.upper(), value[: len(value) // 2 + 1], "7" * len(value)]) if spoilt else value
            if found:
                components[tag] = found
                confidences[tag] = min(1.0, rng.betavariate(8, 1) if not spoilt else rng.betavariate(5, 2))
        predictions.append(Prediction(components, confidences))
    return predictions


def log(*, steps: int, schedule: str, collapse_at: int | None = None) -> RunLog:
    """A run that learns like 6.0·e^(-s/80) + 0.2, and, if told to, loses it all at a step."""
    rng = random.Random(steps)
    rows: list[dict[str, JSON]] = []
    evals: list[dict[str, JSON]] = []
    for step in range(1, steps + 1):
        gone = max(0, step - (collapse_at or steps))
        decay = 0.5 * (1 + math.cos(math.pi * max(0, step - 100) / (steps - 100))) if schedule == "cosine" else 1.0
        loss = 6.0 * math.exp(-step / 80) + 0.2 + min(3.0, gone / 40) + rng.gauss(0, 0.02)
        rows.append(
            {
                "step": step,
                "lr": 3e-3 * min(step / 100, 1.0) * decay,
                "loss": loss,
                "grad_norm": 1 + rng.random(),
                "tokens": 4000,
                "tokens_per_second": 50_000 + rng.gauss(0, 900),
                "wall_seconds": 0.08 * step * (1 + 0.001 * rng.random()),
            }
        )
        if step % 50 == 0:
            f1 = max(0.1, 0.9 * (1 - math.exp(-step / 150)) - gone / 300 + rng.gauss(0, 0.003))
            evals.append({"step": step, "val_loss": loss + 0.05, "val_macro_f1": f1})
    run = {
        **FACTS,
        "kind": "smoke" if schedule == "constant" else "full",
        "schedule": schedule,
        "max_steps": steps,
        "step": steps,
        "parameters": 1_622_243,
        "label_entropy": 2.31,
        "device": "cpu",
        "status": "COMPLETED",
        "started_at": "2026-11-20T09:00:00Z",
        "ended_at": "2026-11-20T09:04:10Z",
    }
    return RunLog(tuple(rows), tuple(evals), run)


def judged(smoke: RunLog) -> JSON:
    """The verdict on a smoke, as JSON."""
    facts = RunFacts(schedule="constant", steps=len(smoke.steps), **FACTS)
    full = RunFacts(schedule="cosine", steps=1500, **FACTS)
    return verdict(facts, full, smoke.steps, smoke.evals, label_entropy=2.31).to_json()


def dataset_summary() -> JSON:
    """A dataset.json of the shape that build_dataset writes."""
    sources = {"ban": [0, 300_000], "tiger": [300_000, 400_000]}
    splits = {
        split: {"rows": rows, "pieces": rows * 13, "longest": 61, "digest": split[0] * 64, "sources": sources}
        for split, rows in (("train", 400_000), ("validation", 4_000), ("test", 4_100))
    }
    return {
        "splits": splits,
        "rows": 408_100,
        "vocab_size": 8000,
        "label_entropy": 2.31,
        "dropped": {"ban": {"too_long": 12}, "tiger": {}},
        "survival": {
            "street": {"gold": 390_000, "survived": 389_990},
            "postcode": {"gold": 300_000, "survived": 300_000},
        },
    }


def compared(gold: GoldenSet, predictions: list[Prediction]) -> dict[str, JSON]:
    """The comparison of one locale as the stage writes it, with a baseline that makes more mistakes."""
    former = noisy(gold, seed=2, mistakes=0.2)
    sides = (predictions, former)
    now, before = (
        evaluate(gold, found, decoder=CONSTRAINED_DECODER, policy="normalised", resamples=200) for found in sides
    )
    return {
        "gold": "golden, US rows",
        "baseline": {
            "folder": "releases/demo/0.1.0+1a2b3c4d/en-us",
            "name": "address-parser-en-us",
            "version": "0.1.0",
            "model_sha256": "5e" * 32,
        },
        "tags": list(STAGE3.tags),
        "only_here": [],
        "only_there": [],
        **release_axes(now, before, falls=(0.011, 0.054)),
        "regression": regression(now, misses_of(now, predictions), before, misses_of(before, former), resamples=200),
    }


def everything(*, collapse_at: int | None = None, mistakes: float = 0.12) -> dict[str, JSON]:
    """Keyword arguments for render_report."""
    gold = golden()
    predictions = noisy(gold, seed=1, mistakes=mistakes)
    smoke = log(steps=900, schedule="constant", collapse_at=collapse_at)
    rows = {"ban": 250_000, "tiger": 120_000, "names": 30_000}
    mix = plan_mix(rows, MixConfig(weights={"ban": 3.0, "tiger": 2.0, "names": 0.5}), samples=450_000, seed=0)
    return {
        "recipe": RECIPE,
        "scores": evaluate(gold, predictions, decoder=CONSTRAINED_DECODER, policy="normalised", resamples=200).report,
        "axes": {"en-us": compared(gold, predictions), "fr-fr": {"sentence": "no baseline: first release"}},
        "diagnosis": diagnose(gold, predictions, decoder=CONSTRAINED_DECODER, policy="normalised", resamples=200),
        "verdict": judged(smoke),
        "smoke": smoke,
        "full": log(steps=1500, schedule="cosine"),
        "dataset": dataset_summary(),
        "mix": mix.as_json(),
        "lineage": [
            {"kind": "full_checkpoint", "digest": "ab" * 32},
            {"kind": "tokenized_dataset", "digest": "cd" * 32},
        ],
    }
