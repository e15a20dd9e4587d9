"""US delivery lines: split where safe, refused with a reason elsewhere."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources import street_line
from mw_pipeline.sources.street_line import PARTS, StreetLine, split_column, split_street_line, split_two_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("34020 NORTH FORK ROAD", StreetLine("34020", "NORTH FORK ROAD")),
        ("123 Main St Ste 4", StreetLine("123", "Main St", "Ste 4")),
        ("123 MAIN ST., SUITE 200-B", StreetLine("123", "MAIN ST.", "SUITE 200-B")),
        ("12001 BUSINESS BOULEVARD #176", StreetLine("12001", "BUSINESS BOULEVARD", "#176")),
        ("41600 W SMITH ENKE RD, BLDG #10", StreetLine("41600", "W SMITH ENKE RD", "BLDG #10")),
        ("1 Main St Bldg A Apt 3", StreetLine("1", "Main St", "Bldg A Apt 3")),
        ("12 Main St 2nd Floor", StreetLine("12", "Main St", "2nd Floor")),
        ("12-14 Elm", StreetLine("12-14", "Elm")),
        ("79-50 BELL BOULEVARD", StreetLine("79-50", "BELL BOULEVARD")),
        ("122/124 ISLAND POND ROAD", StreetLine("122/124", "ISLAND POND ROAD")),
        ("404 1/2 SOUTH HARRISON STREET", StreetLine("404 1/2", "SOUTH HARRISON STREET")),
        ("127A YOCUM STREET", StreetLine("127A", "YOCUM STREET")),
        ("N112W16957 MEQUON RD.", StreetLine("N112W16957", "MEQUON RD.")),
        ("28W751 STAFFORD PLACE", StreetLine("28W751", "STAFFORD PLACE")),
        ("One Main St", StreetLine("One", "Main St")),
        ("ONE MILE ROAD", StreetLine(None, "ONE MILE ROAD")),
        ("320 1ST AVE E", StreetLine("320", "1ST AVE E")),
        ("1ST AVENUE", StreetLine(None, "1ST AVENUE")),
        ("16TH STREET", StreetLine(None, "16TH STREET")),
        ("249 F STREET", StreetLine("249", "F STREET")),
        ("HIGHWAY 12 SOUTH", StreetLine(None, "HIGHWAY 12 SOUTH")),
        ("24371 U.S. HIGHWAY 119 SOUTH", StreetLine("24371", "U.S. HIGHWAY 119 SOUTH")),
        ("NORTH 200 WEST", "not_a_street"),
        ("900 WESLEY PLACE, SW", StreetLine("900", "WESLEY PLACE SW")),
        ("115 MARTIN LUTHER KING, JR. BLVD.", StreetLine("115", "MARTIN LUTHER KING JR. BLVD.")),
        ("14 ELM ST (REAR)", StreetLine("14", "ELM ST")),
        ("12 LEWIS AND CLARK DR", StreetLine("12", "LEWIS AND CLARK DR")),
        ("812 BOX BUTTE AVENUE", StreetLine("812", "BOX BUTTE AVENUE")),
        ("P.O. BOX 12", StreetLine(po_box="P.O. BOX 12")),
        ("PO Box 12", StreetLine(po_box="PO Box 12")),
        ("POST OFFICE BOX 12-A", StreetLine(po_box="POST OFFICE BOX 12-A")),
        ("P.O. DRAWER 640", StreetLine(po_box="P.O. DRAWER 640")),
        ("BOX 7", StreetLine(po_box="BOX 7")),
        ("RR 2 BOX 2003", StreetLine(po_box="RR 2 BOX 2003")),
        ("5308 S. MAIN AVE / PO BOX 86", StreetLine("5308", "S. MAIN AVE", po_box="PO BOX 86")),
        ("PO BOX 86, 5308 S. MAIN AVE STE 2", StreetLine("5308", "S. MAIN AVE", "STE 2", "PO BOX 86")),
        ("1520 SE 37th Ave Ste 4", StreetLine("1520", "SE 37th Ave", "Ste 4")),
        ("100 S 200 E", StreetLine("100", "S 200 E")),
        ("N6W23001 Bluemound Rd", StreetLine("N6W23001", "Bluemound Rd")),
        ("1711½ N 6th St", StreetLine("1711½", "N 6th St")),
        ("D24 CALLE CAUCE", StreetLine("D24", "CALLE CAUCE")),
        ("105 Whitehall Dr # 109-114", StreetLine("105", "Whitehall Dr", "# 109-114")),
        ("204 ELLISON STREET, SUITES E & F", StreetLine("204", "ELLISON STREET", "SUITES E & F")),
        ("12 MAIN ST STE 100 & 200", StreetLine("12", "MAIN ST", "STE 100 & 200")),
        ("12 Main St Rear", StreetLine("12", "Main St", "Rear")),
        ("12 Main St Second Floor", StreetLine("12", "Main St", "Second Floor")),
        ("35 JUAN C BORBON PMB 290", StreetLine("35", "JUAN C BORBON", po_box="PMB 290")),
        ("PO BOX 4956 PMB 325", StreetLine(po_box="PO BOX 4956 PMB 325")),
        ("HC-02 BOX 16520", StreetLine(po_box="HC-02 BOX 16520")),
        ("PSC 475 BOX 1392", StreetLine(po_box="PSC 475 BOX 1392")),
        ("UNIT 6122 BOX 45", StreetLine(po_box="UNIT 6122 BOX 45")),
        ("CALL BOX 6021", StreetLine(po_box="CALL BOX 6021")),
        ("POB 17", StreetLine(po_box="POB 17")),
        ("3 AVE UNIVERSIDAD STE ADM", "several_parts"),
        ("159 LA PALMAS URB VEREDAS", "several_parts"),
        ("215 B TUSKEENA STREET", StreetLine("215 B", "TUSKEENA STREET")),
        ("206 B S ALVARADO ST", StreetLine("206 B", "S ALVARADO ST")),
        ("306 D STREET WEST", StreetLine("306", "D STREET WEST")),
        ("150 A ST E", StreetLine("150", "A ST E")),
        ("1010 J HARLEM ACADEMY AVENUE", StreetLine("1010", "J HARLEM ACADEMY AVENUE")),
        ("12 B B KING BLVD", StreetLine("12", "B B KING BLVD")),
        ("4TH & AMUNDSEN", "crossing"),
        ("CORNER OF MAIN ST", "crossing"),
        ("FIVE MUNICIPAL DRIVE", "spelled_number"),
        ("TWO RIVERS ROAD", "spelled_number"),
        ("CITY HALL, 12 B STREET", "several_parts"),
        ("1 MAIN ST, C/O SCHOOL", "several_parts"),
        ("E. 116 CENTURY ROAD", "several_parts"),
        ("TOWN HALL 118 EAST STREET", "several_parts"),
        ("JUDICIAL CENTER", "not_a_street"),
        ("1234", "no_street"),
        ("", "no_street"),
    ],
)
def test_a_line_is_split_where_it_is_safe(line: str, expected: StreetLine | str) -> None:
    assert split_street_line(line) == expected


PLAIN_WORDS = (
    "MAIN",
    "OAK",
    "ST",
    "AVE",
    "N",
    "5TH",
    "12",
    "O'NEIL",
    "ST.",
    "AND",
    "BOX",
    "SUITE",
    "FL",
    "A",
    "HWY",
    "ND",
    "PMB",
    "REAR",
    "STES",
    "URB",
    "CALLE",
)


@given(
    number=st.integers(1, 99999),
    words=st.lists(st.sampled_from(PLAIN_WORDS), min_size=1, max_size=5),
)
def test_the_short_way_gives_what_the_careful_way_gives(number: int, words: list[str]) -> None:
    line = f"{number} {' '.join(words)}"

    assert split_street_line(line) == street_line._split_with_care(line)


WORDS = (
    "12",
    "12A",
    "MAIN",
    "ST,",
    "STE",
    "#",
    "4",
    "B",
    "PO",
    "BOX",
    "P.O.",
    "RR",
    "&",
    "(",
    ")",
    "/",
    "-",
    "1/2",
    "ONE",
)
WORDS += ("N5", "HWY", "2ND", "FLOOR", "C/O", "JR.")


@given(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join))
def test_every_part_is_a_piece_of_its_line(line: str) -> None:
    found = split_street_line(line)
    if isinstance(found, str):
        assert re.fullmatch("[a-z_]+", found)
        return
    without_commas = line.replace(",", "")
    for part in (found.house_number, found.street, found.unit, found.po_box):
        assert part is None or part.replace(",", "") in without_commas
    assert found.street or found.po_box


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("12 MAIN ST", "SUITE 300", StreetLine("12", "MAIN ST", "SUITE 300")),
        ("12 MAIN ST BLDG 2", "APT 4", StreetLine("12", "MAIN ST", "BLDG 2 APT 4")),
        ("12 MAIN ST", "PO BOX 7", StreetLine("12", "MAIN ST", po_box="PO BOX 7")),
        ("12 MAIN ST", "ATTN BILLING", StreetLine("12", "MAIN ST")),
        ("12 MAIN ST", "99 OTHER ST", StreetLine("12", "MAIN ST")),
        ("12 MAIN ST", None, StreetLine("12", "MAIN ST")),
        ("DEPARTMENT OF SURGERY", "12 MAIN ST STE 4", StreetLine("12", "MAIN ST", "STE 4")),
        ("DEPARTMENT OF SURGERY", "MAIN ST", "not_a_street"),
        ("4TH & OAK", "SUITE 3", "crossing"),
    ],
)
def test_a_second_line_adds_a_unit_or_a_box_or_is_the_delivery_line(
    first: str, second: str | None, expected: StreetLine | str
) -> None:
    assert split_two_lines(first, second) == expected


def test_a_column_splits_into_parts_and_quarantine() -> None:
    batch = pa.RecordBatch.from_pydict(
        {"source_id": ["f:2", "f:3", "f:4"], "line": [2, 3, 4], "ADDRESS": ["1 A ST", "1ST & OAK", "BOX 7"]}
    )
    rejects = Rejects(source="test")

    kept = split_column(batch, "ADDRESS", rejects)

    assert kept["line"].to_pylist() == [2, 4]
    assert {name: kept[name].to_pylist() for name in PARTS} == {
        "house_number": ["1", None],
        "street": ["A ST", None],
        "unit": [None, None],
        "po_box": [None, "BOX 7"],
    }
    assert rejects.drain().to_pylist() == [
        {"source": "test", "line": 3, "source_id": "f:3", "reason": "crossing", "detail": "ADDRESS: '1ST & OAK'"}
    ]
