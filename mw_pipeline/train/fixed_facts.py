"""What plan and data fix of a run.json, whichever machine trains: what rules read there is not the run's own choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from mw_pipeline.dataset.summary import DATASET_JSON
from mw_pipeline.digest import JSON, code_digest, sha256_file
from mw_pipeline.recipe import POOL_BATCHES, Precision, Recipe
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.exposure import recipe_digests
from mw_pipeline.verdict.parts import COMPILED_BY, DRAWN_BY

_MOST_SHOWN = 80


def fixed_facts(plan: RunPlan, summary: Mapping[str, JSON]) -> dict[str, JSON]:
    """The facts of a plan's run, by their keys in run.json; `summary` is the dataset.json of its data."""
    train = plan.recipe.train
    return {
        "kind": plan.kind,
        **plan.course.as_json(),
        "device_asked": train.device,
        "precision_asked": train.precision,
        **({} if train.precision == "auto" else {"precision": train.precision}),
        "threads": train.threads,
        "compile": train.compile,
        "seed": train.seed,
        "label_count": len(plan.recipe.label_set),
        "label_entropy": summary["label_entropy"],
        "label_counts": summary["label_counts"],
        "initial_weights": "random",
        "patience_evals": train.patience_evals if plan.kind == "full" else None,
        "patience_margin_share": train.patience_margin_share,
        "train_rows": summary["splits"]["train"]["rows"],
        "pool_batches": POOL_BATCHES,
    }


def digests_of(plan: RunPlan) -> dict[str, str]:
    """Digests of recipe sections, labels, data, tokenizer and code; those that the plan names are taken from it."""
    computed = {
        **recipe_digests(plan.recipe),
        "data": sha256_file(plan.dataset_path / DATASET_JSON),
        "tokenizer": sha256_file(plan.tokenizer_path),
    }
    named = computed | dict(plan.digests)
    return named if "code" in named else named | {"code": code_digest(("mw_pipeline.train.loop",))}


def other_facts(run: Mapping[str, JSON], wanted: Mapping[str, JSON], *, where: str = "run.json") -> Iterator[str]:
    """Each fact of a run.json that is missing or not the one that is wanted, in words."""
    for name, value in wanted.items():
        if name not in run or run[name] != value:
            yield f"{where} has {name} {_short(run.get(name))}, recipe and data have {_short(value)}"


def other_parts(run: Mapping[str, JSON], recipe: Recipe) -> Iterator[str]:
    """Each part of a run.json that says otherwise what the recipe fixes of it, wherever the run went on, in words: such
    a part would be held to a wider tolerance than its own. No run goes on in another precision than it began in."""
    train, device = recipe.train, recipe.train.device.partition(":")[0]
    precision = run.get("precision") if train.precision == "auto" else train.precision
    if precision not in get_args(Precision):
        yield f"run.json has precision {_short(precision)}, which is none"
    wanted: dict[str, JSON] = {"precision": precision, "threads": train.threads}
    wanted |= {} if device == "auto" else {"device": device}
    wanted |= {} if train.compile else {COMPILED_BY: None}
    wanted |= {} if recipe.model.dropout else {DRAWN_BY: None}
    for number, part in enumerate(run.get("parts") or (), start=1):
        yield from other_facts(part, wanted, where=f"part {number} of run.json")


def _short(value: JSON) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
