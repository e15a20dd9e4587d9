"""Releases are kept by version, a recipe's last one is its baseline, and none is the baseline of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from graph_runs import materialize
from tiny_project import change, edit_json, place_at, rewrite, write_project

from assets.plan import commands
from mw_pipeline.artifact import Artifact
from mw_pipeline.checksums import write_sums
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError, GateError, RecipeError
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.baseline import FIRST_RELEASE, NOT_NAMED, baseline_of
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.releases import last_release, publish
from mw_pipeline.stages.shipping import demand_gates, ship

LOCALES = ("en-us", "fr-fr")


def package(folder: Path, *, version: str = "0.1.0", weights: str = "w1", word: str = "") -> Path:
    """A sealed folder with what a release is told by: card, lineage and a file of its own."""
    folder.mkdir(parents=True)
    (folder / "model-card.json").write_text(json.dumps({"version": version}))
    lineage = {"roots": [{"kind": "full_checkpoint", "digest": weights}], "nodes": []}
    (folder / "lineage.json").write_text(json.dumps(lineage))
    (folder / "package.json").write_text(json.dumps({"word": word}))
    write_sums(folder)
    return folder


def release(folder: Path, **facts: str) -> Path:
    for locale in LOCALES:
        package(folder / locale, **facts)
    return folder


def kept(target: Path) -> list[str]:
    return sorted(path.name for path in target.iterdir() if "+" in path.name)


def test_nothing_is_lost_when_a_release_is_packaged_over_one_of_the_same_version(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    first = publish(release(tmp_path / "one", word="one"), target, LOCALES)
    second = publish(release(tmp_path / "two", word="two", weights="w2"), target, LOCALES)

    assert first.name != second.name
    assert {first.name[:6], second.name[:6]} == {"0.1.0+"}
    assert kept(target) == sorted([first.name, second.name])
    for place, word in ((target, "two"), (first, "one"), (second, "two")):
        assert [json.loads((place / locale / "package.json").read_text())["word"] for locale in LOCALES] == [word] * 2


def test_the_same_release_is_kept_once(tmp_path: Path) -> None:
    target, source = tmp_path / "releases" / "demo", release(tmp_path / "one")

    assert publish(source, target, LOCALES) == publish(source, target, LOCALES)
    assert len(kept(target)) == 1
    assert json.loads((target / "released.json").read_text()) == kept(target)


def test_what_was_released_before_releases_were_kept_is_kept_too(tmp_path: Path) -> None:
    target = release(tmp_path / "releases" / "demo", word="old", weights="w0")
    known = last_release(target, weights="w1", locales=LOCALES)
    publish(release(tmp_path / "one"), target, LOCALES)
    after = last_release(target, weights="w1", locales=LOCALES)

    assert known is not None
    assert after is not None
    assert (known.name, known.folder) == (after.name, target), "keeping it gives it no other name"
    assert after.folder == target / after.name
    assert json.loads((after.folder / "fr-fr" / "package.json").read_text())["word"] == "old"


def test_the_last_release_is_the_one_that_was_made_last_and_never_one_of_these_weights(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    assert last_release(target, weights="w1", locales=LOCALES) is None
    names = [
        publish(release(tmp_path / word, word=word, weights=word, version=version), target, LOCALES).name
        for word, version in (("w1", "0.9"), ("w2", "0.10"), ("w3", "0.2"))
    ]

    def last(weights: str) -> str | None:
        found = last_release(target, weights=weights, locales=LOCALES)
        return None if found is None else found.name

    assert [last(weights) for weights in ("w1", "w2", "w3", "w4")] == [names[2], names[2], names[1], names[2]]
    shutil.rmtree(target / names[2])
    for locale in LOCALES:
        shutil.rmtree(target / locale)
    assert last("w1") == names[1], "one that somebody removed is none"


def test_a_release_folder_is_inspected_by_the_release_at_hand(tmp_path: Path, tiny_release: Path) -> None:
    target = tmp_path / "releases" / "demo"
    publish(tiny_release / "packages", target, LOCALES)

    assert inspect_path(target).facts == {"locales": list(LOCALES)}
    assert inspect_path(target).sound
    assert inspect_path(target / kept(target)[0]).sound


def test_an_order_of_releases_that_is_none_is_refused(tmp_path: Path) -> None:
    target = release(tmp_path / "demo")
    (target / "released.json").write_text('["../elsewhere"]')

    with pytest.raises(ArtifactError, match=r"released\.json: holds .*expected the names of kept releases"):
        last_release(target, weights="w1", locales=LOCALES)


@pytest.fixture
def fresh(tmp_path: Path, project: Path) -> Place:
    """A tiny project of which nothing is made yet."""
    return place_at(write_project(tmp_path / "p", golden=project / "golden"))


def named(place: Place, baseline: str) -> Place:
    change(place.project, "[eval]", f'[eval]\nbaseline = "{baseline}"')
    return place


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (
            "releases/former",
            r"eval\.baseline is 'releases/former', and .* holds nothing: there is no such folder, expect",
        ),
        ("golden", r"holds no package, expected one for en-us or fr-fr\. Name a folder with model\.onnx"),
        ("packages/fr-fr", r"holds the package for 'fr-fr', expected one for en-us"),
    ],
)
def test_a_baseline_that_is_not_there_is_refused_before_anything_is_made(
    fresh: Place, tiny_release: Path, baseline: str, message: str
) -> None:
    shutil.copytree(tiny_release / "packages", fresh.project / "packages")
    if "packages" in baseline:
        change(fresh.project, "[package]", '[package]\nlocales = ["en-us"]')
    named(fresh, baseline)

    with pytest.raises(RecipeError, match=message):
        commands(fresh, "demo")


def test_a_baseline_that_is_damaged_or_shares_no_tag_is_refused_before_anything_is_made(
    fresh: Place, tiny_release: Path
) -> None:
    package = Path(shutil.copytree(tiny_release / "packages" / "en-us", fresh.project / "p"))
    named(fresh, "p")
    edit_json(labels=["O", "B-city", "I-city"])(package / "model-card.json")
    with pytest.raises(ArtifactError, match=r"model-card\.json: has the sha256"):
        commands(fresh, "demo")

    (package / "SHA256SUMS").unlink()
    crf = json.loads((package / "crf-transitions.json").read_text())
    del crf["labels"]
    crf["transitions"] = [[0, 0, 0]] * 3
    for name in ("start", "start_transitions", "end_transitions"):
        crf.pop(name, None)
    (package / "crf-transitions.json").write_text(json.dumps(crf))
    with pytest.raises(GateError, match=r"the labels of the baseline have the tags city, this recipe's have country"):
        commands(fresh, "demo")


@pytest.mark.parametrize("baseline", ["packages", "packages/en-us", "last-release"])
def test_a_baseline_that_is_there_or_will_be_is_no_obstacle(fresh: Place, tiny_release: Path, baseline: str) -> None:
    shutil.copytree(tiny_release / "packages", fresh.project / "packages")

    assert commands(named(fresh, baseline), "demo")


def test_a_last_release_that_is_damaged_is_refused_before_anything_is_made(fresh: Place, tiny_release: Path) -> None:
    target = fresh.project / "releases" / "demo"
    last = publish(tiny_release / "packages", target, LOCALES)
    named(fresh, "last-release")
    assert commands(fresh, "demo")
    (last / "en-us" / "model.onnx").write_bytes(b"damaged")

    with pytest.raises(ArtifactError, match=r"0\.1\.0\+\w+/en-us: model\.onnx: has the sha256"):
        commands(fresh, "demo")


def test_a_last_release_that_lost_a_file_is_refused_and_not_taken_for_none(fresh: Place, tiny_release: Path) -> None:
    last = publish(tiny_release / "packages", fresh.project / "releases" / "demo", LOCALES)
    named(fresh, "last-release")
    (last / "en-us" / "model-card.json").unlink()

    with pytest.raises(ArtifactError, match=r"en-us: .*model-card\.json"):
        commands(fresh, "demo")


def test_releases_that_are_all_gone_are_not_taken_for_none(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    last = publish(release(tmp_path / "one"), target, LOCALES)
    for folder in (last, *(target / locale for locale in LOCALES)):
        shutil.rmtree(folder)

    with pytest.raises(ArtifactError, match=r"released\.json: names 0\.1\.0\+\w+, and no folder beside it holds"):
        last_release(target, weights="w2", locales=LOCALES)


@pytest.mark.parametrize("content", ["[]", '{"roots": [{"kind": "full_checkpoint"}]}', '{"roots": 7}', "{}"])
def test_a_lineage_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    target = tmp_path / "releases" / "demo"
    last = publish(release(tmp_path / "one"), target, LOCALES)
    (last / "en-us" / "lineage.json").write_text(content)

    with pytest.raises(ArtifactError, match=r"lineage\.json: has no roots with kind and digest"):
        last_release(target, weights="w2", locales=LOCALES)


def test_drafts_that_a_full_disk_has_left_are_no_locales(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    publish(release(tmp_path / "one"), target, LOCALES)
    for draft in (".en-us.new", ".en-us.old"):
        package(target / draft, word="half")
        (target / draft / "model-card.json").write_text("")

    found = last_release(target, weights="w2", locales=LOCALES)
    assert found is not None and found.locales == LOCALES
    publish(release(tmp_path / "two", word="two"), target, LOCALES)
    assert len(kept(target)) == 2


def test_a_locale_that_a_release_skipped_is_compared_with_the_one_before(fresh: Place, tiny_release: Path) -> None:
    target = fresh.project / "releases" / "demo"
    first = publish(tiny_release / "packages", target, LOCALES)
    second = publish(release(fresh.project / "later", version="0.2.0+a"), target, ("en-us",))
    place = named(fresh, "last-release")
    found = baseline_of(place, place.recipe("demo"), weights="")

    assert second.name.startswith("0.2.0+a+")
    assert found.packages == {"en-us": second / "en-us", "fr-fr": first / "fr-fr"}
    assert found.folders["fr-fr"] == f"releases/demo/{first.name}/fr-fr"


def test_a_locale_is_the_same_in_capitals(fresh: Place, tiny_release: Path) -> None:
    shutil.copytree(tiny_release / "packages" / "en-us", fresh.project / "theirs")
    card = json.loads((fresh.project / "theirs" / "model-card.json").read_text())
    (fresh.project / "theirs" / "model-card.json").write_text(json.dumps({**card, "locale": "en-US"}))
    place = named(fresh, "theirs")

    assert list(baseline_of(place, place.recipe("demo"), weights="").packages) == ["en-us"]


def test_releasing_again_brings_the_bytes_that_were_made_and_not_those_that_somebody_kept(tmp_path: Path) -> None:
    target, source = tmp_path / "releases" / "demo", release(tmp_path / "one", word="made")
    (publish(source, target, LOCALES) / "en-us" / "package.json").write_text("edited")
    publish(source, target, LOCALES)

    assert json.loads((target / "en-us" / "package.json").read_text()) == {"word": "made"}


def test_a_release_for_other_locales_alone_is_no_baseline(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    publish(release(tmp_path / "one"), target, LOCALES)

    assert last_release(target, weights="w2", locales=("de-de",)) is None
    assert last_release(target, weights="w2", locales=("de-de", "fr-fr")) is not None


def test_a_package_counts_for_the_locale_of_its_card_and_a_folder_for_those_it_has(
    fresh: Place, tiny_release: Path
) -> None:
    shutil.copytree(tiny_release / "packages", fresh.project / "packages")
    place = named(fresh, "packages/en-us")
    found = baseline_of(place, place.recipe("demo"), weights="")

    assert list(found.packages) == ["en-us"]
    assert found.folders["en-us"] == "packages/en-us"
    assert found.without == {"fr-fr": "no baseline: packages/en-us has no package for fr-fr"}
    change(place.project, "packages/en-us", "packages")
    assert baseline_of(place, place.recipe("demo"), weights="").folders["fr-fr"] == "packages/fr-fr"


def remake(place: Place) -> Artifact:
    """Report, diagnosis and packages of the demo."""

    line.eval_report.make(place, "demo")
    line.regression_diagnosis.make(place, "demo")
    line.capability_matrix.make(place, "demo")
    return line.packaged_weights.make(place, "demo").artifact


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


@pytest.mark.slow
def test_a_first_release_says_that_it_has_no_baseline_and_its_second_making_is_free(place: Place) -> None:
    packages = remake(named(place, "last-release"))
    card = packages.read_json("en-us/model-card.json")

    assert card["release_axes"] == {"sentence": FIRST_RELEASE}
    assert "No baseline: first release." in packages.file("en-us/README.md").read_text()
    report = line.eval_report.demand(place, place.recipe("demo"))
    assert "<p>No baseline: first release.</p>" in report.file("report.html").read_text()
    assert checks.release_beats_its_gates(place, "demo").summary.endswith(FIRST_RELEASE)

    said = ship(place, "demo", packages)
    assert said.startswith("released\n")
    assert "kept           releases/demo/0.1.0+" in said
    assert remake(place).digest == packages.digest, "a release is not the baseline of itself"


@pytest.mark.slow
def test_the_last_release_stands_on_report_card_and_gate_and_keeping_it_stales_nothing(place: Place) -> None:
    made = line.packaged_weights.demand(place, place.recipe("demo"))
    of_other_weights(made.path, place.project / "releases" / "demo")
    change(place.project, "[eval]", "[eval]\nmin_core_macro_f1 = 0.01")  # M55: what the baseline passes is not stale
    packages = remake(named(place, "last-release"))

    part = packages.read_json("fr-fr/model-card.json")["release_axes"]
    assert part["headline"] == "0 of 4 axes improved with the adversarial rows, 0 of 4 without"
    assert part["worsened"] == []
    assert part["baseline"]["folder"].startswith("releases/demo/0.1.0+")
    assert part["baseline"]["model_sha256"] == sha256_file(packages.file("fr-fr/model.onnx"))
    assert part["values"]["broken"]["total"] == 0
    assert "| coarse F1 |" in packages.file("fr-fr/README.md").read_text()
    html = line.eval_report.demand(place, place.recipe("demo")).file("report.html").read_text()
    assert html.index(part["headline"]) < html.index("<nav"), "on the first screen"
    found = checks.release_beats_its_gates(place, "demo")
    assert found.problems == ()
    assert found.summary.endswith(part["headline"])
    assert "| training stability |" in found.evidence["axes_en-us"]
    diagnosis = line.regression_diagnosis.demand(place, place.recipe("demo"))
    assert "fr-fr: 0 of 4 axes improved" in diagnosis.file("diagnosis.md").read_text()

    assert ship(place, "demo", packages).startswith("released\n")
    assert len(kept(place.project / "releases" / "demo")) == 2
    assert remake(place).digest == packages.digest


def compared(place: Place, **asked: str) -> dict[str, JSON]:
    recipe = place.recipe("demo")
    return comparison_of(line.eval_report.request(place, recipe), line.baseline(place, recipe), **asked)


@pytest.mark.slow
def test_the_graph_compares_with_a_baseline_that_was_named_since(place: Place) -> None:
    made = line.packaged_weights.demand(place, "demo")
    of_other_weights(made.path, place.project / "former")
    named(place, "former")

    result = materialize(place.project, "eval_report")

    assert result.success
    assert set(compared(place)) == set(LOCALES)


@pytest.mark.slow
def test_a_release_that_is_worse_in_an_axis_is_refused_unless_the_recipe_lets_that_many_get_worse(
    place: Place,
) -> None:
    made = line.packaged_weights.demand(place, place.recipe("demo"))
    of_other_weights(made.path, place.project / "former")
    named(place, "former")
    remake(place)
    recipe = place.recipe("demo")
    with pytest.raises(ArtifactError, match=r"was measured on network .* is to be packaged"):  # M51
        compared(place, model_sha256="0" * 64)
    worse = {
        "candidate": 0.08, "baseline": 0.03, "difference": 0.05, "interval": [0.04, 0.06], "verdict": "worse",
    }  # fmt: skip
    edit = edit_json(
        **{"locales__fr-fr__with_adversarial__calibration": worse, "locales__fr-fr__worsened": ["calibration"]}
    )
    rewrite(line.release_axes.demand(place, recipe), "axes.json", edit)
    remake(place)

    with pytest.raises(
        GateError,
        match=r"fr-fr: calibration is worse than that of the baseline former/fr-fr, 0\.0800 after 0\.0300 \(change "
        r"\+0\.0500, 95 % interval 0\.0400 … 0\.0600\) on \d+ rows of golden, FR rows; 1 of 4 axes got worse, "
        r"eval\.axes_may_worsen is 0\. Train better weights",
    ):
        demand_gates(place, "demo")
    packages = line.packaged_weights.demand(place, recipe)
    assert ship(place, "demo", packages).startswith("not released: release_beats_its_gates does not hold")

    change(place.project, "[eval]", "[eval]\naxes_may_worsen = 1")
    remake(place)
    assert checks.release_beats_its_gates(place, "demo").problems == ()


@pytest.mark.slow
def test_a_gate_that_the_baseline_itself_fails_is_stale(place: Place) -> None:
    # M55: asked of the baseline's packaged bytes, on the same rows
    made = line.packaged_weights.demand(place, place.recipe("demo"))
    of_other_weights(made.path, place.project / "former")
    change(place.project, "[eval]", '[eval]\nbaseline = "former"\nmin_core_macro_f1 = 0.9999')
    remake(place)

    of_baseline = [problem for problem in checks.release_beats_its_gates(place, "demo").problems if "stale" in problem]
    assert [problem.split(": core")[0] for problem in of_baseline] == [
        f"the gate is stale: its baseline former/{locale} does not pass it, {locale}" for locale in LOCALES
    ]
    assert all(problem.endswith("asks a lower end of 1.00: set one that it passes") for problem in of_baseline)


@pytest.mark.slow
def test_a_recipe_that_names_no_baseline_says_so(tiny_line: Path) -> None:
    place = place_at(tiny_line)
    packages = line.packaged_weights.demand(place, place.recipe("demo"))

    assert packages.read_json("en-us/model-card.json")["release_axes"] == {"sentence": NOT_NAMED}
    assert packages.read_json("en-us/model-card.json")["training"]["stability"].keys() == {
        "largest_fall", "evaluations", "near_peak_window",
    }  # fmt: skip
