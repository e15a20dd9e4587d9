"""Releases are kept by version, a recipe's last one is its baseline, and none is the baseline of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_project import LOCALES, change, edit_json, place_at, with_baseline, write_project

from assets.plan import commands
from mw_pipeline.checksums import write_sums
from mw_pipeline.errors import ArtifactError, GateError, RecipeError
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.stages.baseline import baseline_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.releases import last_release, publish


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


@pytest.mark.parametrize(
    "name",
    ["../elsewhere", "..", ".", "", "/", "a/../..", ".en-us.old", "en-us", "1.0+0000000g", "1\0+00000000", 7, ["a"]],
)
def test_an_order_of_releases_that_is_none_is_refused_and_nothing_elsewhere_is_touched(
    tmp_path: Path, name: object
) -> None:
    target, elsewhere = release(tmp_path / "demo"), release(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (target / "released.json").write_text(json.dumps([name]))

    refused = pytest.raises(ArtifactError, match=r"released\.json: holds .*expected the names of kept releases")
    with refused:
        last_release(target, weights="w1", locales=LOCALES)
    with refused:
        publish(elsewhere, target, LOCALES)
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture
def fresh(tmp_path: Path, project: Path) -> Place:
    """A tiny project of which nothing is made yet."""
    return place_at(write_project(tmp_path / "p", golden=project / "golden"))


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
    with_baseline(fresh, baseline)

    with pytest.raises(RecipeError, match=message):
        commands(fresh, "demo")


def test_a_baseline_that_is_damaged_or_shares_no_tag_is_refused_before_anything_is_made(
    fresh: Place, tiny_release: Path
) -> None:
    package = Path(shutil.copytree(tiny_release / "packages" / "en-us", fresh.project / "p"))
    with_baseline(fresh, "p")
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

    assert commands(with_baseline(fresh, baseline), "demo")


def test_a_last_release_that_is_damaged_is_refused_before_anything_is_made(fresh: Place, tiny_release: Path) -> None:
    target = fresh.project / "releases" / "demo"
    last = publish(tiny_release / "packages", target, LOCALES)
    with_baseline(fresh, "last-release")
    assert commands(fresh, "demo")
    (last / "en-us" / "model.onnx").write_bytes(b"damaged")

    with pytest.raises(ArtifactError, match=r"0\.1\.0\+\w+/en-us: model\.onnx: has the sha256"):
        commands(fresh, "demo")


def test_a_last_release_that_lost_a_file_is_refused_and_not_taken_for_none(fresh: Place, tiny_release: Path) -> None:
    last = publish(tiny_release / "packages", fresh.project / "releases" / "demo", LOCALES)
    with_baseline(fresh, "last-release")
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
    place = with_baseline(fresh, "last-release")
    found = baseline_of(place, place.recipe("demo"), weights="")

    assert second.name.startswith("0.2.0+a+")
    assert found.packages == {"en-us": second / "en-us", "fr-fr": first / "fr-fr"}
    assert found.folders["fr-fr"] == f"releases/demo/{first.name}/fr-fr"


def test_a_locale_is_the_same_in_capitals(fresh: Place, tiny_release: Path) -> None:
    shutil.copytree(tiny_release / "packages" / "en-us", fresh.project / "theirs")
    card = json.loads((fresh.project / "theirs" / "model-card.json").read_text())
    (fresh.project / "theirs" / "model-card.json").write_text(json.dumps({**card, "locale": "en-US"}))
    place = with_baseline(fresh, "theirs")

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
    place = with_baseline(fresh, "packages/en-us")
    found = baseline_of(place, place.recipe("demo"), weights="")

    assert list(found.packages) == ["en-us"]
    assert found.folders["en-us"] == "packages/en-us"
    assert found.without == {"fr-fr": "no baseline: packages/en-us has no package for fr-fr"}
    change(place.project, "packages/en-us", "packages")
    assert baseline_of(place, place.recipe("demo"), weights="").folders["fr-fr"] == "packages/fr-fr"
