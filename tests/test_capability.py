"""The rows of the capability matrix are whole, fair and the same again, and a parser's blind spot is found by name."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from aligned_rows import aligned_row, keys_beside, shard

from mw_pipeline.capability.cells import ROWS_PER_CELL, CellKey, MatrixRow
from mw_pipeline.capability.compositions import ORDER_BY_STYLE, subsets
from mw_pipeline.capability.matrix import CapabilityMatrix, measure
from mw_pipeline.capability.orders import NATIVE, block_shape, is_fair, orders
from mw_pipeline.capability.rows import (
    HELD_OUT_SHARE,
    MatrixRows,
    cells_always_asked,
    matrix_rows,
    nothing_collected,
)
from mw_pipeline.capability.training_rows import unseen_rows
from mw_pipeline.corpus.closed_words import closed_words
from mw_pipeline.corpus.splits import TRAIN, place_fold
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import STAGE2_TAGS, STAGE3_TAGS
from mw_pipeline.metrics.scores import Components
from mw_pipeline.recipe import LEAST_PLACES_SHARE, CellFamily

pytestmark = pytest.mark.slow

LOCALES = ("en-us", "fr-fr")
AREAS = ("region name", "region code", "subregion name")


@pytest.fixture(scope="module")
def rows_of() -> Callable[[str], MatrixRows]:
    """The rows of a locale, made once."""
    made = {locale: matrix_rows(locale) for locale in LOCALES}
    return made.__getitem__


def counts(asked: MatrixRows) -> Counter[CellKey]:
    return Counter(key for row in asked.rows for key in row.keys)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_cell_has_rows_enough_but_for_scripts_in_which_few_towns_have_a_name(
    rows_of: Callable[[str], MatrixRows], locale: str
) -> None:
    found = counts(rows_of(locale))

    assert {key.family for key in rows_of(locale).keys if found[key] < ROWS_PER_CELL} <= {"script"}
    assert max(Counter(row.keys[0] for row in rows_of(locale).rows).values()) == ROWS_PER_CELL


def test_the_families_of_all_cells_are_those_that_a_recipe_may_name(rows_of: Callable[[str], MatrixRows]) -> None:
    asked = [rows_of(locale) for locale in LOCALES]
    keys = [key for found in asked for key in (*found.keys, *counts(found))]

    assert {key.family for key in keys} == set(get_args(CellFamily))


@pytest.mark.parametrize("locale", LOCALES)
def test_the_least_share_of_places_that_a_corpus_may_hold_out_leaves_towns_to_ask_about(locale: str) -> None:
    asked = matrix_rows(locale, share=LEAST_PLACES_SHARE)
    found = counts(asked)

    assert all(found[key] >= ROWS_PER_CELL for key in asked.keys if key.family in ("region code", "street type"))


@pytest.mark.parametrize("locale", LOCALES)
def test_a_share_that_holds_no_town_out_is_refused_with_a_sentence(locale: str) -> None:
    with pytest.raises(ArtifactError, match=r"no town of .* is held out by a share of 1e-06 .* 0\.001 at least"):
        matrix_rows(locale, share=1e-6)


@pytest.mark.parametrize("at_first", [True, False])
def test_garbage_is_collected_as_before_once_rows_were_made_or_refused(at_first: bool) -> None:
    said: list[bool] = []
    (gc.enable if at_first else gc.disable)()
    try:
        with nothing_collected():
            said.append(gc.isenabled())
        with pytest.raises(ArtifactError, match="xx-zz"):
            matrix_rows("xx-zz")
        said.append(gc.isenabled())
    finally:
        gc.enable()

    assert said == [False, at_first]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_region_of_the_closed_list_has_a_cell_by_name_and_by_code_or_a_reason(
    rows_of: Callable[[str], MatrixRows], locale: str
) -> None:
    asked, found = rows_of(locale), counts(rows_of(locale))
    wanted = {CellKey(word.kind, (word.word,)) for word in closed_words(locale) if word.kind in AREAS}
    missing = {key.name for key in wanted if found[key] < ROWS_PER_CELL}

    assert missing <= set(asked.not_asked)
    assert not {name for name in missing if name.startswith("region ")}


@pytest.mark.parametrize(("locale", "family"), [("en-us", "country abroad"), ("en-us", "region name")])
def test_one_town_alone_makes_no_country_or_state_blind(
    rows_of: Callable[[str], MatrixRows], locale: str, family: str
) -> None:
    """Its rows lie in six towns at least, which 40 draws may leave one of, or in none."""
    towns: dict[CellKey, set[str]] = {}
    for row in rows_of(locale).rows:
        if row.keys[0].family == family:
            towns.setdefault(row.keys[0], set()).update({row.components.get("locality", "")} - {""})
    few, many = ([key for key, found in towns.items() if (len(found) >= 5) is is_many] for is_many in (False, True))

    assert many
    assert not any(towns[key] for key in few)


def test_states_territories_and_military_regions_are_all_there(rows_of: Callable[[str], MatrixRows]) -> None:
    found = counts(rows_of("en-us"))

    for code in ("VT", "WY", "DC", "PR", "GU", "VI", "AS", "MP", "AA", "AE", "AP"):
        assert found[CellKey("region code", (code,))] >= ROWS_PER_CELL, code
    for word in ("APO", "FPO", "DPO", "PSC", "CMR"):
        assert found[CellKey("military mail", (word,))] >= ROWS_PER_CELL, word


@pytest.mark.parametrize("locale", LOCALES)
def test_no_text_has_two_right_answers(rows_of: Callable[[str], MatrixRows], locale: str) -> None:
    answers: dict[str, Components] = {}
    for row in rows_of(locale).rows:
        assert answers.setdefault(row.raw, row.components) == row.components, row.raw


@pytest.mark.parametrize("locale", LOCALES)
def test_no_row_is_a_bare_number_a_lone_name_or_a_number_without_its_street(
    rows_of: Callable[[str], MatrixRows], locale: str
) -> None:
    for row in rows_of(locale).rows:
        tags = set(row.components)
        assert any(letter.isalpha() for letter in row.raw), row.raw
        assert len(tags) > 1 or tags <= {"street", "po_box"}, row.raw
        assert "house_number" not in tags or "street" in tags, row.raw


@pytest.mark.parametrize("locale", LOCALES)
def test_rows_lie_in_towns_that_no_corpus_trains_on(rows_of: Callable[[str], MatrixRows], locale: str) -> None:
    own = [row for row in rows_of(locale).rows if row.keys[0].family not in ("country abroad", "military mail")]
    towns = sorted({row.components["locality"] for row in own if row.components.get("locality", "APO") not in OFFICES})
    folds = place_fold(pa.array([locale[-2:].upper()] * len(towns)), pa.array(towns), HELD_OUT_SHARE)

    assert [town for town, fold in zip(towns, folds, strict=True) if fold == TRAIN] == []
    assert len(towns) > 200


OFFICES = ("APO", "FPO", "DPO")


@pytest.mark.parametrize("locale", LOCALES)
def test_the_same_seed_asks_the_same_rows_and_another_seed_others(
    rows_of: Callable[[str], MatrixRows], locale: str
) -> None:
    again, other = matrix_rows(locale), matrix_rows(locale, seed=1)

    assert again == rows_of(locale)
    assert other.keys == again.keys
    assert len({row.raw for row in other.rows} & {row.raw for row in again.rows}) < 0.2 * len(again.rows)


def test_five_digits_first_are_a_number_or_a_postcode_as_the_region_beside_them_says(
    rows_of: Callable[[str], MatrixRows],
) -> None:
    # M66
    rows: dict[str, list[MatrixRow]] = {"house number": [], "postcode": []}
    for row in rows_of("en-us").rows:
        if row.keys[0].family == "five digits first":
            rows[row.keys[0].values[0]].append(row)

    assert min(map(len, rows.values())) == ROWS_PER_CELL
    assert all(row.raw[:5].isdigit() and "region" in row.components for found in rows.values() for row in found)
    assert all(row.components["postcode"] == row.raw[:5] for row in rows["postcode"])
    assert any(row.raw[5] == " " for row in rows["postcode"])


def test_every_subset_that_a_person_would_write_has_a_cell(rows_of: Callable[[str], MatrixRows]) -> None:
    # M66: `58554 Larkspur Dr, ND` has neither number nor town, and stood in no list
    assert ("street", "region", "postcode") in subsets()
    for locale in LOCALES:
        found = counts(rows_of(locale))
        cells = {CellKey("subset", (" + ".join(subset),)) for subset in subsets()}
        assert len(cells) > 150
        assert not {key for key in cells if found[key] < ROWS_PER_CELL}


def test_a_street_behind_a_postcode_is_fair_only_where_a_region_tells_what_the_digits_are() -> None:
    first = orders("US")["postcode first"]

    def fair(*tags: str) -> bool:
        return is_fair(block_shape(first, tags), commas=True, types_behind=True, long_numbers=True)

    assert fair("postcode", "street", "region")
    assert not fair("postcode", "street", "locality")
    assert fair("postcode", "house_number", "street", "locality")


def test_names_that_only_a_comma_tells_apart_are_not_asked_without_one() -> None:
    def fair(country: str, *tags: str) -> bool:
        shape = block_shape(orders(country)[NATIVE], tags)
        return is_fair(shape, commas=False, types_behind=country == "US", long_numbers=country == "US")

    assert fair("US", "street", "locality")
    assert not fair("FR", "street", "locality")
    assert fair("FR", "street", "postcode", "locality")
    assert not fair("US", "venue", "locality")


def test_a_country_that_no_table_knows_is_refused_with_what_to_do() -> None:
    with pytest.raises(ArtifactError, match=r"has rows of US and FR only\. Write the habits of its country"):
        matrix_rows("de-de")


def reader(asked: MatrixRows, forget: Callable[[str, str], bool]) -> Callable[[Sequence[str]], list[Components]]:
    """A parser that knows every answer, but for the values that it is made to forget."""
    answers = {row.raw: row.components for row in asked.rows}

    def parse(texts: Sequence[str]) -> list[Components]:
        return [{tag: text for tag, text in answers[raw].items() if not forget(tag, text)} for raw in texts]

    return parse


def matrix(
    asked: MatrixRows, forget: Callable[[str, str], bool], tags: Sequence[str] = STAGE3_TAGS
) -> CapabilityMatrix:
    return measure(asked, reader(asked, forget), locale="en-us", tags=tags, min_cell=0.8, measured_on="0" * 64)


def test_a_parser_that_cannot_read_vermont_is_found_by_its_name_and_its_code(
    rows_of: Callable[[str], MatrixRows],
) -> None:
    # M65
    found = matrix(rows_of("en-us"), lambda tag, text: tag == "region" and text.lower() in ("vt", "vermont"))

    assert {cell.key.name for cell in found.blind} == {"region code: VT", "region name: Vermont"}
    assert all(cell.miss and "region" not in cell.miss.read for cell in found.blind)
    assert found.summary()["blind"] == 2
    assert {worst["cell"] for worst in found.summary()["worst"][:2]} == {"region code: VT", "region name: Vermont"}


def test_a_parser_that_reads_everything_has_no_blind_cell(rows_of: Callable[[str], MatrixRows]) -> None:
    found = matrix(rows_of("en-us"), lambda tag, text: False)

    assert found.blind == ()
    assert all(cell.right == cell.rows for cell in found.cells)


def test_what_the_labels_have_no_tag_for_is_not_asked(rows_of: Callable[[str], MatrixRows]) -> None:
    found = matrix(rows_of("en-us"), lambda tag, text: False, tags=STAGE2_TAGS)

    assert found.not_asked["subset: po_box"] == "the labels have no tag for it"
    assert found.blind == ()
    assert all(cell.rows for cell in found.cells)


def test_a_matrix_comes_back_from_its_json(rows_of: Callable[[str], MatrixRows]) -> None:
    found = matrix(rows_of("en-us"), lambda tag, text: tag == "region")

    assert CapabilityMatrix.from_json(found.as_json(), min_cell=found.min_cell) == found


@pytest.mark.parametrize("locale", LOCALES)
def test_the_cells_that_are_always_asked_are_those_of_the_matrix(
    rows_of: Callable[[str], MatrixRows], locale: str
) -> None:
    for tags in (STAGE3_TAGS, STAGE2_TAGS):
        there = {cell.key for cell in matrix(rows_of(locale), lambda tag, text: False, tags=tags).cells}
        always = set(cells_always_asked(locale, tags, share=HELD_OUT_SHARE))

        assert always <= there
        # Without boxes and crossings in the labels some rows of these ask nothing.
        left_open = {ORDER_BY_STYLE, "crossing"} if tags == STAGE2_TAGS else set()
        assert {key.family for key in there - always} <= left_open


def training_file(path: Path, rows: list[tuple[str, dict[str, str], str]]) -> Path:
    made = [
        {**aligned_row("r", [("", raw)], split=split), "components": list(components.items())}
        for raw, components, split in rows
    ]
    return shard(path, made)


KEY = CellKey("subset", ("street",))


def test_a_row_whose_text_or_street_stands_in_training_is_left_out(tmp_path: Path) -> None:
    rows = [
        MatrixRow(raw, components, (KEY,))
        for raw, components in (
            ("Brook Hollow Dr, Ludlow", {"street": "Brook Hollow Dr", "locality": "Ludlow"}),
            ("Elm Fork Rd, Ludlow", {"street": "Elm Fork Rd", "locality": "Ludlow"}),
            ("Deep Run Ln & Oak Mill Rd", {"intersection_a": "Deep Run Ln", "intersection_b": "Oak Mill Rd"}),
            ("Ludlow, VT", {"locality": "Ludlow", "region": "VT"}),
            ("Pine Ford Ct, Ludlow", {"street": "Pine Ford Ct", "locality": "Ludlow"}),
        )
    ]
    trained = [
        ("7 BROOK HOLLOW DR, Reno", {"house_number": "7", "street": "BROOK HOLLOW DR", "locality": "Reno"}, "train"),
        ("ludlow vt", {"locality": "ludlow", "region": "vt"}, "train"),
        ("Oak Mill Rd., Reno", {"street": "Oak Mill Rd", "locality": "Reno"}, "train"),
        ("Elm Fork Rd, Ludlow", {"street": "Elm Fork Rd", "locality": "Ludlow"}, "test"),
    ]

    kept = unseen_rows(rows, keys_beside([training_file(tmp_path / "rows.parquet", trained)]))

    assert kept.tolist() == [False, True, False, False, True]


def test_what_training_has_met_is_counted_and_its_cell_filled_with_other_rows(
    rows_of: Callable[[str], MatrixRows],
) -> None:
    met = {row.raw for row in rows_of("fr-fr").rows[:20]}
    asked = matrix_rows("fr-fr", unseen=lambda rows: np.array([row.raw not in met for row in rows]))

    assert not met & {row.raw for row in asked.rows}
    assert asked.left_out >= 20
    assert counts(asked)[rows_of("fr-fr").rows[0].keys[0]] == ROWS_PER_CELL
