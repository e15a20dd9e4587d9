"""The closed words of a recipe as artifact, page and gate, over a corpus of hand-made rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_sources import HandMade, address, install
from html_page import Page
from tiny_project import RECIPE, change, edit_json, place_at, rewrite

from mw_pipeline.corpus.closed_words import closed_words
from mw_pipeline.errors import GateError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.check_answers import demand_checks
from mw_pipeline.stages.closed_words import PAGE_FILE, TABLE_FILE, WORDS_FILE
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_corpus

CORPUS = """
version = "1"
seed = 1
countries = []
variants = 1
validation_share = 0.05
test_share = 0.05
licences_allowed = ["CC0-1.0"]

[augmentations]
other_script = 1.0

[sources.builtin]
adapter = "hand-made"
"""
GOLD = {"raw": "1 Elm Street, Springfield", "components": {"locality": "Springfield"}, "country": "US", "source": "x"}
ROWS_OF_A_WORD = 75  # nine in ten of them are trained on
ONLY_REGIONS = ('locales = ["en-us"]\nuntaught = [', '    "region name", "region code", "subregion name", ')

Build = Callable[[set[str]], Place]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A project whose only source teaches every American region by name and by code, but for those that are named."""

    def build(but: set[str]) -> Place:
        words = [word.word for word in closed_words("en-us") if word.kind in ("region name", "region code")]
        taught = [word for word in words if word not in but]
        records = [shape(n, taught[n % len(taught)]) for n in range(ROWS_OF_A_WORD * len(taught))]
        install(monkeypatch, HandMade([records]))
        recipe = RECIPE.replace("untaught = [", ONLY_REGIONS[0]).replace(ONLY_REGIONS[1], '    "subregion name", ')
        files = {
            "corpora/builtin.toml": CORPUS,
            "recipes/demo.toml": recipe,
            "golden/us.jsonl": json.dumps(GOLD) + "\n",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        place = place_at(tmp_path)
        prepare_corpus(place, "builtin")
        return place

    return build


def shape(number: int, region: str) -> dict[str, Any]:
    """An address in the region, whole or without some of its parts."""
    without = ((), ("postcode",), ("house_number", "street"))[number // 113 % 3]
    return address(number, region=region, locality=f"Town {number}", **dict.fromkeys(without))


def test_a_corpus_without_rows_of_a_state_stops_every_run_and_names_the_state(corpus: Build) -> None:
    # M65
    place = corpus({"VT", "Vermont"})
    line.closed_words.make(place, "demo")

    with pytest.raises(GateError) as refused:
        demand_checks(place, line.closed_words, "demo")

    said = str(refused.value)
    assert said.startswith("closed_words_are_taught does not hold for 'demo': region ")
    assert "region name: 1 of 56 are in fewer than 50" in said and "'Vermont' (0 rows, 0 subsets)" in said
    assert "region code: 1 of 59 are in fewer than 50" in said and "'VT' (0 rows, 0 subsets)" in said
    assert said.endswith("--select closed_words --partition demo`.")


def test_a_corpus_with_rows_of_every_state_lets_the_run_go_on(corpus: Build) -> None:
    place = corpus(set())
    line.closed_words.make(place, "demo")

    demand_checks(place, line.closed_words, "demo")

    found = checks.closed_words_are_taught(place, "demo")
    assert found.summary.startswith("115 closed words are taught; not asked for: subregion name, country, ")


def problems_with(place: Place, **facts: Any) -> str:
    """What the check finds once the artifact, as whole as the true one, says something else."""
    artifact = line.closed_words.make(place, "demo").artifact
    rewrite(artifact, WORDS_FILE, edit_json(**facts))
    return "; ".join(checks.closed_words_are_taught(place, "demo").problems)


def test_a_table_that_says_that_all_is_well_is_judged_by_its_counts(corpus: Build) -> None:
    # M65: nothing was found, and every word is marked as taught, beside counts that say otherwise.
    place = corpus({"VT"})
    words = line.closed_words.make(place, "demo").artifact.read_json(WORDS_FILE)["words"]

    said = problems_with(
        place, findings=[], untaught=["region code"], words=[{**word, "taught": True} for word in words]
    )

    assert said.startswith("region code: 1 of 59 are in fewer than 50") and "'VT' (0 rows, 0 subsets)" in said
    with pytest.raises(GateError, match="closed_words_are_taught does not hold for 'demo': region code: 1 of 59"):
        demand_checks(place, line.closed_words, "demo")


def test_a_table_without_a_state_is_refused_and_one_without_any_word_too(corpus: Build) -> None:
    place = corpus({"VT"})
    words = line.closed_words.make(place, "demo").artifact.read_json(WORDS_FILE)["words"]

    said = problems_with(place, findings=[], words=[word for word in words if word["word"] != "VT"])

    assert said.startswith(f"the table lacks 1 of {len(words)} closed words of its locales: region code 'VT'")
    assert f"lacks {len(words)} of {len(words)} closed words" in problems_with(place, words=[])


def test_a_state_that_is_counted_as_another_kind_of_word_is_not_counted(corpus: Build) -> None:
    place = corpus({"VT"})
    words = line.closed_words.make(place, "demo").artifact.read_json(WORDS_FILE)["words"]

    said = problems_with(place, words=[{**word, "kind": "country"} if word["word"] == "VT" else word for word in words])

    assert said.startswith(f"the table lacks 1 of {len(words)} closed words of its locales: region code 'VT'")


def test_counts_that_the_rows_do_not_have_are_found_by_counting_again(corpus: Build) -> None:
    # M65: typed counts are the cheapest forgery of all.
    place = corpus({"VT"})
    words = line.closed_words.make(place, "demo").artifact.read_json(WORDS_FILE)["words"]
    enough = [{**word, "rows_by_tag": {word["tags"][0]: 99}, "subsets": 9} for word in words]

    assert "closed_words.json is not what the training rows teach" in problems_with(place, words=enough)


def test_a_table_that_was_rewritten_as_it_was_passes(corpus: Build) -> None:
    place = corpus(set())
    words = line.closed_words.make(place, "demo").artifact.read_json(WORDS_FILE)["words"]

    assert problems_with(place, words=words) == ""


def test_the_table_and_the_page_show_the_least_taught_words_first(corpus: Build) -> None:
    place = corpus({"VT"})
    artifact = line.closed_words.make(place, "demo").artifact

    words = artifact.read_json(WORDS_FILE)["words"]
    regions = [word for word in words if word["kind"] == "region code"]
    assert (regions[0]["word"], regions[0]["rows"], regions[0]["taught"]) == ("VT", 0, False)
    assert all(word["taught"] and word["subsets"] == 3 for word in regions[1:])
    lines = artifact.file(TABLE_FILE).read_text().splitlines()
    assert len(lines) == 1 + len(words)
    assert "region code\tVT\tregion\tvalue\t0\t0\tno\t" in lines
    page = artifact.file(PAGE_FILE).read_text()
    assert {"kinds", "region-code", "street-type"} <= set(Page(page).ids)
    assert page.index(">VT</th>") < page.index(">AL</th>")
    assert "1 of 59 are in fewer than 50 training rows" in page


def test_another_promise_of_the_recipe_is_another_question(corpus: Build) -> None:
    place = corpus({"VT"})
    refused = line.closed_words.make(place, "demo").artifact
    change(place.project, '"subregion name"', '"region code", "subregion name"')

    allowed = line.closed_words.make(place, "demo").artifact

    assert allowed.digest != refused.digest
    demand_checks(place, line.closed_words, "demo")
    assert line.closed_words.make(place, "demo").reused
