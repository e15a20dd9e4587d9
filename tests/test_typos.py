from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from test_contents import after, draft_of

from mw_pipeline.corpus.typos import mistyped
from mw_pipeline.records.text import code_point_lengths, code_points, texts_of

ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def slips(text: str, country: str = "US", rows: int = 400) -> set[str]:
    return set(mistyped(pa.array([text] * rows), country, np.random.default_rng(0)).to_pylist())


def test_every_slip_is_one_of_four_at_a_letter_inside_the_word():
    assert slips("Reno") == {
        *("Rneo", "Rno", "Reeno", "Rwno", "Rrno"),  # at e, the only letter with one before and two behind
    }


def test_a_french_finger_slips_on_a_french_keyboard():
    assert {"Rzims", "Rrims"} <= slips("Reims", "FR")
    assert "Rwims" in slips("Reims", "US") and "Rwims" not in slips("Reims", "FR")


def test_the_keys_at_the_end_of_a_row_have_one_neighbour():
    assert "Qwer" not in slips("Xqer") and "Xwer" in slips("Xqer")
    assert "Xoer" in slips("Xper")


def test_capitals_stay_capitals():
    assert slips("RENO") == {text.upper() for text in slips("Reno")}


def test_digits_short_words_other_scripts_and_marked_letters_are_left_alone():
    for text in ("12345", "Rue", "а б", "Москва", "東京都庁", "a\u0301b\u0301c\u0301d\u0301", "", "A1b2"):
        assert slips(text, rows=20) == {text}


def test_a_row_has_one_slip_and_its_span_is_the_misspelt_name():
    record = {"house_number": "1200", "street": "Main Street", "locality": "Boulder", "postcode": "80302"}
    lines, applied = after("typos", draft_of("US", *[record] * 300))

    for row, changed in zip(lines.components().to_pylist(), applied, strict=True):
        parts = dict(row)
        assert parts["house_number"] == "1200" and parts["postcode"] == "80302"
        assert sum(parts[tag] != record[tag] for tag in ("street", "locality")) == changed
    assert sum(applied) > 280


def test_a_row_without_names_takes_no_slip():
    assert after("typos", draft_of("US", {"postcode": "80302"}))[1] == [False]


@given(st.lists(ANY, max_size=6))
def test_code_points_become_the_texts_they_came_from(texts: list[str]):
    column = pa.array(texts, pa.string())

    assert texts_of(code_points(column), code_point_lengths(column)).to_pylist() == texts


@given(st.lists(ANY, max_size=6), st.integers(0, 1000))
def test_a_slip_changes_a_text_by_at_most_one_letter_and_no_other_text(texts: list[str], seed: int):
    slipped = mistyped(pa.array(texts, pa.string()), "FR", np.random.default_rng(seed)).to_pylist()

    for before, text in zip(texts, slipped, strict=True):
        assert abs(len(text) - len(before)) <= 1
        same = [a == b for a, b in zip(before, text, strict=False)]
        kept = same.index(False) if False in same else min(len(before), len(text))
        tail = min(len(before), len(text)) - kept - 2
        assert tail <= 0 or before[-tail:] == text[-tail:]
