"""The National Address Database: both layouts, from hand-made lines and the real rows."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from source_files import Reading, lines_by_shell, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

NAD = get_adapter("usgov-nad")
NEW = next(
    csv.reader(
        [
            "OID_,AddNum_Pre,Add_Number,AddNum_Suf,AddNo_Full,St_PreMod,St_PreDir,St_PreTyp,St_PreSep,St_Name,St_PosTyp,"
            "St_PosDir,St_PosMod,StNam_Full,Building,Floor,Unit,Room,LandmkName,County,Inc_Muni,Post_City,Census_Plc,"
            "Uninc_Comm,State,Zip_Code,Plus_4,UUID,DateUpdate"
        ]
    )
)
OLD = next(
    csv.reader(
        [
            "OBJECTID,State,County,Inc_Muni,Uninc_Comm,Nbrhd_Comm,Post_Comm,Zip_Code,Plus_4,Bulk_Zip,Bulk_Plus4,"
            "StN_PreMod,StN_PreDir,StN_PreTyp,StN_PreSep,StreetName,StN_PosTyp,StN_PosDir,StN_PosMod,AddNum_Pre,"
            "Add_Number,AddNum_Suf,LandmkPart,LandmkName,Building,Floor,Unit,Room,Addtl_Loc,Milepost,Longitude,Latitude,"
            "NatGrid_Coord,GUID,Addr_Type,Placement,Source,AddAuth,UniqWithin,LastUpdate,Effective,Expired"
        ]
    )
)
META = ("base_id", "country_code", "locale", "license", "line")


def read(folder: Path, *records: dict[str, str], names: list[str] = NEW) -> Reading:
    path = folder / "NAD_r23.txt"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return read_all(NAD, path)


def parts(folder: Path, names: list[str] = NEW, **cells: str) -> dict[str, str]:
    """The tags of a record with these cells, on Main Street in Ohio unless they say otherwise."""
    street = {"StNam_Full": "Main Street", "St_Name": "Main"} if names is NEW else {"StreetName": "Main"}
    (record,) = read(folder, {"State": "OH", **street, **cells}, names=names).records
    return {key: value for key, value in record.items() if key not in (*META, "source_id", "region_key", "region")}


def test_a_record_of_sixty_columns_gives_its_parts(tmp_path: Path) -> None:
    cells = {
        "AddNo_Full": "12935",
        "StNam_Full": "Von Scheben Drive",
        "St_Name": "Von Scheben",
        "Post_City": "Anchorage",
        "Inc_Muni": "Other",
        "State": "AK",
        "Zip_Code": "99516",
        "Plus_4": "1234",
        "UUID": "{2392C140}",
    }
    (record,) = read(tmp_path, cells).records

    assert {key: value for key, value in record.items() if key not in META} == {
        "source_id": "2392C140",
        "region_key": "US:alaska",
        "house_number": "12935",
        "street": "Von Scheben Drive",
        "locality": "Anchorage",
        "region": "AK",
        "postcode": "99516-1234",
    }


def test_a_record_of_the_older_forty_two_columns_gives_the_same(tmp_path: Path) -> None:
    assert len(OLD) == 42
    cells = {
        "Add_Number": "100",
        "AddNum_Suf": "1/2",
        "StN_PreDir": "North",
        "StreetName": "Elm",
        "StN_PosTyp": "Street",
        "Post_Comm": "Not stated",
        "Inc_Muni": "Unincorporated",
        "Uninc_Comm": "Elmville",
        "Zip_Code": "43001",
        "LandmkName": "Town Hall",
        "GUID": "{A}",
    }

    assert parts(tmp_path, OLD, **cells) == {
        "venue": "Town Hall",
        "house_number": "100 1/2",
        "street": "North Elm Street",
        "locality": "Elmville",
        "postcode": "43001",
    }


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        ({"AddNo_Full": "12A", "Add_Number": "12"}, "12A"),
        ({"Add_Number": "12", "AddNum_Suf": "A"}, "12A"),
        ({"Add_Number": "12", "AddNum_Suf": "-B"}, "12-B"),
        ({"Add_Number": "01", "AddNum_Pre": "31-"}, "31-01"),
        ({"Add_Number": "0"}, None),
        ({"AddNum_Pre": "N6"}, None),
    ],
)
def test_a_house_number_is_put_together_as_people_write_it(
    cells: dict[str, str], number: str | None, tmp_path: Path
) -> None:
    assert parts(tmp_path, **cells).get("house_number") == number


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        ({"Unit": "Apt 3"}, "Apt 3"),
        ({"Unit": "3"}, "Unit 3"),
        ({"Building": "A", "Unit": "#12"}, "Building A #12"),
        ({"Floor": "2nd Floor", "Room": "210"}, "2nd Floor Room 210"),
        ({"Building": "Smith Memorial Hall"}, None),
    ],
)
def test_a_unit_has_its_designator(cells: dict[str, str], unit: str | None, tmp_path: Path) -> None:
    assert parts(tmp_path, **cells).get("unit") == unit


@pytest.mark.parametrize(
    ("name", "street"),
    [
        ("VON SCHEBEN", "VON SCHEBEN DRIVE"),
        ("50TH", "50TH DRIVE"),
        ("Elm", "Elm Drive"),
        ("F", "F Drive"),
        ("4H Center", "4H Center Drive"),
    ],
)
def test_a_name_in_capitals_takes_its_type_along(name: str, street: str, tmp_path: Path) -> None:
    assert parts(tmp_path, St_Name=name, StNam_Full=f"{name} Drive")["street"] == street


def test_a_letter_before_the_street_goes_back_to_its_number(tmp_path: Path) -> None:
    found = parts(tmp_path, AddNo_Full="1098", St_Name="B MAIN", StNam_Full="B MAIN Street")

    assert (found["house_number"], found["street"]) == ("1098 B", "MAIN STREET")
    assert parts(tmp_path, St_Name="B MAIN", StNam_Full="B MAIN Street")["street"] == "B MAIN STREET"


@pytest.mark.parametrize(
    ("state", "city", "expected"),
    [
        ("RI", "Westerly CDP", {"locality": "Westerly"}),
        ("VA", "Warren County", {"subregion": "Warren County"}),
        ("KY", "JESSAMINE CO", {"subregion": "JESSAMINE CO"}),
        ("AK", "Kodiak Island Borough", {"subregion": "Kodiak Island Borough"}),
        ("NJ", "Fair Haven Borough", {"locality": "Fair Haven Borough"}),
        ("VA", "Norfolk City", {"locality": "Norfolk"}),
        ("VA", "Falls Church City", {"locality": "Falls Church"}),
        ("VA", "Charles City", {"locality": "Charles City"}),
        ("OH", "Grove City", {"locality": "Grove City"}),
        ("VA", "Culpeper Town", {"locality": "Culpeper"}),
        ("LA", "Baton Rouge city", {"locality": "Baton Rouge"}),
        ("MO", "Kansas City city", {"locality": "Kansas City"}),
        ("NC", "Cary town", {"locality": "Cary"}),
        ("OH", "Licking township", {"locality": "Licking"}),
        ("OH", "LICKING TOWNSHIP", {"locality": "LICKING TOWNSHIP"}),
        ("IL", "Oak Park village", {"locality": "Oak Park"}),
        ("PA", "Ambler borough", {"locality": "Ambler"}),
        ("IN", "Indianapolis city (balance)", {"locality": "Indianapolis"}),
        ("KY", "Lexington-Fayette urban county", {"locality": "Lexington-Fayette"}),
        ("WV", "Charles Town", {"locality": "Charles Town"}),
        ("GA", "County", {}),
        ("GA", "Unincorporated Cobb County", {}),
        ("GA", "UNINCORPORATED", {}),
        ("GA", "Balance of County", {}),
        ("GA", "County of Cobb", {"subregion": "County of Cobb"}),
    ],
)
def test_a_town_is_what_people_call_it_and_a_county_is_no_town(
    state: str, city: str, expected: dict[str, str], tmp_path: Path
) -> None:
    found = parts(tmp_path, State=state, Post_City=city)

    assert {tag: found[tag] for tag in ("locality", "subregion") if tag in found} == expected


def test_a_county_in_the_place_of_the_town_lets_the_next_name_through(tmp_path: Path) -> None:
    found = parts(tmp_path, Post_City="Warren County", Census_Plc="Bentonville CDP")

    assert (found["locality"], found["subregion"]) == ("Bentonville", "Warren County")


def test_unusable_records_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"State": "OH"},
        {"St_Name": "Main"},
        {"St_Name": "Main", "State": "Ohio State"},
        {"St_Name": "Main", "State": "OH"},
    )

    assert found.quarantined == {"no_street": 1, "no_State": 1, "unknown_state": 1}
    assert [row["line"] for row in found.quarantine] == [2, 3, 4]
    assert len(found.records) == 1


def test_a_header_of_neither_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the header has no StNam_Full or St_Name or StreetName: found 'State', 'X'"):
        read(tmp_path, names=["State", "X"])


def test_the_real_header_is_of_the_layout(raw_data: Path, tmp_path: Path) -> None:
    header = (raw_data / "nad" / "NAD_r23_header.txt").read_text(encoding="utf-8").strip()
    path = tmp_path / "NAD_r23.txt"
    path.write_text(f"{header}\n", encoding="utf-8")

    assert header.count(",") == 59
    assert read_all(NAD, path).read == 0


def test_every_line_of_the_reconstructed_rows_is_accounted_for(raw_data: Path) -> None:
    path = raw_data / "nad" / "reconstructed" / "NAD_r23_sample_dev.txt.gz"
    found = read_all(NAD, path)

    assert found.read == len(found.records) == lines_by_shell(path) - 1 == 3_152
    # 350 of the rows are there twice, with the same UUID
    without_line = {tuple(value for key, value in record.items() if key != "line") for record in found.records}
    assert len({record["source_id"] for record in found.records}) == len(without_line) == 2_802
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, record in zip(rows, found.records, strict=True):
        line = f"{record['house_number']} {record['street']}"
        assert line.casefold() == f"{row['AddNo_Full']} {row['StNam_Full']}".casefold()
        assert record["house_number"].split()[0] == row["AddNo_Full"]
        assert record["postcode"] == row["Zip_Code"]
        assert record.get("locality", record.get("subregion")) in row["Post_City"]
