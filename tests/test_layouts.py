"""Where the parts of an address stand after the methods that move them."""

from __future__ import annotations

import re

from test_contents import AMERICAN, FRENCH, after, draft_of, parts_of

VENUE = AMERICAN | {"venue": "Zoo", "country": "USA"}


def texts_of(method: str, country: str, record: dict[str, str], rows: int = 300) -> set[str]:
    return set(after(method, draft_of(country, *[record] * rows))[0].raw.to_pylist())


def test_a_street_runs_on_into_its_city():
    assert {
        "Zoo, 12 Main St Reno, NV 89501, USA",
        "Zoo, 12 Main St Reno NV 89501, USA",
        "Zoo 12 Main St, Reno, NV 89501, USA",
        "Zoo 12 Main St Reno NV 89501 USA",
    } <= texts_of("run_on", "US", VENUE)
    assert "3 rue Cler 75007 Paris" in texts_of("run_on", "FR", FRENCH)
    assert "Main St NW Springfield IL" in texts_of(
        "run_on", "US", {"street": "Main St NW", "locality": "Springfield", "region": "IL"}
    )


def test_a_crossing_runs_on_with_its_own_word_between_the_streets():
    record = {"intersection_a": "Main St", "intersection_b": "5th Ave", "locality": "Reno"}

    assert {"Main St & 5th Ave Reno", "Main St and 5th Ave Reno"} <= texts_of("run_on", "US", record)


def test_one_component_and_another_script_run_on_into_nothing():
    assert after("run_on", draft_of("US", {"locality": "Reno"}, {"street": "улица Мира", "locality": "Омск"}))[1] == [
        False,
        False,
    ]


def test_an_envelope_has_its_city_and_codes_on_one_line():
    assert {
        "Zoo\n12 Main St\nReno, NV 89501\nUSA",
        "Zoo\n12 Main St\nReno NV 89501\nUSA",
        "Zoo\r\n12 Main St\r\nReno, NV 89501\r\nUSA",
        "Zoo\r\n12 Main St\r\nReno NV 89501\r\nUSA",
        "Zoo,\n12 Main St,\nReno NV 89501,\nUSA",
        "Zoo,\n12 Main St,\nReno, NV 89501,\nUSA",
    } == texts_of("multi_line", "US", VENUE)
    assert "3 rue Cler\n75007 Paris, Île-de-France" in texts_of(
        "multi_line", "FR", FRENCH | {"region": "Île-de-France"}
    )


def test_a_city_line_alone_is_no_envelope():
    assert after("multi_line", draft_of("US", {"locality": "Reno", "region": "NV"}))[1] == [False]


def test_lines_in_another_script_keep_their_own_separators_within_a_line():
    record = {"venue": "Музей", "locality": "Омск", "region": "Омская область"}

    assert "Музей\nОмск, Омская область" in texts_of("multi_line", "RU", record)


def test_a_street_without_a_number_is_led_by_its_postcode_where_a_place_tells_what_that_is():
    record = {"street": "Larkspur Dr", "region": "ND", "postcode": "58554"}
    texts = texts_of("order", "US", record, rows=600)

    assert {"58554 Larkspur Dr, ND", "58554, Larkspur Dr, ND", "ND, 58554 Larkspur Dr"} <= texts
    bare = {"street": "Larkspur Dr", "postcode": "58554"}
    assert texts_of("order", "US", bare) == {"Larkspur Dr, 58554"}


def test_a_street_with_neither_number_nor_postcode_is_led_by_its_town():
    """Few rows began with a town: one that nobody had seen was a venue or a country there."""
    bare = {"street": "Larkspur Dr", "locality": "Mott"}
    texts, numbered = (
        after("order", draft_of("US", *[record] * 600))[0].raw.to_pylist()
        for record in (bare, bare | {"house_number": "8"})
    )

    assert sum(text.startswith("Mott") for text in texts) > 400
    assert sum(text.startswith("Mott") for text in numbered) < 300


def test_an_american_venue_stands_behind_its_street_about_as_often_as_in_front_of_all_else():
    texts = after("order", draft_of("US", *[VENUE] * 600))[0].raw.to_pylist()
    behind = [re.search(r"Main St,? Zoo", text) is not None for text in texts]

    assert 0.3 < sum(behind) / len(texts) < 0.55


def test_one_part_stands_in_brackets_behind_another_and_its_span_within_them():
    record = VENUE | {"unit": "Rear", "dependent_locality": "Sparks"}
    lines, applied = after("brackets", draft_of("US", *[record] * 300))

    assert all(applied)
    assert set(lines.raw.to_pylist()) == {
        "12 Main St Rear, Sparks, Reno, NV 89501, USA (Zoo)",
        "12 Main St Rear (Zoo), Sparks, Reno, NV 89501, USA",
        "Zoo, 12 Main St (Rear), Sparks, Reno, NV 89501, USA",
        "Zoo, 12 Main St Rear (Sparks), Reno, NV 89501, USA",
        "Zoo, 12 Main St Rear, Sparks, Reno (NV), 89501, USA",
        "Zoo, 12 Main St Rear, Sparks, Reno, NV 89501 (USA)",
    }
    assert all(row == record for row in parts_of(lines))


def test_no_row_begins_with_brackets():
    alone, led = {"venue": "Zoo"}, {"region": "NV", "postcode": "89501"}

    assert after("brackets", draft_of("US", alone, led))[1] == [False, False]
    assert texts_of("brackets", "US", {"venue": "Zoo", "locality": "Reno"}) == {"Reno (Zoo)"}
