"""What run.json says of a run before its first step, beside its digests."""

from __future__ import annotations

from mw_pipeline.digest import JSON
from mw_pipeline.train.compilation import compiler_of
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.device import drawing_of, machine_of
from mw_pipeline.train.fixed_facts import fixed_facts
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.step import Stepper
from mw_pipeline.verdict.parts import COMPILED_BY, DRAWN_BY


def opening_facts(
    plan: RunPlan, stepper: Stepper, data: TrainingData, *, ranks: int, initial_val_loss: float | None
) -> dict[str, JSON]:
    """Course, machine, processes, data and network of a run; `initial_val_loss` is in nats per piece, before a step."""
    config = plan.recipe.train
    parameters = list(stepper.tagger.parameters())
    device = parameters[0].device
    return {
        **fixed_facts(plan, data.summary),
        "device": device.type,
        "machine": machine_of(device),
        "precision": stepper.precision,
        "ranks": ranks,
        COMPILED_BY: compiler_of(device) if config.compile else None,
        DRAWN_BY: drawing_of(device) if plan.recipe.model.dropout else None,
        "initial_val_loss": initial_val_loss,
        "parameters": sum(p.numel() for p in parameters),
    }
