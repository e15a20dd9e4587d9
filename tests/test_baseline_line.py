"""A baseline in the graph: report, card and gate stand on it, and a release that is worse in an axis is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from graph_runs import materialize
from tiny_line import made, remade_release
from tiny_project import LOCALES, change, edit_json, place_at, rewrite, with_baseline

from mw_pipeline.checksums import write_sums
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.baseline import FIRST_RELEASE, NOT_NAMED
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.shipping import demand_gates, ship

pytestmark = pytest.mark.slow


def of_other_weights(source: Path, target: Path) -> Path:
    """A copy of packages that says it was trained in another run: an earlier release."""
    shutil.copytree(source, target)
    for locale in LOCALES:
        path = target / locale / "lineage.json"
        path.write_text(path.read_text().replace(trained(path), "0" * 64))
        write_sums(target / locale)
    return target


def trained(path: Path) -> str:
    roots = json.loads(path.read_text())["roots"]
    return str(next(root["digest"] for root in roots if root["kind"] == "full_checkpoint"))


def test_a_first_release_says_that_it_has_no_baseline_and_its_second_making_is_free(place: Place) -> None:
    packages = remade_release(with_baseline(place, "last-release"))
    card = packages.read_json("en-us/model-card.json")

    assert card["release_axes"] == {"sentence": FIRST_RELEASE}
    assert "No baseline: first release." in packages.file("en-us/README.md").read_text()
    report = made(place, "eval_report")
    assert "<p>No baseline: first release.</p>" in report.file("report.html").read_text()
    assert checks.release_beats_its_gates(place, "demo").summary.endswith(FIRST_RELEASE)

    said = ship(place, "demo", packages)
    assert said.startswith("released\n")
    assert "kept           releases/demo/0.1.0+" in said
    assert remade_release(place).digest == packages.digest, "a release is not the baseline of itself"


def test_the_last_release_stands_on_report_card_and_gate_and_keeping_it_stales_nothing(place: Place) -> None:
    released = made(place, "packaged_weights")
    of_other_weights(released.path, place.project / "releases" / "demo")
    change(place.project, "[eval]", "[eval]\nmin_core_macro_f1 = 0.01")  # M55: what the baseline passes is not stale
    packages = remade_release(with_baseline(place, "last-release"))

    part = packages.read_json("fr-fr/model-card.json")["release_axes"]
    assert part["headline"] == "0 of 4 axes improved with the adversarial rows, 0 of 4 without"
    assert part["worsened"] == []
    assert part["baseline"]["folder"].startswith("releases/demo/0.1.0+")
    assert part["baseline"]["model_sha256"] == sha256_file(packages.file("fr-fr/model.onnx"))
    assert part["values"]["broken"]["total"] == 0
    assert "| coarse F1 |" in packages.file("fr-fr/README.md").read_text()
    html = made(place, "eval_report").file("report.html").read_text()
    assert html.index(part["headline"]) < html.index("<nav"), "on the first screen"
    found = checks.release_beats_its_gates(place, "demo")
    assert found.problems == ()
    assert found.summary.endswith(part["headline"])
    assert "| training stability |" in found.evidence["axes_en-us"]
    diagnosis = made(place, "regression_diagnosis")
    assert "fr-fr: 0 of 4 axes improved" in diagnosis.file("diagnosis.md").read_text()

    assert ship(place, "demo", packages).startswith("released\n")
    assert len([*(place.project / "releases" / "demo").glob("*+*")]) == 2
    assert remade_release(place).digest == packages.digest


def compared(place: Place, **asked: str) -> dict[str, JSON]:
    recipe = place.recipe("demo")
    return comparison_of(line.eval_report.request(place, recipe), line.baseline(place, recipe), **asked)


def test_the_graph_compares_with_a_baseline_that_was_named_since(place: Place) -> None:
    released = made(place, "packaged_weights")
    of_other_weights(released.path, place.project / "former")
    with_baseline(place, "former")

    result = materialize(place.project, "eval_report")

    assert result.success
    assert set(compared(place)) == set(LOCALES)


def test_a_release_that_is_worse_in_an_axis_is_refused_unless_the_recipe_lets_that_many_get_worse(
    place: Place,
) -> None:
    released = made(place, "packaged_weights")
    of_other_weights(released.path, place.project / "former")
    with_baseline(place, "former")
    remade_release(place)
    with pytest.raises(ArtifactError, match=r"was measured on network .* is to be packaged"):  # M51
        compared(place, model_sha256="0" * 64)
    worse = {
        "candidate": 0.08, "baseline": 0.03, "difference": 0.05, "interval": [0.04, 0.06], "verdict": "worse",
    }  # fmt: skip
    edit = edit_json(
        **{"locales__fr-fr__with_adversarial__calibration": worse, "locales__fr-fr__worsened": ["calibration"]}
    )
    rewrite(made(place, "release_axes"), "axes.json", edit)
    remade_release(place)

    with pytest.raises(
        GateError,
        match=r"fr-fr: calibration is worse than that of the baseline former/fr-fr, 0\.0800 after 0\.0300 \(change "
        r"\+0\.0500, 95 % interval 0\.0400 … 0\.0600\) on \d+ rows of golden, FR rows; 1 of 4 axes got worse, "
        r"eval\.axes_may_worsen is 0\. Train better weights",
    ):
        demand_gates(place, "demo")
    packages = made(place, "packaged_weights")
    assert ship(place, "demo", packages).startswith("not released: release_beats_its_gates does not hold")

    change(place.project, "[eval]", "[eval]\naxes_may_worsen = 1")
    remade_release(place)
    assert checks.release_beats_its_gates(place, "demo").problems == ()

    rewrite(made(place, "release_axes"), "axes.json", edit_json(locales={}))  # M68: a comparison that leaves all out
    with pytest.raises(ArtifactError, match=r"axes\.json: locales\.en-us is missing"):
        compared(place)


def test_a_gate_that_the_baseline_itself_fails_is_stale(place: Place) -> None:
    # M55: asked of the baseline's packaged bytes, on the same rows
    released = made(place, "packaged_weights")
    of_other_weights(released.path, place.project / "former")
    change(place.project, "[eval]", '[eval]\nbaseline = "former"\nmin_core_macro_f1 = 0.9999')
    remade_release(place)

    of_baseline = [problem for problem in checks.release_beats_its_gates(place, "demo").problems if "stale" in problem]
    assert [problem.split(": core")[0] for problem in of_baseline] == [
        f"the gate is stale: its baseline former/{locale} does not pass it, {locale}" for locale in LOCALES
    ]
    assert all(problem.endswith("asks a lower end of 1.00: set one that it passes") for problem in of_baseline)


def test_a_recipe_that_names_no_baseline_says_so(tiny_line: Path) -> None:
    place = place_at(tiny_line)
    packages = made(place, "packaged_weights")

    assert packages.read_json("en-us/model-card.json")["release_axes"] == {"sentence": NOT_NAMED}
    assert packages.read_json("en-us/model-card.json")["training"]["stability"].keys() == {
        "largest_fall", "evaluations", "near_peak_window",
    }  # fmt: skip
