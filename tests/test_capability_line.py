"""The matrix of a recipe in the store is of the bytes that ship, stands on the card, and keeps blind releases back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from matrix_inputs import small_matrix
from tiny_project import place_at

from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import checks, requests
from mw_pipeline.stages.checks import release
from mw_pipeline.stages.matrices import matrix_of, page_file, summary_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.shipping import demand_gates

pytestmark = pytest.mark.slow


@pytest.fixture
def line(tiny_line: Path) -> Place:
    return place_at(tiny_line)


def test_the_matrix_is_of_the_packaged_bytes_and_stands_on_card_and_readme(line: Place) -> None:
    packages = requests.packages(line, line.recipe("demo")).demand(line.store)
    for locale in line.recipe("demo").package.locales:
        found = matrix_of(line, "demo", locale)
        card = packages.read_json(f"{locale}/model-card.json")
        readme = packages.file(f"{locale}/README.md").read_text(encoding="utf-8")

        assert found.measured_on == sha256_file(packages.file(f"{locale}/model.onnx"))
        assert found.compared
        assert card["capability"] == json.loads(json.dumps(found.summary()))
        assert "## What it reads worst" in readme
        assert found.worst(1)[0].key.name in readme


def test_every_locale_has_a_page_and_rows_that_training_met_are_left_out(line: Place) -> None:
    made = requests.capability(line, line.recipe("demo")).demand(line.store)

    assert made.metrics["blind"] == 0
    assert made.metrics["cells"] > 2000
    for locale in line.recipe("demo").package.locales:
        assert matrix_of(line, "demo", locale).held_out == 0.0
        assert "The corpus held out no place" in made.file(page_file(locale)).read_text(encoding="utf-8")
        assert f"What {locale} can read" in made.file(page_file(locale)).read_text(encoding="utf-8")


def blind_as(line: Place, locale: str) -> CapabilityMatrix:
    """The small matrix that is blind to Vermont, as if the recipe's own bytes had been asked."""
    return dataclasses.replace(small_matrix(), locale=locale, measured_on=matrix_of(line, "demo", locale).measured_on)


def test_a_release_with_a_blind_cell_is_refused_by_its_name(line: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # M65
    assert checks.no_cell_is_blind(line, "demo").problems == ()

    monkeypatch.setattr(release, "matrix_of", lambda place, recipe, locale: blind_as(line, locale))

    assert checks.no_cell_is_blind(line, "demo").problems == (
        "en-us: region name: Vermont is right on 0 of 40 rows (0.000 to 0.088)",
        "fr-fr: region name: Vermont is right on 0 of 40 rows (0.000 to 0.088)",
    )
    with pytest.raises(GateError, match=r"no_cell_is_blind does not hold for 'demo': en-us: region name: Vermont"):
        demand_gates(line, "demo")


def test_a_matrix_of_other_bytes_says_nothing_of_the_package(line: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # M51
    other = dataclasses.replace(matrix_of(line, "demo", "en-us"), measured_on="b" * 64)
    with pytest.raises(ArtifactError, match="was measured on network bbbbbbbbbbbb, and cccccccccccc is to be packaged"):
        summary_of(other, "c" * 64)

    monkeypatch.setattr(release, "matrix_of", lambda place, recipe, locale: dataclasses.replace(other, locale=locale))

    assert (
        "en-us: the matrix was measured on other bytes than the packaged model.onnx: "
        "materialize capability_matrix and packaged_weights again"
    ) in checks.no_cell_is_blind(line, "demo").problems
