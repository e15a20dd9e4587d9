"""The comparison of losses on a tiny project: trained, ranked on held-out rows, kept, and refused where it must."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny_project import change

from mw_pipeline.cli import main
from mw_pipeline.errors import RecipeError
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made

RECIPES = {
    "ce": '[loss]\nkind = "ce"\n',
    "ce-crf": "",
    "smoothed-away": '[loss]\nkind = "ce"\nlabel_smoothing = 1.0\n',
}
"""The last one aims at every label alike: it learns nothing, and its smoke says so."""


def write_losses(place: Place, recipes: dict[str, str]) -> None:
    folder = place.project / "recipes" / "losses"
    folder.mkdir()
    for name, text in recipes.items():
        (folder / f"{name}.toml").write_text(f'base = "../demo.toml"\n\n{text}')


@pytest.mark.slow
def test_losses_are_trained_over_seeds_and_ranked_by_what_they_decode(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    change(place.project, "steps = 240", "steps = 140")
    change(place.project, "warmup_steps = 60", "warmup_steps = 30")
    change(place.project, "[smoke]\nsteps = 300", "[smoke]\nsteps = 150")
    write_losses(place, RECIPES)
    for name, path in (("MW_PROJECT", place.project), ("MW_STORE", place.store.url), ("MW_DATA", place.data)):
        monkeypatch.setenv(name, str(path))
    assert find_made(line.loss_comparison, place, "losses") is None

    code = main(["losses", "--folder", "losses"])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {row["loss"] for row in found["ranking"]} == {"losses/ce", "losses/ce-crf"}
    assert all(set(row["by_seed"]) == {"0", "1", "2"} for row in found["ranking"])
    assert all(0 < row["val_loss_over_h0"] < 0.95 for row in found["ranking"])
    assert "flat" in found["failed"]["losses/smoothed-away"]
    made = find_made(line.loss_comparison, place, "losses")
    assert made is not None and made.digest == found["digest"]
    assert line.loss_comparison.make(place, "losses").reused


def test_recipes_that_differ_in_more_than_their_loss_are_refused(tmp_path: Path, project: Path) -> None:
    place = Place.of(project=str(tmp_path), store=str(tmp_path / "store"))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "demo.toml").write_text((project / "recipes" / "demo.toml").read_text())
    shutil.copytree(project / "corpora", tmp_path / "corpora")
    write_losses(place, {"a": "", "b": "[train]\npeak_lr = 1e-4\n"})

    with pytest.raises(RecipeError, match=r"recipes/losses/b.toml: train differs from that of 'losses/a'"):
        line.loss_comparison.make(place, "losses")


def test_the_folder_of_the_checkout_differs_in_its_losses_alone(project: Path) -> None:
    place = Place.of(project=str(project))
    names = place.recipes_in("losses")

    assert {place.recipe(name).loss.kind for name in names} == {"ce", "crf", "ce+crf", "soft-span", "uncertainty"}
    assert len({str(place.recipe(name).slice("corpus", "train", "smoke", "model")) for name in names}) == 1


def test_fewer_than_three_seeds_are_refused_before_anything_is_trained(project: Path) -> None:
    with pytest.raises(RecipeError, match="seeds is 2, expected at least 3"):
        line.loss_comparison.make(Place.of(project=str(project)), "losses", seeds=2)


def test_a_folder_without_two_recipes_is_refused(project: Path) -> None:
    with pytest.raises(RecipeError, match="nowhere: holds 0 recipes, expected at least 2 to compare"):
        line.loss_comparison.make(Place.of(project=str(project)), "nowhere")


def test_a_recipe_with_a_seed_differs_in_name_seed_and_changes_alone(project: Path) -> None:
    place = Place.of(project=str(project))
    plain, seeded = place.recipe("demo"), place.recipe("demo@7")

    assert (seeded.name, seeded.train.seed, seeded.changes) == ("demo@7", 7, {"train.seed": 7})
    assert seeded.model_copy(update={"name": "demo", "train": plain.train, "changes": plain.changes}) == plain
    assert seeded.digest != plain.digest == place.recipe("demo@0").digest
