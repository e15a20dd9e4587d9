"""The probes as artifacts, and the one that runs by itself when the watchdog has stopped a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.probes.activations import probe_activations, trace_of
from mw_pipeline.probes.gradients import probe_gradients
from mw_pipeline.probes.separation import probe_separation
from mw_pipeline.probes.subject import Subject, checkpoint_folder
from mw_pipeline.recipe import Recipe
from mw_pipeline.report.probe.charts import write_probe
from mw_pipeline.report.probe.tables import (
    PROBE_FILE,
    PROBE_PICTURE,
    probe_markdown,
    probe_sentence,
    stopped_run_sentence,
)
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.train.log import TrainingLog

TABLE_FILE = "probe.md"


def gradient_probe(request: Request, out: Path, progress: Progress) -> Metrics:
    """Balance of loss terms and pull of each source at the smoke's best checkpoint: known before the full run."""
    progress(f"probing the gradients of {request.recipe.name}'s smoke")
    return _written(out, probe_gradients(_subject(request, "smoke_checkpoint"), request.recipe))


def activation_trace(request: Request, out: Path, progress: Progress) -> Metrics:
    """Every stage of the full checkpoint, beside the smoke's on the same rows."""
    progress(f"tracing the activations of {request.recipe.name}")
    full, smoke = _subject(request, "full_checkpoint"), _subject(request, "smoke_checkpoint")
    reference = trace_of(smoke, name=f"the smoke at step {smoke.checkpoint.step}")
    trace = trace_of(full, name=f"full run at step {full.checkpoint.step}")
    return _written(out, probe_activations(full, trace, reference))


def label_separation(request: Request, out: Path, progress: Progress) -> Metrics:
    """Which labels the full checkpoint tells from the rest of its rows."""
    progress(f"asking which labels {request.recipe.name} tells apart")
    return _written(out, probe_separation(_subject(request, "full_checkpoint")))


def _subject(request: Request, run: str) -> Subject:
    return Subject.open(request.input(run).folder(), request.input("tokenized_dataset").folder())


def _written(out: Path, found: dict[str, JSON]) -> Metrics:
    _write(out, found)
    (out / TABLE_FILE).write_text(probe_markdown(found) + "\n", encoding="utf-8")
    return {"finding": probe_sentence(found)}


def _write(folder: Path, found: Mapping[str, JSON]) -> None:
    write_json_atomically(folder / PROBE_FILE, found)
    write_probe(found, folder / PROBE_PICTURE)


def probe_stopped_run(run: Path, recipe: Recipe, dataset_path: Path) -> str:
    """Probes the gradients of a diverged run's last good checkpoint; says in one line what that showed.

    Leaves probe.json and probe.svg beside the log. The run has failed already, and that must be told whatever happens
    here: so no exception leaves this function, and what went wrong stands in probe.json in words."""
    try:
        found = probe_gradients(Subject.open(run, dataset_path), recipe)
        _write(run, found)
    except Exception as error:  # whatever it is, it must not take the place of the divergence that brought us here
        found = {"probe": "gradients", "failed": f"{type(error).__name__}: {error}"}
        (run / PROBE_PICTURE).unlink(missing_ok=True)
        write_json_atomically(run / PROBE_FILE, found)
    return stopped_run_sentence(found)


def subject_at(place: Place, path: Path, dataset_path: Path | None) -> Subject:
    """A checkpoint or run folder with its dataset: the one named, else the one that it was trained on.

    Raises ArtifactError when the store does not have that one."""
    if dataset_path is not None:
        return Subject.open(path, dataset_path)
    digest = load_checkpoint(checkpoint_folder(path)).facts.digests.get("data", "unknown")
    try:
        dataset = place.store.load("tokenized_dataset", digest)
    except ArtifactError:
        raise ArtifactError(
            f"{path}: was trained on the dataset {digest[:12]}, which is not in the store. Name its folder with "
            "--dataset DIR."
        ) from None
    return Subject.open(path, dataset.folder())


def recipe_at(place: Place, path: Path, name: str | None) -> Recipe:
    """The recipe of this name, else the one that the run.json beside a checkpoint names.

    Raises ArtifactError when there is none."""
    folder = checkpoint_folder(path)
    facts = next((found for place_of in (folder, folder.parent) if (found := TrainingLog(place_of).read_run())), None)
    named = name or (facts or {}).get("recipe")
    if named is None:
        raise ArtifactError(f"{path}: no run.json beside it names its recipe. Name one with --recipe R.")
    return place.recipe(named)
