from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.golden.reach import occurrences, spans_in


def test_a_short_value_is_not_found_inside_a_word():  # M18
    assert list(occurrences("Lake Ave, AK", "AK")) == [(10, 12)]
    assert list(occurrences("1600 160", "160")) == [(5, 8)]


def test_a_number_with_its_letters_is_one_word_and_a_chinese_character_is_one_too():
    assert list(occurrences("37BIS", "37")) == []
    assert list(occurrences("37BIS", "37BIS")) == [(0, 5)]
    assert list(occurrences("法国巴黎", "巴黎")) == [(2, 4)]


def test_korean_is_written_in_words():
    assert list(occurrences("서울특별시 중구", "서울")) == []
    assert list(occurrences("서울특별시 중구", "서울특별시")) == [(0, 5)]


def test_a_value_does_not_end_before_a_mark_of_its_last_letter():
    assert list(occurrences("cafe\N{COMBINING ACUTE ACCENT}", "cafe")) == []


def test_offsets_are_code_points_after_characters_beyond_the_basic_plane():  # M19
    assert list(occurrences("🗼 Paris", "Paris")) == [(2, 7)]


def test_city_and_state_of_one_name_take_the_two_places():
    spans = spans_in("New York, New York", {"locality": "New York", "region": "New York"})

    assert sorted(spans.values()) == [(0, 8), (10, 18)]


@contextmanager
def within_cpu_seconds(limit: float) -> Iterator[None]:
    """Fails a body that computes for longer, instead of waiting for its end."""

    def stop(*_: object) -> None:
        raise AssertionError(f"still computing after {limit} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(
    ("raw", "values", "fits"),
    [
        (" ".join(["Paris"] * 14), ["Paris"] * 15, False),
        (" ".join(["Paris"] * 15), ["Paris"] * 15, True),
        # the only b stands in the only "a b", and there are places to spare for everything else
        (" ".join(["a"] * 14 + ["a b"]), ["a"] * 13 + ["a b", "b"], False),
        # fifteen words for fifteen values, and two of them wanted once more as one
        ("a b c d e f g h i j k l m n o", [*"abcdefghijklmno", "n o"], False),
        (" ".join("abcdefghijklmnop" * 16), [*"abcdefghijklmnop"], True),
    ],
)
def test_a_row_of_many_arrangements_is_decided_and_not_waited_for(raw: str, values: list[str], fits: bool) -> None:
    with within_cpu_seconds(10):
        found = spans_in(raw, {str(tag): value for tag, value in enumerate(values)})

    assert (found is not None) == fits


def test_an_empty_value_stands_nowhere():
    assert spans_in("Paris", {"locality": ""}) is None
    assert spans_in("Paris", {}) == {}


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "a b"]), min_size=1, max_size=5).map(" ".join),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["a", "b", "ab", "a b", "b a"]), max_size=3),
)
def test_an_arrangement_is_found_exactly_when_brute_force_finds_one(raw, components):
    found = spans_in(raw, components)

    choices = product(*(list(occurrences(raw, value)) for value in components.values()))
    possible = any(all(a[1] <= b[0] or b[1] <= a[0] for a, b in permutations(spans, 2)) for spans in choices)
    assert (found is not None) == possible
    if found is not None:
        assert all(raw[start:end] == components[tag] for tag, (start, end) in found.items())
