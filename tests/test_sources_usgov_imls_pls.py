"""The library survey, from hand-made lines and from the real file."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_files import lines_by_shell, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

IMLS = get_adapter("usgov-imls-pls")
HEADER = "STABR,FSCSKEY,FSCS_SEQ,C_FSCS,LIBID,LIBNAME,ADDRESS,CITY,ZIP,ZIP4"


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_bytes("\n".join([header, *lines, ""]).encode("cp1252"))
    return path


def test_a_line_gives_venue_street_and_place(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "AK,AK0002,007,Y,x,CHUGIAK-EAGLE RIVER LIBRARY,12001 BUSINESS BOULEVARD #176,EAGLE RIVER,99577,7743",
    )

    record = read_all(IMLS, path).records[0]
    record.pop("base_id")
    assert record == {
        "source_id": "AK0002-007",
        "country_code": "US",
        "locale": "en-US",
        "license": "Public Domain (US)",
        "line": 2,
        "region_key": "US:alaska",
        "venue": "CHUGIAK-EAGLE RIVER LIBRARY",
        "house_number": "12001",
        "street": "BUSINESS BOULEVARD",
        "unit": "#176",
        "locality": "EAGLE RIVER",
        "region": "AK",
        "postcode": "99577-7743",
    }


@pytest.mark.parametrize("missing", ["M", "-3", "-4", "", " "])
def test_a_missing_add_on_leaves_the_five_digits(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path / "a.csv", f"AK,,,Y,x,LIBRARY,1 A ST,NOME,99556,{missing}")

    assert read_all(IMLS, path).records[0]["postcode"] == "99556"


def test_windows_letters_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "TX,,,Y,x,AUSTIN – LIBRARY,710 W CÉSAR CHÁVEZ ST,AUSTIN,78701,M")

    assert read_all(IMLS, path).records[0]["street"] == "W CÉSAR CHÁVEZ ST"


def test_a_year_with_fewer_columns_in_another_order_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "NOME,1 A ST,LIBRARY", header="CITY,ADDRESS,LIBNAME")

    record = read_all(IMLS, path).records[0]
    assert record["source_id"] == "a.csv:2"
    assert (record["venue"], record["locality"], record["region_key"]) == ("LIBRARY", "NOME", "")


def test_unusable_lines_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    lines = [
        f"AK,,,Y,x,{fields},99556,M"
        for fields in ("LIBRARY,1 A ST,NOME", "M,1 A ST,NOME", "L,M,NOME", "L,1 A ST,M", "L,1ST & OAK,NOME")
    ]

    assert read_all(IMLS, write(tmp_path / "a.csv", *lines, "AK,short")).quarantined == {
        "no_LIBNAME": 1,
        "no_ADDRESS": 1,
        "no_CITY": 1,
        "crossing": 1,
        "ragged": 1,
    }


def test_a_header_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the header has no LIBNAME: found 'ADDRESS', 'CITY'"):
        read_all(IMLS, write(tmp_path / "a.csv", header="ADDRESS,CITY"))


def test_every_line_of_the_real_file_is_accounted_for(raw_data: Path) -> None:
    path = raw_data / "imls-pls" / "PLS_FY17_Outlet_pud17i.csv.gz"
    found = read_all(IMLS, path)

    assert found.read == 17_452 == lines_by_shell(path) - 1
    assert sum(found.quarantined.values()) < 0.01 * found.read
    assert set(found.quarantined) == {"crossing", "several_parts", "not_a_street", "spelled_number"}
    assert len({record["source_id"] for record in found.records}) == len(found.records)
    assert any(record.get("street") == "W CÉSAR CHÁVEZ ST" for record in found.records)
