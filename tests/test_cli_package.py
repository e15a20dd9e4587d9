"""`package` ships nothing without its verdict, its own weights and its gates."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mw_pipeline.artifact import Artifact
from mw_pipeline.cli import main
from mw_pipeline.cli import package as command
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import checks, line, shipping
from mw_pipeline.stages.findings import Findings
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made
from mw_pipeline.store import Store


@pytest.fixture
def place(project, tmp_path, monkeypatch) -> Place:
    """A project with the real recipes and an empty store."""
    for name in ("recipes", "corpora", "golden"):
        shutil.copytree(project / name, tmp_path / "project" / name)
    monkeypatch.setenv("MW_PROJECT", str(tmp_path / "project"))
    monkeypatch.delenv("MW_STORE", raising=False)
    return Place.of()


@pytest.fixture
def full(tiny_release, tmp_path) -> Artifact:
    def make(out: Path) -> dict:
        shutil.copytree(tiny_release / "best", out / "best")
        return {}

    return Store(tmp_path / "store").build("full_checkpoint", make=make).artifact


def arguments(place: Place, tiny_release: Path, out: Path) -> list[str]:
    recipe = place.project / "recipes" / "demo.toml"
    return ["package", "--recipe", str(recipe), "--checkpoint", str(tiny_release / "best"), "--out", str(out)]


def test_a_checkpoint_without_a_verdict_is_refused_and_nothing_is_written(place, tiny_release, tmp_path, capsys):
    assert main(arguments(place, tiny_release, tmp_path / "out")) == 1

    said = capsys.readouterr()
    assert said.err.startswith("refused: the full run of 'demo' may not start")
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_a_recipe_whose_corpus_withholds_a_region_is_refused_before_anything_else(
    place, tiny_release, tmp_path, capsys
):
    """M65: weights that never met `VT` score well on gold that has no Vermont either."""
    spec = place.project / "corpora" / "builtin.toml"
    spec.write_text(spec.read_text().replace("holdout_places_share = 0.02", 'holdout_regions = ["US:vermont"]'))

    assert main(arguments(place, tiny_release, tmp_path / "out")) == 1

    said = capsys.readouterr().err
    assert "recipe 'demo' cannot be packaged: its corpus 'builtin' has holdout_regions = ['US:vermont']" in said
    assert "holdout_places_share keeps towns for testing" in said
    assert not (tmp_path / "out").exists()
    for refused in (
        lambda: line.packaged_weights.make(place, "demo"),
        lambda: find_made(line.packaged_weights, place, "demo"),
        lambda: line.capability_matrix.make(place, "demo"),
        lambda: find_made(line.capability_matrix, place, "demo"),
        lambda: shipping.demand_gates(place, "demo"),
    ):
        with pytest.raises(GateError, match="no row taught their names"):
            refused()


def test_a_corpus_that_withholds_towns_alone_gets_as_far_as_its_verdict(place):
    for refused in (
        lambda: line.packaged_weights.make(place, "demo"),
        lambda: find_made(line.capability_matrix, place, "demo"),
    ):
        with pytest.raises(GateError, match="may not start: no verdict can be for it"):
            refused()


def test_an_output_folder_in_use_is_bad_input(place, tiny_release, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    assert main(arguments(place, tiny_release, tmp_path / "out")) == 2
    assert "holds files already" in capsys.readouterr().err


def test_the_best_checkpoint_of_the_licensed_run_is_taken_by_folder_or_run(full, tiny_release):
    assert command.demand_best_of(full.path, full) == full.path / "best" / "model.safetensors"
    assert command.demand_best_of(tiny_release / "best", full) == tiny_release / "best" / "model.safetensors"


def test_other_weights_than_those_of_the_licensed_run_are_refused(full, tiny_release, tmp_path):
    other = shutil.copytree(tiny_release / "best", tmp_path / "other")
    with (other / "model.safetensors").open("ab") as stream:
        stream.write(b"\x00")

    with pytest.raises(GateError, match="is not the best checkpoint of the full run that the verdict licensed"):
        command.demand_best_of(other, full)


def test_a_folder_without_weights_is_bad_input(full, tmp_path):
    with pytest.raises(ArtifactError, match=r"has no model.safetensors and no best/model.safetensors"):
        command.demand_best_of(tmp_path, full)


def test_a_gate_that_does_not_hold_stops_the_release_by_its_name(place, monkeypatch):
    def release_beats_its_gates(place: Place, partition: str) -> Findings:
        return Findings(("core macro-F1 0.10, gate 0.80",))

    gates = (*line.full_checkpoint.blocks, *line.eval_report.blocks, *line.packaged_weights.blocks)
    for name in gates:
        monkeypatch.setattr(checks, name, lambda place, partition: Findings())
    monkeypatch.setattr(checks, "release_beats_its_gates", release_beats_its_gates)

    with pytest.raises(GateError, match=r"release_beats_its_gates does not hold for 'demo': core macro-F1 0.10"):
        shipping.demand_gates(place, "demo")
