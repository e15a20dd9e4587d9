"""The phrase tables of the built-in source and the small language they are written in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mw_pipeline.draws import cumulated
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.builtin.grammar import (
    Expansion,
    Grammar,
    french_at,
    french_of,
    groups_of,
    load_tables,
    ordinal,
    read_table,
    split_items,
)
from mw_pipeline.sources.builtin.kinds import LATIN_TABLES


def expand(tables: dict[str, str], name: str, count: int = 400, **bound: list[str]) -> list[str]:
    values = {key: np.array(texts, dtype=object) for key, texts in bound.items()}
    grammar = Grammar(tables, bound=tuple(values))
    return Expansion(grammar, np.random.default_rng(1), values).expand(name, np.arange(count)).tolist()


def test_weights_decide_how_often_an_item_is_drawn():
    drawn = Counter(expand({"a": "3*x; 1*y"}, "a", 4000))

    assert 0.70 < drawn["x"] / 4000 < 0.80


def test_slots_expand_symbols_ranges_and_bound_values():
    tables = {"line": "{number} {name} St, {city}", "number": "{7..9}", "name": "Oak\nElm"}
    drawn = set(expand(tables, "line", 200, city=["Troy"] * 200))

    assert drawn == {f"{number} {name} St, Troy" for number in (7, 8, 9) for name in ("Oak", "Elm")}


def test_ranges_can_be_padded_ordinal_letters_or_logarithmic():
    assert set(expand({"a": "{08..11}"}, "a")) == {"08", "09", "10", "11"}
    assert set(expand({"a": "{1..4th}"}, "a")) == {"1st", "2nd", "3rd", "4th"}
    assert set(expand({"a": "{B..D}"}, "a")) == {"B", "C", "D"}
    numbers = [int(text) for text in expand({"a": "{~1..9999}"}, "a", 3000)]
    assert min(numbers) >= 1
    assert max(numbers) <= 9999
    assert 40 < np.median(numbers) < 250


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (11, "11th"), (12, "12th"), (22, "22nd"), (103, "103rd"), (111, "111th")]
)
def test_ordinals_are_english(number: int, text: str):
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("name", "of", "at"),
    [
        ("Paris", "de Paris", "à Paris"),
        ("Albi", "d'Albi", "à Albi"),
        ("Le Havre", "du Havre", "au Havre"),
        ("Les Lilas", "des Lilas", "aux Lilas"),
        ("la Paix", "de la Paix", "à la Paix"),
        ("l'Église", "de l'Église", "à l'Église"),
        ("Évreux", "d'Évreux", "à Évreux"),
        ("La Rochelle", "de La Rochelle", "à La Rochelle"),
    ],
)
def test_french_names_contract_with_their_preposition(name: str, of: str, at: str):
    assert french_of(name) == of
    assert french_at(name) == at


def test_the_last_cumulated_share_is_one_to_the_bit():
    # numpy adds a thousand numbers pairwise in one place and one by one in the other: 0.9999999999999998.
    weights = np.random.default_rng(0).random(1000)

    assert (np.cumsum(weights) / weights.sum())[-1] < 1
    assert cumulated(weights)[-1] == 1.0
    assert cumulated([3, 1]).tolist() == [0.75, 1.0]


def test_groups_hold_the_positions_of_each_key():
    keys = np.array([2, 0, 2, 1, 0])

    assert [(key, rows.tolist()) for key, rows in groups_of(keys)] == [(0, [1, 4]), (1, [3]), (2, [0, 2])]
    assert groups_of(np.array([], np.int64)) == []


def test_a_slot_that_nothing_defines_is_an_error_that_names_it():
    with pytest.raises(CorpusError, match=r"slot 'de nowhere'.*'nowhere'"):
        Grammar({"a": "rue {de nowhere}"})


def test_a_symbol_without_items_is_an_error_that_names_it():
    with pytest.raises(CorpusError, match="symbol 'a' has no items"):
        Grammar({"a": " ; "})


def test_two_tables_may_not_define_one_symbol():
    with pytest.raises(CorpusError, match=r"us_street_type.*already defined"):
        load_tables("us_streets", "us_streets")


@pytest.mark.parametrize("table", [*LATIN_TABLES, "scripts", "postcodes"])
def test_no_written_item_is_blank_or_holds_a_broken_slot(table: str):
    for name, text in load_tables(table).items():
        for item in split_items(text):
            assert any(character.isalnum() for character in item), (name, item)
            assert item.count("{") == item.count("}"), (name, item)


def test_every_table_is_packaged():
    assert read_table("kinds.toml")
