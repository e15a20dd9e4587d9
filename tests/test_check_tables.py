"""What a person reads when a check has looked at a corpus: one table each, over a store with hand-made shards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from corpus_sources import HandMade, address, install

from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.corpus import row_files
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_corpus

SPEC = """
version = "1"
seed = 1
countries = []
variants = 1
validation_share = 0.1
test_share = 0.1
holdout_regions = ["US:vermont"]
licences_allowed = ["CC0-1.0"]

[augmentations]
other_script = 1.0

[sources.one]
adapter = "hand-made"

[sources.two]
adapter = "hand-made-too"
"""
GOLD = {"raw": "1 Elm Street, Springfield", "components": {"locality": "Springfield"}, "country": "US", "source": "x"}


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds the corpus `two` from two lists of records and returns its place."""

    def build(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> Place:
        install(monkeypatch, HandMade([one]))
        install(monkeypatch, HandMade([two], name="hand-made-too"))
        for name, text in (("corpora/both.toml", SPEC), ("golden/us.jsonl", json.dumps(GOLD) + "\n")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        place = Place.of(store=str(tmp_path / ".mw"), project=str(tmp_path), data=str(tmp_path))
        prepare_corpus(place, "both")
        return place

    return build


def test_a_corpus_of_which_one_source_is_gone_is_not_made_from_the_others(corpus: Any) -> None:
    # M43
    place = corpus(many(0), many(1000))
    manifest = line.corpus_manifest.demand(place, "both")
    assert sorted(row_files(manifest)) == ["one", "two"]
    shutil.rmtree(line.corpus_shards.demand(place, "both:two").path)

    with pytest.raises(ArtifactError, match="corpus_shards of 'both:two' is not in the store"):
        line.corpus_manifest.make(place, "both")
    with pytest.raises(ArtifactError):
        row_files(manifest)


def lines(table: object) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in str(table).splitlines()]


def many(start: int, number: int = 150, **values: Any) -> list[dict[str, Any]]:
    return [address(start + n, source_id=f"id{start + n}", **values) for n in range(number)]


def test_two_sources_at_odds_are_shown_with_a_row_of_either_side(corpus: Any) -> None:
    place = corpus(many(0, locality="Millbrook"), many(1000, locality=None, venue="Millbrook"))

    found = checks.labels_agree(place, "both")

    assert any(problem.startswith("'millbrook' is locality in one") for problem in found.problems)
    (row,) = [row for row in lines(found.evidence["conflicts"]) if row[0] == "millbrook"]
    assert (row[1], row[3], row[5], row[7]) == ("locality", "one", "venue", "two")
    assert "Millbrook" in row[4] and "Millbrook" in row[8]


def test_two_sources_that_agree_leave_an_empty_table(corpus: Any) -> None:
    found = checks.labels_agree(corpus(many(0, locality="Millbrook"), many(1000, locality="Millbrook")), "both")

    assert (found.problems, len(lines(found.evidence["conflicts"]))) == ((), 2)


def test_ordinals_as_house_numbers_are_shown_with_what_first_numbers_are(corpus: Any) -> None:
    place = corpus(many(0), many(1000, 60, house_number="5th", street="Avenue Theatre"))

    found = checks.ordinals_are_no_house_numbers(place, "both")

    assert len(found.problems) == 1 and found.problems[0].startswith("two: ")
    table = lines(found.evidence["first_numbers"])
    assert ["one", "number at the start"] in [row[:2] for row in table]
    assert ["two", "ordinal at the start"] in [row[:2] for row in table]
    assert all("house_number 100.0 %" in row[3] for row in table if row[1].endswith("at the start"))


def test_the_profile_of_scripts_is_shown_by_source_country_and_language(corpus: Any) -> None:
    plain = {"house_number": None, "street": None, "region": None, "postcode": None}
    foreign = [address(1000 + n, locality=f"Париж {n}", **plain) for n in range(150)]
    place = corpus(many(0), foreign)

    found = checks.scripts_are_at_home(place, "both")

    assert len(found.problems) == 1 and found.problems[0].endswith("most of them Cyrillic")
    assert [row[:4] for row in lines(found.evidence["scripts"])[2:]] == [
        ["one", "US", "en", "Latin"],
        ["two", "US", "en", "Cyrillic"],
    ]


def test_the_reach_of_the_holdout_is_shown_by_source(corpus: Any) -> None:
    place = corpus([*many(0, 50, region_key="US:vermont"), *many(60, 50, region_key="US:ohio")], many(1000))

    found = checks.holdout_is_covered(place, "both")

    assert found.problems == ("two: none of its 150 rows has a region, so US:vermont cannot be held out of it",)
    assert lines(found.evidence["coverage"])[2:] == [
        ["one", "100", "100.0 %", "2", "100.0 %", "100", "0", "50"],
        ["two", "150", "0.0 %", "0", "100.0 %", "50", "0", "0"],
    ]


def test_what_the_splits_and_the_gold_share_is_counted_pair_by_pair(corpus: Any) -> None:
    found = checks.splits_are_disjoint(corpus(many(0), many(1000)), "both")

    table = lines(found.evidence["in_both"])[2:]
    assert [row[:2] for row in table] == [
        ["train", "validation"],
        ["train", "test"],
        ["validation", "test"],
        ["train", "golden"],
        ["validation", "golden"],
        ["test", "golden"],
    ]
    assert all(set(row[3:]) <= {"0", "–"} and row[2] not in ("0", "") for row in table)
