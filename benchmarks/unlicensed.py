"""Full runs that no smoke has licensed: what a benchmark measures is how these end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.model.precision import precision_as_asked
from mw_pipeline.store import Store
from mw_pipeline.train.device import device_as_asked
from mw_pipeline.train.permit import KIND, MODULES, bound_facts, write_permit
from mw_pipeline.train.plan import Permit, RunPlan


def unlicensed(plan: RunPlan, folder: Path) -> RunPlan:
    """The plan with a permit in `folder` that the lock has not given out, sealed with the key of whoever measures."""
    device, store = device_as_asked(plan.recipe.train.device), Store(folder)
    precision = precision_as_asked(plan.recipe.train.precision, device)
    paths = {"dataset_path": plan.dataset_path, "tokenizer_path": plan.tokenizer_path}
    facts = bound_facts(plan.recipe, **paths, device=device.type, precision=precision)

    def make(out: Path) -> dict[str, JSON]:
        write_permit(out, facts, inputs=(), measured={})
        return {}

    made = store.build(KIND, make=make, config=facts, modules=MODULES).artifact
    return replace(plan, permit=Permit(store.url, made.digest))
