"""Orders and subsets: what is drawn, and that nothing a person would write is left out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from mw_pipeline.corpus.compose import Draft, native_draft
from mw_pipeline.corpus.conventions import LEAD, LINE_TAGS, TAG_INDEX
from mw_pipeline.corpus.lines import write_lines
from mw_pipeline.corpus.orders import form_order, forms, moved, native_form, unit_forms
from mw_pipeline.corpus.subsets import as_mailed, cut_down
from mw_pipeline.countries import KNOWN_COUNTRIES, country

AMERICAN = {
    "venue": "Zoo",
    "house_number": "58554",
    "street": "Larkspur Dr",
    "unit": "Apt 4",
    "locality": "Bismarck",
    "subregion": "Burleigh County",
    "region": "ND",
    "postcode": "58501",
    "country": "USA",
}
FRENCH = {
    "house_number": "3",
    "street": "rue des Lilas",
    "postcode": "68000",
    "locality": "Colmar",
    "subregion": "Haut-Rhin",
    "region": "Grand Est",
    "country": "France",
}


def draft_of(code: str, record: dict[str, str], rows: int) -> Draft:
    columns = {tag: pa.array([record.get(tag)] * rows, pa.string()) for tag in LINE_TAGS}
    return native_draft(code, columns, np.random.default_rng(1))


def subsets_of(draft: Draft) -> Counter[frozenset[str]]:
    return Counter(frozenset(dict(row)) for row in write_lines(draft).components().to_pylist())


@pytest.mark.parametrize("code", [*KNOWN_COUNTRIES, "default"])
def test_every_form_gives_every_tag_one_place(code: str):
    for table in (forms(code), unit_forms(code)):
        for order, block in zip(table.order, table.block, strict=True):
            assert sorted(order) == sorted(TAG_INDEX[tag] for tag in (*LINE_TAGS, LEAD))
            assert (np.diff(block) >= 0).all()


@pytest.mark.parametrize("code", [*KNOWN_COUNTRIES, "default"])
def test_the_first_form_is_the_native_one_and_is_never_drawn_by_its_own_share(code: str):
    table = forms(code)

    assert table.order[0].tolist() == form_order(native_form(code))
    assert table.shares[0] == 0 and table.shares[-1] == 1
    assert 0 not in set(table.draw(5_000, np.random.default_rng(0)).tolist())


def still() -> dict[str, object]:
    """The habits of somebody who writes in the native order alone."""
    habits = country("US")["order"].items()
    return {key: 0.0 if isinstance(value, float) else {"native": 1.0} for key, value in habits}


def test_a_habit_of_nothing_moves_nothing():
    assert moved(native_form("US"), still(), np.random.default_rng(0)) == native_form("US")


@pytest.mark.parametrize(
    ("habit", "place", "text"),
    [
        ("as_in", "FR", "Zoo, Apt 4, 58554 Larkspur Dr, 58501 Bismarck, Burleigh County, ND, USA"),
        ("number_turned", 1.0, "Zoo, Larkspur Dr 58554 Apt 4, Bismarck, Burleigh County, ND 58501, USA"),
        ("number_apart", 1.0, "Zoo, 58554, Larkspur Dr Apt 4, Bismarck, Burleigh County, ND 58501, USA"),
        ("city_first", 1.0, "Bismarck, Burleigh County, ND 58501, Zoo, 58554 Larkspur Dr Apt 4, USA"),
        ("large_to_small", 1.0, "USA, ND 58501, Burleigh County, Bismarck, 58554 Larkspur Dr Apt 4, Zoo"),
        ("country_first", 1.0, "USA, Zoo, 58554 Larkspur Dr Apt 4, Bismarck, Burleigh County, ND 58501"),
        ("unit", "apart", "Zoo, 58554 Larkspur Dr, Apt 4, Bismarck, Burleigh County, ND 58501, USA"),
        ("unit", "venue", "Zoo Apt 4, 58554 Larkspur Dr, Bismarck, Burleigh County, ND 58501, USA"),
        ("unit", "inside", "Zoo, 58554 Apt 4 Larkspur Dr, Bismarck, Burleigh County, ND 58501, USA"),
        ("venue", "behind_street", "58554 Larkspur Dr Apt 4, Zoo, Bismarck, Burleigh County, ND 58501, USA"),
        ("postcode", "first", "58501, Zoo, 58554 Larkspur Dr Apt 4, Bismarck, Burleigh County, ND, USA"),
        ("postcode", "last", "Zoo, 58554 Larkspur Dr Apt 4, Bismarck, Burleigh County, ND, 58501, USA"),
        ("postcode", "before_region", "Zoo, 58554 Larkspur Dr Apt 4, Bismarck, Burleigh County, 58501 ND, USA"),
        ("region", "joined", "Zoo, 58554 Larkspur Dr Apt 4, Bismarck ND 58501, Burleigh County, USA"),
        ("region", "before_locality", "Zoo, 58554 Larkspur Dr Apt 4, ND, Bismarck 58501, Burleigh County, USA"),
        ("subregion", "joined", "Zoo, 58554 Larkspur Dr Apt 4, Bismarck Burleigh County, ND 58501, USA"),
    ],
)
def test_each_habit_moves_its_part(habit: str, place: float | str, text: str):
    wanted = {place: 1.0} if isinstance(place, str) else place
    form = moved(native_form("US"), still() | {habit: wanted}, np.random.default_rng(0))

    written = " | ".join(" ".join(AMERICAN[tag] for tag in block if tag in AMERICAN) for block in form)
    assert ", ".join(part for part in written.split(" | ") if part) == text


def test_every_sensible_subset_is_drawn_and_no_other():
    record = {key: AMERICAN[key] for key in ("house_number", "street", "locality", "region", "postcode")}
    drawn, _ = cut_down(draft_of("US", record, 40_000), np.ones(40_000, np.bool_), np.random.default_rng(0))

    found = set(subsets_of(drawn))

    every = {frozenset(tag for bit, tag in enumerate(record) if mask >> bit & 1) for mask in range(1, 1 << len(record))}
    sensible = {subset for subset in every if "house_number" not in subset or "street" in subset}
    assert found == sensible


def test_a_number_and_a_state_are_written_without_a_town():
    """M66: the list of subsets had none with a street and a region and no town, so 58554 was read as a postcode."""
    draft = draft_of("US", AMERICAN, 20_000)
    drawn, _ = cut_down(draft, np.ones(20_000, np.bool_), np.random.default_rng(0))

    assert subsets_of(drawn)[frozenset({"house_number", "street", "region"})] > 20


def test_half_a_crossing_and_a_number_without_its_street_are_never_written():
    record = AMERICAN | {"intersection_a": "Oak Ave", "intersection_b": "Elm St", "cedex": "CEDEX 2"}
    drawn, _ = cut_down(draft_of("US", record, 20_000), np.ones(20_000, np.bool_), np.random.default_rng(0))

    for subset in subsets_of(drawn):
        assert ("intersection_a" in subset) == ("intersection_b" in subset)
        assert "house_number" not in subset or "street" in subset
        assert "cedex" not in subset or "locality" in subset


def test_a_plain_french_row_has_neither_departement_nor_region_and_an_american_one_no_county():
    rows = np.ones(400, np.bool_)
    french = as_mailed(draft_of("FR", FRENCH, 400), rows, np.random.default_rng(0))
    american = as_mailed(draft_of("US", AMERICAN, 400), rows, np.random.default_rng(0))

    assert set(write_lines(french).raw.to_pylist()) == {
        "3 rue des Lilas, 68000 Colmar",
        "3 rue des Lilas, 68000 Colmar, France",
    }
    assert not any("subregion" in subset for subset in subsets_of(american))
    assert all("region" in subset for subset in subsets_of(american))


def test_a_row_that_is_nothing_but_a_region_keeps_it():
    draft = draft_of("FR", {"region": "Bretagne", "country": "France"}, 5)
    lone = as_mailed(draft, np.ones(5, np.bool_), np.random.default_rng(0))

    assert set(write_lines(lone).raw.to_pylist()) == {"Bretagne, France"}


def test_a_row_in_another_script_comes_from_abroad_and_keeps_its_country():
    rows = np.ones(50, np.bool_)
    lone = as_mailed(draft_of("US", {"locality": "Бостон", "country": "США"}, 50), rows, np.random.default_rng(0))

    assert all(len(row) == 2 for row in subsets_of(lone))


def test_a_departement_that_lost_its_region_is_the_region():
    record = {"locality": "Colmar", "subregion": "Haut-Rhin", "region": "Grand Est"}
    drawn, _ = cut_down(draft_of("FR", record, 2_000), np.ones(2_000, np.bool_), np.random.default_rng(0))
    rows = {tuple(row) for row in write_lines(drawn).components().to_pylist()}

    assert (("locality", "Colmar"), ("region", "Haut-Rhin")) in rows
    assert all("region" in dict(row) for row in rows if "subregion" in dict(row))


@pytest.mark.parametrize("code", ["IT", "default"])
def test_what_is_written_in_another_countrys_order_is_so_from_number_to_postcode(code: str):
    """Parts that move one by one meet in that order once in hundreds of rows."""
    american = [TAG_INDEX[tag] for tag in ("house_number", "street", "locality", "region", "postcode")]
    table = forms(code)

    alike = np.array([[tag for tag in order if tag in american] == american for order in table.order])

    assert 0.04 < np.diff(table.shares, prepend=0)[alike].sum() < 0.15


def test_the_order_of_a_country_that_writes_like_another_is_the_others():
    """Ireland has no file of its own: GB.toml names it as alike."""
    irish = moved(native_form("US"), still() | {"as_in": {"IE": 1.0}}, np.random.default_rng(0))

    assert irish == native_form("GB") != native_form("default")
