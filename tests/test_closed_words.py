"""The closed lists of a locale: whole, each word once, and labelled as the conventions say."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa
import pytest

from mw_pipeline.corpus.closed_words import ClosedWord, closed_words, closed_words_of, folded
from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import STAGE2_TAGS, STAGE3_TAGS


def by_kind(locale: str) -> dict[str, dict[str, ClosedWord]]:
    kinds: dict[str, dict[str, ClosedWord]] = defaultdict(dict)
    for word in closed_words(locale):
        kinds[word.kind][word.word.casefold()] = word
    return kinds


def test_american_regions_are_the_states_the_district_five_territories_and_three_military_ones() -> None:
    kinds = by_kind("en-us")
    codes, names = kinds["region code"], kinds["region name"]

    assert len(codes) == 50 + 1 + 5 + 3
    assert len(names) == 50 + 1 + 5
    assert {"vt", "dc", "pr", "gu", "vi", "as", "mp", "aa", "ae", "ap"} < set(codes)
    assert {"vermont", "district of columbia", "puerto rico", "american samoa"} < set(names)
    assert all((word.tags, word.where) == (("region",), "value") for word in (*codes.values(), *names.values()))


def test_associated_states_are_countries_and_no_regions() -> None:
    kinds = by_kind("en-us")

    assert not {"fm", "mh", "pw"} & set(kinds["region code"])
    assert {"micronesia", "marshall islands", "palau"} < set(kinds["country abroad"])


def test_french_areas_are_eighteen_regions_and_the_departements_that_are_none() -> None:
    kinds = by_kind("fr-fr")

    assert len(kinds["region name"]) == 18
    assert len(kinds["subregion name"]) == 101 - 5  # five overseas are both
    assert {"bretagne", "corse", "guyane", "la réunion", "mayotte"} < set(kinds["region name"])
    assert {"paris", "haute-corse", "val-d'oise"} < set(kinds["subregion name"])
    assert kinds["subregion name"]["morbihan"].tags == ("region", "subregion")
    assert {"paca", "idf"} < set(kinds["region code"])


@pytest.mark.parametrize(("locale", "own", "abroad"), [("en-us", "usa", "germany"), ("fr-fr", "france", "allemagne")])
def test_every_country_is_named_in_the_language_of_the_locale(locale: str, own: str, abroad: str) -> None:
    kinds = by_kind(locale)

    assert own in kinds["country"]
    assert abroad in kinds["country abroad"]
    assert len(kinds["country abroad"]) > 200
    assert not {"antarctica", "antarctique", "puerto rico", "guadeloupe"} & set(kinds["country abroad"])


def test_words_inside_values_say_where_they_stand() -> None:
    us, fr = by_kind("en-us"), by_kind("fr-fr")

    assert us["street type"]["blvd"] == ClosedWord("street type", "Blvd", ("street",), "last")
    assert fr["street type"]["impasse"].where == "first"
    assert us["directional"]["nw"].where == "edge"
    assert us["unit word"]["apt"].tags == ("unit",)
    assert {"po box", "rr", "general delivery"} < set(us["box word"])
    assert {"apo", "fpo", "dpo", "psc", "cmr", "unit"} == set(us["military mail"])
    assert us["military mail"]["fpo"].tags == ("locality",)
    assert {"bp", "cs", "tsa"} < set(fr["box word"])
    assert fr["cedex"].keys() == {"cedex"}


def test_no_number_is_part_of_a_word_and_no_word_is_listed_twice() -> None:
    for locale in ("en-us", "fr-fr"):
        words = closed_words(locale)
        texts = folded(pa.array([word.word for word in words])).to_pylist()
        assert not [word for word in words if any(letter.isdigit() for letter in word.word)]
        assert len(set(zip(texts, (word.tags for word in words), (word.where for word in words), strict=True))) == len(
            words
        )
        assert all(texts)


def test_a_label_set_without_units_is_asked_for_none() -> None:
    both = closed_words_of(("en-us", "fr-fr"), STAGE3_TAGS)
    fewer = closed_words_of(("en-us", "fr-fr"), STAGE2_TAGS)

    assert {word.kind for word in both} - {word.kind for word in fewer} == {"unit word", "box word"}
    assert len({(word.word, word.tags) for word in both if word.kind == "country abroad"}) == len(
        [word for word in both if word.kind == "country abroad"]
    )


def test_case_and_punctuation_do_not_tell_words_apart_and_accents_do() -> None:
    texts = folded(pa.array(["P.O. Box", "PO BOX", "Côtes-d’Armor", "COTES D'ARMOR", "#", "N.W."])).to_pylist()

    assert texts == ["p o box", "po box", "côtes d armor", "cotes d armor", "", "n w"]


def test_a_locale_of_no_known_country_or_language_is_refused() -> None:
    for locale in ("en-xx", "xx-us"):
        with pytest.raises(RecipeError, match=rf"'{locale}' is no language and country"):
            closed_words(locale)
