from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yardstick import in_yardsticks

from mw_pipeline.corpus.compose import in_form, native_draft, sequence
from mw_pipeline.corpus.conventions import LINE_TAGS, separators
from mw_pipeline.corpus.lines import Lines, write_lines
from mw_pipeline.corpus.orders import forms
from mw_pipeline.corpus.spans import unsound_rows
from mw_pipeline.records.text import mask_of


def columns(*records: dict[str, str]) -> dict[str, pa.StringArray]:
    return {tag: pa.array([record.get(tag) for record in records], pa.string()) for tag in LINE_TAGS}


def native_lines(country: str, *records: dict[str, str]) -> Lines:
    return write_lines(native_draft(country, columns(*records), np.random.default_rng(0)))


def test_an_american_line_reads_as_its_post_office_writes_it():
    record = {
        "venue": "The White House",
        "house_number": "1600",
        "street": "Pennsylvania Ave NW",
        "locality": "Washington",
        "region": "DC",
        "postcode": "20500",
        "country": "USA",
    }

    lines = native_lines("US", record)

    assert lines.raw.to_pylist() == ["The White House, 1600 Pennsylvania Ave NW, Washington, DC 20500, USA"]
    assert lines.tags.to_pylist() == [list(record)]
    assert lines.starts.to_pylist() == [[0, 17, 22, 43, 55, 58, 65]]
    assert lines.ends.to_pylist() == [[15, 21, 41, 53, 57, 63, 68]]
    assert lines.components().to_pylist() == [list(record.items())]


def test_a_french_line_has_postcode_city_and_cedex_side_by_side():
    lines = native_lines(
        "FR",
        {
            "cedex": "CEDEX 07",
            "locality": "Paris",
            "postcode": "75343",
            "street": "rue Saint-Dominique",
            "house_number": "14 bis",
        },
    )

    assert lines.raw.to_pylist() == ["14 bis rue Saint-Dominique, 75343 Paris CEDEX 07"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"street": "Main St"}, "Main St"),
        ({"house_number": "5", "postcode": "80302"}, "5, 80302"),
        ({"locality": "Boulder", "postcode": "80302"}, "Boulder, 80302"),
        ({"locality": "Boulder", "region": "CO"}, "Boulder, CO"),
        ({"venue": "Zoo", "country": "US"}, "Zoo, US"),
        ({}, ""),
    ],
)
def test_absent_components_leave_no_dangling_separator(record: dict[str, str], text: str):
    assert native_lines("US", record).raw.to_pylist() == [text]


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("D.C.", "D.C"),
        ("(Montréal)", "Montréal"),
        ("Main St.", "Main St"),
        ("« Le Café »", "Le Café"),
        ("Yahoo!", "Yahoo"),
        ("Sainte-Livrade-sur-Lot", "Sainte-Livrade-sur-Lot"),
        ("दिल्ली", "दिल्ली"),
        ("Cafe\u0301", "Cafe\u0301"),
    ],
)
def test_a_span_runs_from_letter_to_letter_and_the_text_keeps_the_rest(value: str, span: str):
    lines = native_lines("US", {"venue": value, "locality": "Reno"})

    assert lines.raw.to_pylist() == [f"{value}, Reno"]
    assert lines.components()[0].as_py() == [("venue", span), ("locality", "Reno")]
    assert lines.raw[0].as_py()[lines.starts[0][0].as_py() : lines.ends[0][0].as_py()] == span


def test_a_departement_alone_is_the_region_and_a_county_never_is():
    french = {"locality": "Colmar", "subregion": "Haut-Rhin"}
    both = french | {"region": "Grand Est"}

    assert native_lines("FR", french, both).components().to_pylist() == [
        [("locality", "Colmar"), ("region", "Haut-Rhin")],
        [("locality", "Colmar"), ("subregion", "Haut-Rhin"), ("region", "Grand Est")],
    ]
    assert native_lines("US", {"subregion": "Marin County"}).tags.to_pylist() == [["subregion"]]


def test_chinese_and_japanese_run_either_way_with_the_separators_of_their_script():
    texts = set(native_lines("FR", *[{"venue": "卢浮宫", "locality": "巴黎", "country": "法国"}] * 400).raw.to_pylist())

    assert {"法国巴黎卢浮宫", "卢浮宫，巴黎，法国", "卢浮宫巴黎法国", "法国 巴黎 卢浮宫"} <= texts


def test_names_of_an_unspaced_row_may_follow_each_other_behind_their_code():
    record = {"postcode": "〒791-3100", "region": "愛媛県", "locality": "松山市"}
    lines = native_lines("JP", *[record] * 400)

    texts = set(lines.raw.to_pylist())
    assert "〒791-3100 愛媛県松山市" in texts and "〒791-3100愛媛県松山市" in texts
    assert all(set(values) == {"791-3100", "愛媛県", "松山市"} for values in lines.texts.to_pylist())


def test_no_letters_meet_without_a_separator_where_a_row_is_not_wholly_unspaced():
    mixed = native_lines("FR", *[{"street": "rue Cler", "house_number": "3", "locality": "巴黎"}] * 400)
    korean = native_lines("FR", *[{"locality": "파리", "country": "프랑스"}] * 50)

    assert all(any(mark in text for mark in "，,、\n\u3000 ") for text in mixed.raw.to_pylist())
    assert not any("Cler巴黎" in text or "巴黎3" in text for text in mixed.raw.to_pylist())
    assert set(korean.raw.to_pylist()) == {"파리, 프랑스", "프랑스, 파리"}


def test_arabic_text_takes_its_own_comma():
    texts = set(native_lines("US", *[{"locality": "بوسطن", "country": "الولايات المتحدة"}] * 100).raw.to_pylist())

    assert "بوسطن، الولايات المتحدة" in texts


def test_accents_and_typographic_signs_are_latin():
    record = {"venue": "L’Œuvre – café №1", "locality": "Nîmes"}

    assert set(native_lines("FR", *[record] * 50).raw.to_pylist()) == {"L’Œuvre – café №1, Nîmes"}


def test_crossing_streets_are_joined_as_a_crossing():
    lines = native_lines("XX", {"intersection_a": "Main St", "intersection_b": "5th Ave", "locality": "Reno"})

    assert lines.raw.to_pylist() == ["Main St & 5th Ave, Reno"]


def test_parts_of_a_street_have_no_place_of_their_own():
    draft = native_draft(
        "US", {"street": pa.array(["N Main St"]), "street_prefix": pa.array(["N"])}, np.random.default_rng(0)
    )

    assert write_lines(draft).raw.to_pylist() == ["N Main St"]


def test_equal_sequences_mean_equal_text():
    records = columns({"locality": "Boulder", "postcode": "80302"}, {"locality": "Boulder", "region": "CO"})
    draft = native_draft("US", records, np.random.default_rng(0))
    table = forms("US")
    texts: dict[bytes, set[str]] = {}

    for form in range(len(table.order)):
        moved = in_form(draft, table, np.full(2, form))
        for row, text in enumerate(write_lines(moved).raw.to_pylist()):
            texts.setdefault(bytes(sequence(moved)[row]), set()).add(text)

    assert all(len(found) == 1 for found in texts.values())
    assert len(texts) == len(set().union(*texts.values()))


def test_the_first_separators_are_the_plain_ones():
    assert [table.texts[0].as_py() for table in separators()] == [", ", " "]


def in_word(letter: str, categories: str = "LN") -> bool:
    return unicodedata.category(letter)[0] in categories


def core(text: str) -> str:
    """The text from its first letter or digit to its last, with the marks of that last one."""
    first = next(place for place, letter in enumerate(text) if in_word(letter))
    last = max(place for place, letter in enumerate(text) if in_word(letter, "LNM"))
    return text[first : last + 1]


ANY = st.text(st.characters(exclude_categories=("Cs", "Cn")), min_size=1, max_size=8)
TEXT = st.one_of(st.none(), ANY.filter(lambda text: any(map(in_word, text))))
RECORDS = st.lists(st.fixed_dictionaries(dict.fromkeys(LINE_TAGS, TEXT)), min_size=1, max_size=6)


@given(RECORDS, st.sampled_from(["US", "FR", "JP"]), st.integers(0, 10**6))
def test_every_span_of_every_form_cuts_out_its_component(records: list[dict[str, str | None]], country: str, seed: int):
    rng = np.random.default_rng(seed)
    draft = native_draft(country, columns(*records), rng)
    table = forms(country)
    between, within = (len(choices.texts) for choices in separators())
    draft = in_form(draft, table, rng.integers(0, len(table.order), len(records)))
    draft = replace(draft, between=rng.integers(0, between, len(records)), within=rng.integers(0, within, len(records)))

    lines = write_lines(draft)

    for row, record in enumerate(records):
        if country != "US" and record["region"] is None:
            record |= {"region": record["subregion"], "subregion": None}
        raw, parts = lines.raw[row].as_py(), dict(lines.components()[row].as_py())
        assert parts == {tag: core(text) for tag, text in record.items() if text is not None}
        assert all(text is None or text in raw for text in record.values())
        spans = list(zip(*(column[row].as_py() for column in (lines.tags, lines.starts, lines.ends)), strict=True))
        assert [raw[start:end] for _, start, end in spans] == list(parts.values())
        assert all(a[2] <= b[1] for a, b in pairwise(spans))
    unsound = unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends)
    assert not unsound.any()


def lines_of_two() -> Lines:
    return native_lines("US", {"venue": "A😀Café", "locality": "Reno"}, {"street": "Main St", "region": "NV"})


def unsound(lines: Lines, **changed: pa.Array) -> list[bool]:
    lines = replace(lines, **changed)
    return unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).tolist()


def test_offsets_in_utf16_units_do_not_pass():
    lines = lines_of_two()
    assert lines.starts.to_pylist()[0] == [0, 8]

    starts, ends = pa.array([[0, 9], [0, 9]], pa.list_(pa.int32())), pa.array([[7, 13], [7, 11]], pa.list_(pa.int32()))

    assert unsound(lines) == [False, False]
    assert unsound(lines, starts=starts, ends=ends) == [True, False]


@pytest.mark.parametrize(
    ("starts", "ends"),
    [
        ([[0, 8], [9, 0]], [[6, 12], [11, 7]]),  # not sorted
        ([[0, 8], [-1, 9]], [[6, 12], [6, 11]]),  # before the text
        ([[0, 8], [0, 10]], [[6, 12], [7, 12]]),  # past the text
        ([[0, 8], [0, 9]], [[6, 12], [7, 9]]),  # empty
        ([[0, 8], [0]], [[6, 12], [7]]),  # one span short
        ([[0, 8], [1, 9]], [[6, 12], [8, 11]]),  # one off
    ],
)
def test_a_row_with_any_bad_span_is_found_and_its_neighbour_is_not(starts: list[list[int]], ends: list[list[int]]):
    kind = pa.list_(pa.int32())

    assert unsound(lines_of_two(), starts=pa.array(starts, kind), ends=pa.array(ends, kind)) == [False, True]


def test_a_tag_that_stands_twice_is_found():
    lines = lines_of_two()
    tags = pa.array([["venue", "locality"], ["street", "street"]], pa.list_(pa.string()))

    assert unsound(lines, tags=tags) == [False, True]


def test_a_component_under_another_name_is_found():
    lines = lines_of_two()
    components = pa.array(
        [[("venue", "A😀Café"), ("region", "Reno")], [("street", "Main St"), ("region", "NV")]],
        pa.map_(pa.string(), pa.string()),
    )

    found = unsound_rows(lines.raw, components, lines.tags, lines.starts, lines.ends)

    assert found.tolist() == [True, False]


def test_sliced_columns_are_checked_as_what_they_show():
    lines = lines_of_two()
    sliced = [column.slice(1, 1) for column in (lines.raw, lines.components(), lines.tags, lines.starts, lines.ends)]

    assert unsound_rows(*sliced).tolist() == [False]
    assert mask_of(pa.array([True])).tolist() == [True]


@pytest.mark.slow
def test_composing_and_checking_rows_keep_their_pace():
    record = {"house_number": "12", "street": "Main Street", "locality": "Boulder", "region": "CO", "postcode": "80302"}
    batch = columns(*[record] * 65_536)

    def compose_and_check() -> None:
        lines = write_lines(native_draft("US", batch, np.random.default_rng(0)))
        assert not unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).any()

    assert in_yardsticks(compose_and_check) < 10  # a third of that when written
