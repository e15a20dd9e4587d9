"""The smoke, its verdict and the full run as artifacts. The full run starts only behind the lock."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mw_pipeline.errors import ArtifactError, UnfinishedError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.probes import probe_stopped_run
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.stages.recomputation import unlock_training
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.stages.stage import Metrics, Request, Stage
from mw_pipeline.store import Built
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import DIVERGENCES, ENDED, RunKind, RunPlan
from mw_pipeline.train.progress import line_of
from mw_pipeline.train.ranks import train_in_ranks


def smoke_checkpoint(place: Place, name: str, *, progress: Progress = quiet, resume_from: Path | None = None) -> Built:
    """The smoke run of a recipe. Its verdict is written with it, so that no one else needs to. Raises as `demand_fit`.

    `resume_from` is the folder of an interrupted run to go on from; without it a run of this place goes on by itself.
    """
    recipe, stage = place.recipe(name), line.smoke_checkpoint
    stage.request(place, recipe)
    demand_fit(place, recipe)
    with _turn(place, recipe, stage, progress):
        _demand_unended(place, recipe, stage, resume_from)
        built = stage.build(place, recipe, progress=progress, given={"resume_from": resume_from})
        verdict = build_verdict(place, recipe)
    progress(f"smoke verdict: {verdict.one_line()}")
    return built


def full_checkpoint(place: Place, name: str, *, progress: Progress = quiet, resume_from: Path | None = None) -> Built:
    """The full run of a recipe, resumed as its smoke. Raises GateError without a passing verdict on this recipe, data,
    code and smoke, and behind every blocking check of what it was trained on."""
    recipe, stage = place.recipe(name), line.full_checkpoint
    with _turn(place, recipe, stage, progress):
        verdict, permit = unlock_training(place, name, progress=progress)
        progress(f"smoke verdict: {verdict.one_line()}")
        _demand_unended(place, recipe, stage, resume_from)
        return stage.build(place, recipe, progress=progress, given={"resume_from": resume_from, "permit": permit})


def _turn(place: Place, recipe: Recipe, stage: Stage, progress: Progress) -> AbstractContextManager[None]:
    """Taken before any claim, so that the second of two runs finds made what the first has made, and is not refused."""
    return place.turn(f"{stage.name} of {recipe.name!r}", progress)


def _demand_unended(place: Place, recipe: Recipe, stage: Stage, resume_from: Path | None) -> None:
    """Raises ArtifactError for a run to resume when there is nothing left to do: it would be ignored (M38)."""
    if resume_from is not None and (ended := stage.find(place, recipe)) is not None:
        raise ArtifactError(
            f"{resume_from}: cannot be resumed, as {stage.name} of {recipe.name!r} has ended: it is in the store as "
            f"{ended.digest[:12]}. Ask again without a run to resume."
        )


def trained(request: Request, out: Path, progress: Progress, *, work: Path, **plan_fields: Any) -> Metrics:
    """A smoke or a full run, trained in a folder that survives a kill; what is finished is copied into the artifact.

    `plan_fields` say what to resume, with which permit and in how much time."""
    recipe, dataset = request.recipe, request.input("tokenized_dataset")
    tokenizer_path = dataset.inputs("tokenizer")[0].file(TOKENIZER_FILE)
    kind: RunKind = "smoke" if request.kind == line.smoke_checkpoint.name else "full"
    digests = {"data": dataset.digest}
    plan = RunPlan(kind, recipe, dataset.folder(), tokenizer_path, work, digests, **plan_fields)
    start = train if recipe.train.processes == 1 else train_in_ranks
    result = start(plan, on_event=lambda event: progress(line_of(event)))
    if result.status not in ENDED:
        raise UnfinishedError(
            f"{request.kind} of {recipe.name!r} stopped at step {result.step} ({result.status}). "
            f"Run `{request.command}` again: it goes on from its last checkpoint."
        )
    if result.status in DIVERGENCES:
        progress(probe_stopped_run(work, recipe, plan.dataset_path))
    shutil.copytree(work, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    shutil.copyfile(tokenizer_path, out / TOKENIZER_FILE)  # so that the folder can be evaluated anywhere
    return {
        "status": result.status,
        "steps": result.step,
        "best_step": result.best_step,
        "best_val_macro_f1": result.best_val_macro_f1,
    }
