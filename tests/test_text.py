"""Kernels that look at bytes first: what they spare most texts must not change any of them."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.records.text import (
    any_byte,
    ascii_letter,
    ascii_letter_or_digit,
    by_distinct,
    canonical,
    edited,
    kept,
    plain,
)
from mw_pipeline.sources.columns import folded

VALUES = st.lists(st.none() | st.text("aZ1 .-\té\u00a0\x07~東", max_size=8))


def column(values: list[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def tidy_by_hand(value: str) -> str | None:
    spaced = re.sub("[ \t\u00a0]+", " ", unicodedata.normalize("NFC", value)).strip()
    return spaced if any(sign.isalnum() for sign in spaced) else None


def folded_by_hand(value: str) -> str:
    letters = (sign for sign in unicodedata.normalize("NFKD", value.lower()) if not unicodedata.combining(sign))
    return " ".join("".join(sign if sign.isalnum() else " " for sign in letters).split())


@given(VALUES, st.integers(0, 3))
def test_values_are_tidied_as_by_hand(values: list[str | None], skip: int) -> None:
    by_hand = [None if value is None else tidy_by_hand(value) for value in values[skip:]]

    assert canonical(column(values).slice(skip)).to_pylist() == by_hand


@given(VALUES, st.integers(0, 3))
def test_values_are_folded_as_by_hand(values: list[str | None], skip: int) -> None:
    assert folded(column(values).slice(skip)).to_pylist() == [folded_by_hand(value or "") for value in values[skip:]]


@given(VALUES)
def test_a_plain_text_is_one_that_no_tidying_changes(values: list[str | None]) -> None:
    for value, is_plain in zip(values, plain(column(values)), strict=True):
        if value is not None and is_plain:
            assert value.isascii() and value.isprintable() and tidy_by_hand(value) == value


def test_plain_texts_are_told_by_their_bytes() -> None:
    texts = ["12 Main St", "a", "", " a", "a.", "a  b", "a\tb", "é", "a\x7fb", "O'Neil-2", None]

    assert plain(column(texts)).tolist() == [True, True, *[False] * 7, True, True]
    assert plain(pa.nulls(2, pa.string())).tolist() == [True, True]


def test_bytes_are_sorted_into_letters_digits_and_others() -> None:
    every = np.arange(256, dtype=np.uint8)

    assert ascii_letter(every).tolist() == [chr(code).isascii() and chr(code).isalpha() for code in range(256)]
    assert ascii_letter_or_digit(every).tolist() == [chr(code).isascii() and chr(code).isalnum() for code in range(256)]


@given(st.lists(st.lists(st.booleans(), max_size=3)))
def test_a_flagged_byte_is_found_in_its_own_text_alone(texts: list[list[bool]]) -> None:
    flagged = np.array([flag for text in texts for flag in text], np.bool_)
    offsets = np.cumsum([0, *map(len, texts)])

    assert any_byte(flagged, offsets).tolist() == [any(text) for text in texts]


def test_a_kernel_sees_the_doubtful_texts_alone_and_each_distinct_one_once() -> None:
    seen: list[list[str]] = []

    def shouted(texts: pa.StringArray) -> pa.StringArray:
        seen.append(texts.to_pylist())
        return pa.array([text.upper() for text in texts.to_pylist()])

    assert edited(column(["a", "b", "c"]), np.array([True, False, True]), shouted).to_pylist() == ["A", "b", "C"]
    assert by_distinct(column(["a", "b", None, "a"]), shouted).to_pylist() == ["A", "B", None, "A"]
    assert seen == [["a", "c"], ["a", "b"]]


def test_rows_that_are_all_wanted_are_not_copied() -> None:
    rows = column(["a", "b"])

    assert kept(rows, np.array([True, True])) is rows
    assert kept(rows, np.array([False, True])).to_pylist() == ["b"]
