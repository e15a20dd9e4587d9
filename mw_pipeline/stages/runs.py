"""The smoke, its verdict and the full run as artifacts. The full run starts only behind the lock."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError, UnfinishedError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.probes import probe_stopped_run
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.stages.recomputation import unlock_training
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.stages.stage import Request
from mw_pipeline.store import Built
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import DIVERGENCES, ENDED, Permit, RunKind, RunPlan
from mw_pipeline.train.progress import line_of
from mw_pipeline.train.ranks import train_in_ranks


def smoke_checkpoint(
    place: Place, recipe_name: str, *, progress: Progress = quiet, resume_from: Path | None = None
) -> Built:
    """The smoke run of a recipe. Its verdict is written with it, so that no one else needs to. Raises as `demand_fit`.

    `resume_from` is the folder of an interrupted run to go on from; without it a run of this place goes on by itself.
    """
    recipe = place.recipe(recipe_name)
    request = line.smoke_checkpoint.request(place, recipe)
    demand_fit(place, recipe)
    with _turn(place, recipe, request.kind, progress):
        built = _trained(place, recipe, "smoke", request, progress, resume_from)
        verdict = build_verdict(place, recipe)[1]
    progress(f"smoke verdict: {verdict.one_line()}")
    return built


def full_checkpoint(
    place: Place, recipe_name: str, *, progress: Progress = quiet, resume_from: Path | None = None
) -> Built:
    """The full run of a recipe. Raises GateError without a passing verdict on this recipe, data, code and
    smoke, and behind every blocking check of what it was trained on."""
    recipe = place.recipe(recipe_name)
    with _turn(place, recipe, "full_checkpoint", progress):
        verdict, permit = unlock_training(place, recipe_name, progress=progress)
        progress(f"smoke verdict: {verdict.one_line()}")
        return _trained(
            place, recipe, "full", line.full_checkpoint.request(place, recipe), progress, resume_from, permit
        )


def _turn(place: Place, recipe: Recipe, kind: str, progress: Progress) -> AbstractContextManager[None]:
    """Taken before any claim, so that the second of two runs finds made what the first has made, and is not refused."""
    return place.turn(f"{kind} of {recipe.name!r}", progress)


def _trained(
    place: Place,
    recipe: Recipe,
    kind: RunKind,
    request: Request,
    progress: Progress,
    resume_from: Path | None,
    permit: Permit | None = None,
) -> Built:
    """Trains in a folder that survives a kill, and copies what is finished into the artifact.

    Raises ArtifactError for a run to resume when there is nothing left to do: it would be ignored (M38)."""
    if resume_from is not None and (ended := request.find(place.store)) is not None:
        raise ArtifactError(
            f"{resume_from}: cannot be resumed, as {request.kind} of {recipe.name!r} has ended: it is in the store as "
            f"{ended.digest[:12]}. Ask again without a run to resume."
        )
    dataset = line.tokenized_dataset.demand(place, recipe)
    tokenizer_path = line.tokenizer.demand(place, recipe).file(TOKENIZER_FILE)

    def trained(work: Path, out: Path) -> Mapping[str, JSON]:
        plan = RunPlan(
            kind=kind,
            recipe=recipe,
            dataset_path=dataset.folder(),
            tokenizer_path=tokenizer_path,
            out=work,
            digests={"data": dataset.digest},
            resume_from=resume_from,
            max_wall_seconds=place.seconds_left,
            in_parts=place.in_parts,
            permit=permit,
        )
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

    def make(out: Path) -> Mapping[str, JSON]:
        with place.store.work(request.kind, request.key) as work:
            return trained(work, out)

    built = request.build(place.store, make)
    place.store.sweep_work(request.kind, request.key)
    return built
