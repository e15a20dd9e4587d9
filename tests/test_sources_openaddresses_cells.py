"""Cells of OpenAddresses rows that hold what belongs into others: put right where that is safe, or quarantined."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_files import Reading, read_all

from mw_pipeline.sources.registry import get_adapter

OPENADDRESSES = get_adapter("openaddresses")
TAGS = ("house_number", "street", "unit", "locality", "subregion", "region", "postcode")


def read(folder: Path, row: str, country: str = "US") -> Reading:
    path = folder / "x.csv"
    path.write_text(f"NUMBER,STREET,UNIT,CITY,REGION,POSTCODE\n{row}\n", encoding="utf-8")
    return read_all(OPENADDRESSES, path, country=country)


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("77 UNIT 4,Quarry Rd,,,,", "77|Quarry Rd|UNIT 4"),
        ("77 Apt B,Quarry Rd,APT B,,,", "77|Quarry Rd|APT B"),
        ("77 # 4,Quarry Rd,,,,", "77|Quarry Rd|# 4"),
        # the unit is in both cells, and stands once in the address
        ("77 #4,Quarry Rd,#4,,,", "77|Quarry Rd|#4"),
        ("77 #4,Quarry Rd,4,,,", "77|Quarry Rd|#4"),
        ("77 UNIT 4,Quarry Rd,4,,,", "77|Quarry Rd|UNIT 4"),
        ("77 Quarry Rd Apt 4,Quarry Rd,4,,,", "77|Quarry Rd|Apt 4"),
        ("101A,Quarry Rd,a,,,", "101A|Quarry Rd"),
        ("101 A,Quarry Rd,A,,,", "101 A|Quarry Rd"),
        ("2/34,Quarry Rd,2,,,", "2/34|Quarry Rd"),
        # another unit than the letter of the number, and numbers that are no unit
        ("101A,Quarry Rd,Apt A,,,", "101A|Quarry Rd|Apt A"),
        ("101A,Quarry Rd,B,,,", "101A|Quarry Rd|B"),
        ("4,Quarry Rd,4,,,", "4|Quarry Rd|4"),
        ("12-14,Quarry Rd,14,,,", "12-14|Quarry Rd|14"),
        ("811-823 SYCAMORE AVE,,,,,", "811-823|SYCAMORE AVE"),
        ("811 SYCAMORE AVE,Sycamore Ave,,,,", "811|SYCAMORE AVE"),
        ("359.0,Quarry Rd,,,,74401.0", "359|Quarry Rd|74401"),
        ("2300.5,2300 1/2 Delmar St,,,,", "2300 1/2|Delmar St"),
        ("2300.5,Delmar St,,,,", "2300.5|Delmar St"),
        ("420,420 Grant St,,,,", "420|Grant St"),
        (',"MILL RD, ODELL, NE 68415",,,,', "MILL RD|ODELL|NE|68415"),
        ('9,"MILL RD, ODELL NE 68415-1234",,Odell,NE,', "9|MILL RD|ODELL|NE|68415-1234"),
        # what only looks like that
        ("1200,5 Mile Rd,,,,", "1200|5 Mile Rd"),
        ("5,5 Avenue,,,,", "5|5 Avenue"),
        ("12,12TH ST,,,,", "12|12TH ST"),
        ("20,West 26 Street,,,,10010", "20|West 26 Street|10010"),
        ("7,PR 12345,,,,", "7|PR 12345"),
        ('7,"KING BLVD, N",,,,', "7|KING BLVD, N"),
        ("12 1/2,Oak St,,,,", "12 1/2|Oak St"),
        ("N6W23001,Bluemound Rd,,,,", "N6W23001|Bluemound Rd"),
        ("12AB,Oak St,,,,", "12AB|Oak St"),
    ],
)
def test_what_stands_in_the_wrong_cell_goes_back_to_its_own(tmp_path: Path, row: str, parts: str) -> None:
    found = read(tmp_path, row)

    assert found.quarantined == {}
    assert "|".join(found.records[0][tag] for tag in TAGS if tag in found.records[0]) == parts


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("416-18 GRANT ST,416-18 Grant Street,,,,", "street_in_number"),
        ("77 UNIT 4,Quarry Rd,Unit 9,,,", "unit_in_number"),
        ("77 #4,Quarry Rd,Apt 9,,,", "unit_in_number"),
        ("77 APT 4,Quarry Rd,Ste 4,,,", "unit_in_number"),
        ("77 Quarry Rd Apt 4,Quarry Rd,Apt 9,,,", "unit_in_number"),
        ("77 ATTN OFFICE,Quarry Rd,,,,", "words_in_number"),
        ("77.31,Quarry Rd,,,,", "decimal_number"),
        (",460 Cotton Rd,,,,", "number_in_street"),
        (",416,,Odell,,", "number_in_street"),
        ('9,"MILL RD, ODELL, NE 68415",,Beatrice,NE,', "place_in_street"),
        ("9,MILL RD ODELL NE 68415,,,,", "place_in_street"),
        ("9,MILL RD 68415,,,,68415", "place_in_street"),
        ('9,"MILL RD, Odell",,Odell,,', "place_in_street"),
        ('9,"MILL RD, BEHIND THE BARN",,,,', "several_parts"),
    ],
)
def test_what_nobody_can_put_right_is_quarantined(tmp_path: Path, row: str, reason: str) -> None:
    assert read(tmp_path, row).quarantined == {reason: 1}


@pytest.mark.parametrize(
    ("row", "country", "kept"),
    [
        ("12 bis,Rue de la Gare,,Odos,,", "FR", True),
        ("12,5 DE MAYO,,Sevilla,,", "ES", True),
        ("10/244-246,BARKLY STREET,,ST KILDA,,", "AU", True),
        ("12 к2,Ленина,,Омск,,", "RU", True),
        ('3.5,"MAYOR, CALLE",,Soria,,', "ES", True),
        ("12 Rue de la Gare,,,Odos,,", "FR", False),
        ("12 interno 5,Via Roma,,Asti,,", "IT", False),
        ('12,"Rue de la Gare, Odos",,Odos,,', "FR", False),
        ("12,Rue de la Gare 65310 Odos,,Odos,,65310", "FR", False),
    ],
)
def test_elsewhere_words_in_the_number_and_the_place_in_the_street_are_recognised(
    tmp_path: Path, row: str, country: str, kept: bool
) -> None:
    assert bool(read(tmp_path, row, country).records) == kept


@pytest.mark.parametrize(("row", "unit"), [("12a,Gasse,a,Wien,,", None), ("12,Gasse,a,Wien,,", "a")])
def test_elsewhere_a_unit_that_the_number_holds_stands_once_too(tmp_path: Path, row: str, unit: str | None) -> None:
    (record,) = read(tmp_path, row, "AT").records

    assert record.get("unit") == unit


@pytest.mark.parametrize(
    ("city", "expected"),
    [
        ("Ames city", ("Ames", None)),
        ("Story County", (None, "Story County")),
        ("UNINCORPORATED", (None, None)),
        ("Lake City", ("Lake City", None)),
    ],
)
def test_the_city_is_a_town_as_people_call_it(
    tmp_path: Path, city: str, expected: tuple[str | None, str | None]
) -> None:
    (record,) = read(tmp_path, f"9,Oak St,,{city},IA,").records

    assert (record.get("locality"), record.get("subregion")) == expected


def test_a_french_city_is_written_without_its_arrondissement(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "9,Rue Oberkampf,,Paris 11e Arrondissement,,75011", "FR").records

    assert (record["locality"], record["postcode"]) == ("Paris", "75011")
