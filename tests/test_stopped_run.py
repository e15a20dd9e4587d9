"""A run that the watchdog stops is probed by itself; the probe never takes the place of the failure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import Toy, toy_plan, toy_recipe

from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import probes
from mw_pipeline.stages.probes import probe_stopped_run
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import DIVERGENCES

torch.set_num_threads(1)

HOT = {"steps": 400, "warmup_steps": 100, "peak_lr": 3.0, "clip_norm": 1e6}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return toy_recipe(train=HOT)


@pytest.fixture(scope="module")
def stopped_run(toy: Toy, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy run at six hundred times its rate, after its end."""
    out = tmp_path_factory.mktemp("stopped")
    assert train(toy_plan(toy, out, recipe=recipe)).status in DIVERGENCES
    return out


@pytest.fixture
def stopped(stopped_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped_run, tmp_path / "run"))


def test_the_probe_looks_at_the_last_good_checkpoint_and_leaves_its_result_beside_the_log(
    stopped: Path, toy: Toy, recipe: Recipe
) -> None:
    run = json.loads((stopped / "run.json").read_text())

    said = probe_stopped_run(stopped, recipe, toy.dataset)

    found = json.loads((stopped / "probe.json").read_text())
    assert found["checkpoint"]["step"] == run["best_step"] < run["step"]
    assert said.startswith(f"gradient probe at step {run['best_step']}: ")
    assert set(found["sources"]) == {"alpha", "beta"}
    assert (stopped / "probe.svg").read_text().startswith("<svg ")


def test_a_run_without_a_checkpoint_says_that_there_was_nothing_to_probe(
    stopped: Path, toy: Toy, recipe: Recipe
) -> None:
    for name in ("best", "last"):
        shutil.rmtree(stopped / name, ignore_errors=True)

    said = probe_stopped_run(stopped, recipe, toy.dataset)

    assert said.startswith("the gradient probe could not run (ArtifactError: ")
    assert "holds no checkpoint" in json.loads((stopped / "probe.json").read_text())["failed"]


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ZeroDivisionError("x"), OSError(28, "disk full")])
def test_whatever_goes_wrong_in_the_probe_is_told_in_words(
    stopped: Path, toy: Toy, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(probes, "probe_gradients", broken)

    said = probe_stopped_run(stopped, recipe, toy.dataset)

    assert said == f"the gradient probe could not run ({type(error).__name__}: {error})"
    assert not (stopped / "probe.svg").exists()
