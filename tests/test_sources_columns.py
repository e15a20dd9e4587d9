"""Column kernels: tidy text, ZIP codes and families."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources import columns


def strings(*values: str | None) -> pa.StringArray:
    return pa.array(values, pa.string())


def family(
    number: str, street: str, locality: str | None = None, postcode: str | None = None, country: str = "US"
) -> str:
    ids = columns.address_family_ids(
        strings(country),
        house_number=strings(number),
        street=strings(street),
        locality=strings(locality),
        postcode=strings(postcode),
    )
    return ids[0].as_py()


def test_tidy_text_has_single_spaces() -> None:
    found = columns.tidy(strings(" a \t\u00a0b\u2003c\r\n", "x\x85\x0by", " \u3000 ", "", None))

    assert found.to_pylist() == ["a b c", "x y", None, None, None]


def test_tidy_text_keeps_other_control_characters_for_the_quarantine() -> None:
    assert columns.tidy(strings(" \x07x ")).to_pylist() == ["\x07x"]


@given(st.text())
def test_tidying_twice_changes_nothing(text: str) -> None:
    once = columns.tidy(strings(text))

    assert columns.tidy(once).to_pylist() == once.to_pylist()


@pytest.mark.parametrize(
    ("code", "plus4", "expected"),
    [
        ("99577", "7743", "99577-7743"),
        ("99556", None, "99556"),
        ("6242", None, "06242"),
        ("501", "1", "00501-0001"),
        ("99577-7743", None, "99577-7743"),
        ("995777743", None, "99577-7743"),
        ("62421234", None, "06242-1234"),
        ("97205", "0000", "97205"),
        ("972050000", None, "97205"),
        ("97205", "12A4", "97205"),
        ("input postcode", None, None),
        ("97", None, None),
        (None, "1234", None),
    ],
)
def test_zip_codes_are_written_as_on_an_envelope(code: str | None, plus4: str | None, expected: str | None) -> None:
    assert columns.zip_codes(strings(code), strings(plus4)).to_pylist() == [expected]


@pytest.mark.parametrize("number", ["12", "12 bis", "12B", "012", "12-14", "№ 12"])
def test_the_variants_of_a_number_are_one_family(number: str) -> None:
    assert family(number, "Main St", postcode="20500") == family("12", "Main St", postcode="20500")


def test_case_accents_punctuation_and_zip4_leave_the_family_as_it_is() -> None:
    assert family("4", "RUE DE L'EGLISE", postcode="75001") == family("4", "Rue de l’Église", postcode="75001")
    assert family("4", "Main St.", postcode="20500-0003") == family("4", "main st", "Washington", "20500")


def test_another_number_street_place_or_country_is_another_family() -> None:
    base = family("4", "Main St", "Springfield")

    assert base not in {
        family("5", "Main St", "Springfield"),
        family("4", "Oak St", "Springfield"),
        family("4", "Main St", "Shelbyville"),
        family("4", "Main St", "Springfield", country="FR"),
    }


def test_locales_follow_the_country_and_stay_open_where_it_has_several_languages() -> None:
    assert columns.locales(strings("US", "FR", "BE")).to_pylist() == ["en-US", "fr-FR", "und-BE"]


def test_a_value_that_repeats_another_is_null() -> None:
    found = columns.null_if_same(strings("GUADELOUPE", "Paris", None), strings("Guadeloupe", "Lyon", "x"))

    assert found.to_pylist() == [None, "Paris", None]


def batch(*values: str | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "source_id": [f"f:{n}" for n in range(len(values))],
            "line": list(range(len(values))),
            "x": strings(*values),
            "country_code": strings(*["US", "FR", "DE", "US"][: len(values)]),
        }
    )


def test_quarantined_records_quote_the_column_that_was_at_fault() -> None:
    rejects = Rejects(source="test")
    kept = columns.quarantined(
        batch("a", None, "c"), pa.array([True, True, None]), reason="bad", detail="x", rejects=rejects
    )

    assert kept["x"].to_pylist() == ["c"]
    assert [(row["line"], row["reason"], row["detail"]) for row in rejects.drain().to_pylist()] == [
        (0, "bad", "x: 'a'"),
        (1, "bad", "x: None"),
    ]


def test_filtered_records_are_counted_by_the_name_of_the_filter() -> None:
    rejects = Rejects(source="test")
    kept = columns.of_wanted_countries(
        batch("a", "b", "c", "d"), ReadRequest(paths=(), source="test", countries=("US", "FR")), rejects
    )

    assert kept["x"].to_pylist() == ["a", "b", "d"]
    assert rejects.filters == {"country_not_wanted": 1}


@pytest.mark.parametrize(("limit", "expected"), [(None, "aabb"), (1, "a"), (2, "aa"), (3, "aab"), (9, "aabb")])
def test_a_limit_counts_across_batches(limit: int | None, expected: str) -> None:
    batches = iter([batch("a", "a"), batch("b", "b")])

    assert "".join(v for b in columns.at_most(batches, limit) for v in b["x"].to_pylist()) == expected
