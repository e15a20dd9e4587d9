"""What the methods that add or drop parts write, and where their spans lie."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa

from mw_pipeline.corpus.augment import METHODS
from mw_pipeline.corpus.compose import Draft, native_draft
from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.lines import Lines, write_lines
from mw_pipeline.corpus.spans import unsound_rows

AMERICAN = {"house_number": "12", "street": "Main St", "locality": "Reno", "region": "NV", "postcode": "89501"}
FRENCH = {"house_number": "3", "street": "rue Cler", "postcode": "75007", "locality": "Paris"}


def draft_of(country: str, *records: dict[str, str]) -> Draft:
    columns = {tag: pa.array([record.get(tag) for record in records], pa.string()) for tag in LINE_TAGS}
    return native_draft(country, columns, np.random.default_rng(1))


def after(method: str, draft: Draft, seed: int = 2) -> tuple[Lines, list[bool]]:
    """The lines after one method alone, and which rows it says that it changed."""
    changed, applied = METHODS[method](draft, np.ones(draft.rows, np.bool_), np.random.default_rng(seed))
    lines = write_lines(changed)
    assert not unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).any()
    return lines, applied.tolist()


def parts_of(lines: Lines) -> list[dict[str, str]]:
    return [dict(row) for row in lines.components().to_pylist()]


def test_a_crossing_is_two_streets_of_one_town():
    town = [AMERICAN | {"street": street, "venue": "Zoo"} for street in ("Main St", "Oak Ave", "5th Ave")]
    elsewhere = [AMERICAN | {"street": "Elm St", "locality": "Elko", "postcode": "89801"}] * 2

    lines, applied = after("intersection", draft_of("US", *town, *elsewhere))

    parts = parts_of(lines)
    assert applied == [True, True, True, False, False]
    assert [row["intersection_a"] for row in parts[:3]] == ["Main St", "Oak Ave", "5th Ave"]
    assert all(
        row["intersection_b"] in {"Main St", "Oak Ave", "5th Ave"} - {row["intersection_a"]} for row in parts[:3]
    )
    assert all(row["venue"] == "Zoo" and not {"street", "house_number"} & set(row) for row in parts[:3])
    assert lines.raw.to_pylist()[3:] == ["12 Elm St, Elko, NV 89801"] * 2


def test_a_held_out_row_lends_its_street_to_no_row_of_training():
    draft = draft_of("US", AMERICAN, AMERICAN | {"street": "Oak Ave"})

    _, apart = after("intersection", replace(draft, pool=np.array([0, 1])))
    _, together = after("intersection", replace(draft, pool=np.array([1, 1])))

    assert (apart, together) == ([False, False], [True, True])


def test_a_row_alone_or_without_a_town_crosses_nothing():
    assert after("intersection", draft_of("US", AMERICAN))[1] == [False]
    assert after("intersection", draft_of("US", {"street": "Oak Ave"}, {"street": "Elm St"}))[1] == [False, False]
    assert after("intersection", draft_of("US", {"locality": "Reno"}, {"locality": "Reno"}))[1] == [False, False]


def test_an_american_box_mostly_stands_in_place_of_the_street():
    lines, applied = after("po_box", draft_of("US", *[AMERICAN] * 400))

    parts = parts_of(lines)
    assert all(applied) and all("po_box" in row for row in parts)
    assert 0.65 < np.mean(["street" not in row for row in parts]) < 0.85
    assert all(("street" in row) == ("house_number" in row) for row in parts)
    assert any(re.fullmatch(r"PO Box \d+, Reno, NV 89501", text) for text in lines.raw.to_pylist())


def test_a_french_box_mostly_follows_the_street():
    texts = after("po_box", draft_of("FR", *[FRENCH] * 400))[0].raw.to_pylist()

    assert any(re.fullmatch(r"3 rue Cler, BP \d+, 75007 Paris", text) for text in texts)
    assert 0.55 < np.mean(["rue" in text for text in texts]) < 0.75


def test_a_box_needs_a_town_and_a_country_that_has_boxes():
    assert after("po_box", draft_of("US", {"street": "Main St"}, {"po_box": "PO Box 1", "locality": "Reno"}))[1] == [
        False,
        False,
    ]
    assert after("po_box", draft_of("JP", FRENCH))[1] == [False]
    assert after("po_box", draft_of("US", {"locality": "Бостон"}))[1] == [False]


def test_cedex_stands_behind_its_city_with_a_postcode_of_the_departement():
    lines, applied = after("cedex", draft_of("FR", *[FRENCH] * 100))

    assert all(applied)
    assert all(
        re.fullmatch(r"3 rue Cler, 75\d{3} Paris (CEDEX|Cedex|cedex)( \d+)?", raw) for raw in lines.raw.to_pylist()
    )


def test_an_overseas_departement_keeps_its_three_digits():
    texts = after("cedex", draft_of("FR", *[{"postcode": "97400", "locality": "Saint-Denis"}] * 50))[0].raw.to_pylist()

    assert all(re.match(r"974\d\d Saint-Denis [Cc]", text) for text in texts) and len(set(texts)) > 10


def test_cedex_is_french_and_needs_a_postcode_and_a_city_without_one():
    rows = [{"locality": "Paris"}, {"postcode": "75007"}, FRENCH | {"cedex": "CEDEX 07"}]

    assert after("cedex", draft_of("FR", *rows))[1] == [False] * 3
    assert after("cedex", draft_of("US", AMERICAN))[1] == [False]


def test_a_unit_stands_behind_the_street_in_front_of_it_or_beside_the_venue():
    lines, applied = after("unit", draft_of("US", *[AMERICAN | {"venue": "Zoo", "unit": "#4B"}] * 400))

    assert {
        "Zoo, 12 Main St #4B, Reno, NV 89501",
        "Zoo, 12 Main St, #4B, Reno, NV 89501",
        "Zoo, #4B 12 Main St, Reno, NV 89501",
        "Zoo, #4B, 12 Main St, Reno, NV 89501",
        "Zoo #4B, 12 Main St, Reno, NV 89501",
        "#4B, Zoo, 12 Main St, Reno, NV 89501",
    } <= set(lines.raw.to_pylist())
    native = "Zoo, 12 Main St #4B, Reno, NV 89501"
    assert applied == [text != native for text in lines.raw.to_pylist()]


def test_a_row_without_a_unit_gets_one_in_the_case_of_the_row():
    lines, applied = after("unit", draft_of("US", *[AMERICAN, {"street": "MAIN ST", "house_number": "1"}] * 100))

    units = [row["unit"] for row in parts_of(lines)]
    assert all(applied) and len(set(units)) > 80
    assert all(unit == unit.upper() for unit in units[1::2])
    assert any(unit.startswith("Apt ") for unit in units[::2])


def test_a_unit_needs_a_numbered_street_in_latin_letters_and_a_country_with_units():
    rows = [{"street": "Main St"}, {"house_number": "1", "street": "улица Мира"}]

    assert after("unit", draft_of("US", *rows))[1] == [False, False]
    assert after("unit", draft_of("JP", FRENCH))[1] == [False]


def test_a_direction_comes_before_or_behind_a_street_that_has_none():
    streets = ["Main St", "N Main St", "Main St NW", "North Ave", "Broadway", "OAK AVE"] * 400
    lines, applied = after("direction", draft_of("US", *[{"street": street} for street in streets]))

    texts = lines.raw.to_pylist()
    assert applied == [True, False, False, False, False, True] * 400
    assert {"N Main St", "Main St NW", "South Main St", "Main St Northeast", "Main St S.W."} <= set(texts[::6])
    assert all(text == text.upper() for text in texts[5::6])
    assert after("direction", draft_of("FR", FRENCH))[1] == [False]


def test_a_person_is_the_venue_of_a_row_without_another():
    lines, applied = after("person", draft_of("US", *[AMERICAN, {"locality": "RENO", "street": "ELM ST"}] * 200))

    texts, parts = lines.raw.to_pylist(), parts_of(lines)
    assert all(applied)
    assert all(text.endswith(", 12 Main St, Reno, NV 89501") for text in texts[::2])
    assert all(text == text.upper() for text in texts[1::2])
    assert {row["venue"].partition(" ")[0] for row in parts[::2]} >= {"Mr.", "Attn:", "c/o", "James"}
    assert all(text.startswith(row["venue"][:3]) for text, row in zip(texts, parts, strict=True))
    assert after("person", draft_of("US", AMERICAN | {"venue": "Zoo"}))[1] == [False]


def test_a_person_needs_a_street_or_a_box_and_a_country_with_names():
    rows = [{"locality": "Reno"}, {"street": "улица Мира"}, {"po_box": "PO Box 7"}]

    assert after("person", draft_of("US", *rows))[1] == [False, False, True]
    assert after("person", draft_of("JP", FRENCH))[1] == [False]


def test_words_that_announce_a_crossing_stand_before_it_without_a_label():
    crossing = {"intersection_a": "Main St", "intersection_b": "Oak Ave", "locality": "Reno"}
    lines, applied = after("corner", draft_of("US", *[crossing, AMERICAN] * 200))

    assert applied == [True, False] * 200
    assert all(row == crossing for row in parts_of(lines)[::2])
    assert any(text.startswith("corner of Main St") for text in lines.raw.to_pylist())
    assert after("corner", draft_of("DE", crossing))[1] == [False]
