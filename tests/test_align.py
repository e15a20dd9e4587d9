from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus.align import Misfit, Span, align


def cut(raw: str, components: dict[str, str]) -> dict[str, str]:
    found = align(raw, components)
    assert not isinstance(found, Misfit), found
    return {span.tag: raw[span.start : span.end] for span in found}


def test_a_state_code_is_not_found_inside_a_word():
    assert align("12 LAKE STREET", {"region": "AK"}) == Misfit("only_inside_a_word", "region 'AK'")
    assert align("12 LAKE ST, JUNEAU AK", {"region": "AK"}) == (Span(19, 21, "region"),)


def test_a_short_value_never_matches_in_another_case():
    assert align("ak steel, Ohio", {"region": "AK"}) == Misfit("value_not_in_text", "region 'AK'")


def test_offsets_count_code_points_behind_astral_characters():
    assert align("🏠🏠 12 rue Cler", {"house_number": "12"}) == (Span(3, 5, "house_number"),)


def test_a_longer_value_matches_under_case_folding_and_composition():
    raw = "Hauptstraße 5, Cafe\u0301 Müller"
    assert cut(raw, {"street": "HAUPTSTRASSE", "venue": "CAFÉ MU\u0308LLER"}) == {
        "street": "Hauptstraße",
        "venue": "Cafe\u0301 Müller",
    }


def test_white_space_between_the_words_of_a_value_may_differ():
    assert cut("12  Main\nStreet", {"street": "Main Street"}) == {"street": "Main\nStreet"}


def test_a_fold_that_would_split_a_letter_does_not_match():
    assert align("Gruß Platz", {"venue": "Grus"}) == Misfit("value_not_in_text", "venue 'Grus'")


def test_two_equal_values_take_the_occurrences_of_the_usual_order():
    assert align("New York, New York", {"region": "New York", "locality": "New York"}) == (
        Span(0, 8, "locality"),
        Span(10, 18, "region"),
    )


def test_a_value_inside_a_longer_component_leaves_room_for_it():
    found = align("12 rue de Paris, Paris", {"locality": "Paris", "street": "rue de Paris", "house_number": "12"})

    assert found == (Span(0, 2, "house_number"), Span(3, 15, "street"), Span(17, 22, "locality"))


def test_an_occurrence_free_of_hyphens_is_preferred():
    assert align("Gare Paris-Nord, Paris", {"locality": "Paris"}) == (Span(17, 22, "locality"),)


def test_words_without_spaces_have_boundaries_between_their_letters():
    assert cut("東京都千代田区1丁目", {"region": "東京都", "locality": "千代田区"}) == {
        "region": "東京都",
        "locality": "千代田区",
    }


def test_components_that_need_the_same_letters_are_a_misfit():
    found = align("Paris", {"locality": "Paris", "region": "Paris"})

    assert found == Misfit("components_overlap", "locality 'Paris', region 'Paris'")


def test_an_empty_value_is_a_misfit():
    assert align("Paris", {"locality": "  "}) == Misfit("empty_value", "locality '  '")


def test_many_occurrences_of_everything_end_in_bounded_time():
    raw = " ".join(["1"] * 60)
    tags = ("house_number", "unit", "postcode", "po_box", "street", "venue", "locality", "region", "country")

    found = align(raw, dict.fromkeys(tags, "1"))

    assert not isinstance(found, Misfit)
    assert len({span.start for span in found}) == len(tags)


WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda text: any(c.isalnum() for c in text) and text.strip() == text and unicodedata.combining(text[0]) == 0
)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_spans_of_any_unicode_are_sorted_apart_and_equal_to_their_values(values: list[str]):
    tags = ("venue", "house_number", "street", "locality", "region")
    raw = ", ".join(values)

    found = align(raw, dict(zip(tags, values, strict=False)))

    if isinstance(found, Misfit):  # a value may begin or end so that it joins its neighbour into one word
        assert found.reason in ("only_inside_a_word", "components_overlap", "value_not_in_text")
        return
    assert [span.tag for span in sorted(found)] == [span.tag for span in found]
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(fold(raw[span.start : span.end]) == fold(values[tags.index(span.tag)]) for span in found)


@given(WORDS)
def test_a_value_alone_is_its_whole_text(value: str):
    assert align(value, {"venue": value}) == (Span(0, len(value), "venue"),)


def fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(decomposed.split())


@pytest.mark.parametrize("raw", ["", " ", "12"])
def test_a_text_without_the_value_is_a_misfit(raw: str):
    assert align(raw, {"locality": "Lyon"}) == Misfit("value_not_in_text", "locality 'Lyon'")
