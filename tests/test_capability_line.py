"""The matrix of a recipe in the store is of the bytes that ship, stands on the card, and keeps blind releases back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from build_processes import bytes_of
from tiny_project import change, forget, place_at, rewrite

from mw_pipeline.capability.cells import CellKey, cell_of
from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.corpus.workers import HERE, Workers
from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import checks, export, line
from mw_pipeline.stages.capability import build_matrices
from mw_pipeline.stages.checks import capability
from mw_pipeline.stages.matrices import matrix_file, matrix_of, page_file, summary_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made
from mw_pipeline.stages.shipping import demand_gates

pytestmark = pytest.mark.slow


@pytest.fixture
def finished(tiny_line: Path) -> Place:
    return place_at(tiny_line)


def measured(place: Place, locale: str) -> CapabilityMatrix:
    return matrix_of(line.capability_matrix.demand(place, "demo"), place.recipe("demo"), locale)


def test_the_matrix_is_of_the_packaged_bytes_and_stands_on_card_and_readme(finished: Place) -> None:
    packages = line.packaged_weights.demand(finished, finished.recipe("demo"))
    for locale in finished.recipe("demo").package.locales:
        found = measured(finished, locale)
        card = packages.read_json(f"{locale}/model-card.json")
        readme = packages.file(f"{locale}/README.md").read_text(encoding="utf-8")

        assert found.measured_on == sha256_file(packages.file(f"{locale}/model.onnx"))
        assert found.compared
        assert card["capability"] == json.loads(json.dumps(found.summary()))
        assert "## What it reads worst" in readme
        assert found.worst(1)[0].key.name in readme


def test_every_locale_has_a_page_and_rows_that_training_met_are_left_out(finished: Place) -> None:
    made = line.capability_matrix.demand(finished, finished.recipe("demo"))

    assert made.metrics["blind"] == 0
    assert made.metrics["cells"] > 2000
    for locale in finished.recipe("demo").package.locales:
        assert measured(finished, locale).held_out == 0.0
        assert "The corpus held out no place" in made.file(page_file(locale)).read_text(encoding="utf-8")
        assert f"What {locale} can read" in made.file(page_file(locale)).read_text(encoding="utf-8")


def test_two_workers_leave_the_bytes_of_one_and_none_of_them_is_asked_on_another_machine(
    finished: Place, tmp_path: Path
) -> None:
    made = line.capability_matrix.demand(finished, "demo")
    said: list[str] = []
    (tmp_path / "two").mkdir()

    metrics = build_matrices(
        line.capability_matrix.request(finished, "demo"),
        tmp_path / "two",
        said.append,
        workers=Workers(2, ray="ray://nowhere.invalid:10001"),
    )

    assert finished.workers == HERE
    assert bytes_of(tmp_path / "two") == {entry.path: entry.sha256 for entry in made.manifest.files}
    assert {name: made.metrics[name] for name in metrics} == metrics
    assert said[0] == "capability of en-us, fr-fr: 2 processes make and read the rows"
    assert sorted(line.partition(": ")[0] for line in said[1:]) == ["capability of en-us", "capability of fr-fr"]


def test_packages_take_the_network_that_the_matrix_was_measured_on_and_export_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = line.exported_network.demand(place, "demo")
    change(place.project, "[package]", '[package]\nversion = "9.9.9"')
    monkeypatch.setattr(export, "export_model", lambda *checkpoint, **texts: pytest.fail("exported again"))

    packages = line.packaged_weights.make(place, "demo").artifact

    for locale in place.recipe("demo").package.locales:
        assert sha256_file(packages.file(f"{locale}/model.onnx")) == sha256_file(network.file("model.onnx"))
        assert ("exported_network", network.digest) in {
            (node["kind"], node["digest"]) for node in packages.read_json(f"{locale}/lineage.json")["nodes"]
        }
    assert packages.read_json("parity.json") == network.read_json("parity.json")


def test_the_parity_of_a_package_is_measured_on_its_bytes_whatever_lies_beside_the_network(finished: Place) -> None:
    request = line.packaged_weights.request(finished, "demo")
    network = export.network_of(request)
    flattered = dataclasses.replace(network.int8, max_logit_difference=0.0, label_agreement_share=1.0)

    again = export.compared_again(dataclasses.replace(network, int8=flattered), request)

    assert again.int8 == network.int8 != flattered
    assert again.fp32 == network.fp32


def test_a_network_that_is_gone_is_exported_again_and_its_matrix_found(place: Place) -> None:
    network = line.exported_network.demand(place, "demo")
    forget(place, "exported_network")

    with pytest.raises(ArtifactError, match=r"exported_network of 'demo' is not .* --select capability_matrix "):
        line.packaged_weights.demand(place, "demo")
    assert find_made(line.capability_matrix, place, "demo") is None
    assert line.capability_matrix.make(place, "demo").reused
    assert line.exported_network.demand(place, "demo").digest == network.digest


def blind_as(finished: Place, locale: str) -> CapabilityMatrix:
    """The true matrix of a locale, but for a word that no row was read right of."""
    true = measured(finished, locale)
    key = CellKey("region name", ("Vermont" if locale == "en-us" else "Bretagne",))
    cells = [cell if cell.key != key else cell_of(key, right=0, rows=40, min_cell=0.8) for cell in true.cells]
    return dataclasses.replace(true, cells=tuple(cells))


def test_a_release_with_a_blind_cell_is_refused_by_its_name(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # M65
    assert checks.no_cell_is_blind(finished, "demo").problems == ()

    found = {locale: blind_as(finished, locale) for locale in finished.recipe("demo").package.locales}
    monkeypatch.setattr(capability, "matrix_of", lambda matrices, recipe, locale: found[locale])

    assert checks.no_cell_is_blind(finished, "demo").problems == (
        "en-us: region name: Vermont is right on 0 of 40 rows (0.000 to 0.088)",
        "fr-fr: region name: Bretagne is right on 0 of 40 rows (0.000 to 0.088)",
    )
    with pytest.raises(GateError, match=r"no_cell_is_blind does not hold for 'demo': en-us: region name: Vermont"):
        demand_gates(finished, "demo")


def without_vermont(matrix: JSON) -> JSON:
    return {**matrix, "matrix": [cell for cell in matrix["matrix"] if cell["values"] != ["Vermont"]]}


def all_seen(matrix: JSON) -> JSON:
    cells = [{**cell, "verdict": "seen", "low": 0.9, "high": 1.0} for cell in matrix["matrix"]]
    return {**matrix, "min_cell": 0.0, "blind": 0, "matrix": cells}


def test_a_matrix_that_was_forged_before_packaging_is_judged_by_cells_and_counts(place: Place) -> None:
    # M65: whole artifacts made by hand, packaged and carded as if they were the true ones.
    change(place.project, "min_cell = 0.0", "min_cell = 0.8")
    line.eval_report.make(place, "demo")
    line.regression_diagnosis.make(place, "demo")
    made = line.capability_matrix.make(place, "demo").artifact
    true = made.read_json(matrix_file("en-us"))
    assert true["blind"], "a network of a minute reads little"
    blind = {f"en-us: {cell.sentence()}" for cell in measured(place, "en-us").blind}

    for forge, said in ((all_seen, " is right on "), (without_vermont, "cells, region name: Vermont: ")):
        made = rewrite(made, matrix_file("en-us"), lambda path, forge=forge: write_json_atomically(path, forge(true)))
        packages = line.packaged_weights.make(place, "demo").artifact

        problems = checks.no_cell_is_blind(place, "demo").problems
        assert said in problems[0]
        assert set(problems[1:10]) <= blind
        assert packages.read_json("en-us/model-card.json")["capability"]["blind"] >= true["blind"] - 1


def test_a_matrix_of_other_bytes_says_nothing_of_the_package(finished: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # M51
    other = dataclasses.replace(measured(finished, "en-us"), measured_on="b" * 64)
    with pytest.raises(ArtifactError, match="was measured on network bbbbbbbbbbbb, and cccccccccccc is to be packaged"):
        summary_of(other, "c" * 64)

    monkeypatch.setattr(capability, "matrix_of", lambda matrices, recipe, locale: other)

    assert (
        "en-us: the matrix was measured on other bytes than the packaged model.onnx: "
        "materialize capability_matrix and packaged_weights again"
    ) in checks.no_cell_is_blind(finished, "demo").problems
