from __future__ import annotations

import re

import numpy as np
import pytest

from mw_pipeline.corpus.phrases import parsed, phrases
from mw_pipeline.countries import KNOWN_COUNTRIES, country
from mw_pipeline.errors import CorpusError


def drawn(*texts: str, rows: int = 500) -> set[str]:
    return set(parsed([(1.0, text) for text in texts]).draw(rows, np.random.default_rng(0)).to_pylist())


def test_a_phrase_without_slots_is_itself():
    assert drawn("Penthouse") == {"Penthouse"}


def test_numbers_and_letters_run_over_their_whole_range():
    assert drawn("Apt {8..11}") == {"Apt 8", "Apt 9", "Apt 10", "Apt 11"}
    assert drawn("Bldg {A..C}, rear") == {"Bldg A, rear", "Bldg B, rear", "Bldg C, rear"}
    assert drawn("#{1..2}-{A..B}") == {"#1-A", "#1-B", "#2-A", "#2-B"}


def test_ordinals_take_their_english_ending():
    assert drawn("{1..4th} Fl", "{10..14th} Fl", "{21..23th} Fl") == {
        *("1st Fl", "2nd Fl", "3rd Fl", "4th Fl", "10th Fl", "11th Fl", "12th Fl", "13th Fl", "14th Fl"),
        *("21st Fl", "22nd Fl", "23rd Fl"),
    }


@pytest.mark.parametrize("text", ["{1..2} {3..4}", "{A..B}-{1..2}{A..B}-{1..2}", "Apt {x}", "Apt {1..9"])
def test_a_phrase_that_the_table_does_not_explain_is_refused(text: str):
    with pytest.raises(CorpusError, match=rf"{re.escape(repr(text))} is not a phrase"):
        parsed([(1.0, text)])


@pytest.mark.parametrize("text", ["Apt {9..1}", f"Apt {{1..{10**20}}}"])
def test_numbers_of_a_phrase_that_fall_or_that_no_column_holds_are_refused(text: str):
    with pytest.raises(
        CorpusError, match=rf"{re.escape(repr(text))} is not a phrase: expected numbers that rise, up to"
    ):
        parsed([(1.0, text)])


def test_a_letter_may_stand_right_before_its_number():
    assert drawn("Ut {A..B}{1..2}") == {"Ut A1", "Ut A2", "Ut B1", "Ut B2"}
    assert drawn("#{A..A}{7..7}-{A..C}") == {"#A7-A", "#A7-B", "#A7-C"}


@pytest.mark.parametrize("code", KNOWN_COUNTRIES)
def test_every_listed_phrase_can_be_drawn(code: str):
    for tag in (tag for tag, rows in country(code)["phrases"].items() if rows and isinstance(rows, list)):
        found = phrases(code, tag)
        assert found is not None and len(found.draw(50, np.random.default_rng(0))) == 50
    assert phrases("JP", "unit") is None
