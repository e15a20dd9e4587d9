"""The stages that need torch, by name: what the graph's child process runs."""

from __future__ import annotations

from collections.abc import Callable

from mw_pipeline.errors import RecipeError
from mw_pipeline.stages.capability import capability_matrix
from mw_pipeline.stages.evaluation import eval_report
from mw_pipeline.stages.losses import loss_comparison
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.probes import activation_trace, gradient_probe, label_separation
from mw_pipeline.stages.release import packaged_weights
from mw_pipeline.stages.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.store import Built

STAGES: dict[str, Callable[..., Built]] = {
    stage.__name__: stage
    for stage in (
        smoke_checkpoint,
        full_checkpoint,
        gradient_probe,
        activation_trace,
        label_separation,
        eval_report,
        loss_comparison,
        capability_matrix,
        packaged_weights,
    )
}


def run_stage(name: str, place: Place, recipe_name: str, *, progress: Progress) -> Built:
    """The artifact of a stage. Raises RecipeError for a stage that does not exist."""
    if name not in STAGES:
        raise RecipeError(f"{name!r} is not a stage of the child process: there are {', '.join(STAGES)}.")
    return STAGES[name](place, recipe_name, progress=progress)
