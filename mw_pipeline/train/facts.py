"""What run.json says of a run before its first step, beside its course and its digests."""

from __future__ import annotations

from mw_pipeline.digest import JSON
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.train.compilation import compiler_of
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.device import drawing_of, machine_of
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.parts import COMPILED_BY, DRAWN_BY


def opening_facts(
    plan: RunPlan, tagger: Tagger, data: TrainingData, *, ranks: int, initial_val_loss: float | None
) -> dict[str, JSON]:
    """Machine, processes, data and network of a run; `initial_val_loss` is in nats per piece, before the first step."""
    config = plan.recipe.train
    device = next(tagger.parameters()).device
    return {
        "device": device.type,
        "device_asked": config.device,
        "machine": machine_of(device),
        "ranks": ranks,
        "precision": config.precision,
        "threads": config.threads,
        "compile": config.compile,
        COMPILED_BY: compiler_of(device) if config.compile else None,
        DRAWN_BY: drawing_of(device) if plan.recipe.model.dropout else None,
        "seed": config.seed,
        "label_count": len(plan.recipe.label_set),
        "label_entropy": data.summary["label_entropy"],
        "label_counts": data.summary["label_counts"],
        "initial_weights": "random",
        "initial_val_loss": initial_val_loss,
        "patience_evals": config.patience_evals if plan.kind == "full" else None,
        "patience_margin_share": config.patience_margin_share,
        "parameters": sum(p.numel() for p in tagger.parameters()),
        "train_rows": sum(data.rows_per_source.values()),
        "pool_batches": data.stream.pool_batches,
    }
