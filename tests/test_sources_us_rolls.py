"""The rolls of United States places: hand-made lines in the layout of each, and the real files where there are some."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from source_files import Reading, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

HRSA = (
    "Health Center Type,BPHC Assigned Number,Site Name,Site Address,Site City,Site State Abbreviation,Site Postal Code,"
)
NPPES = ",".join(
    f'"{name}"'
    for name in (
        "NPI",
        "Provider Organization Name (Legal Business Name)",
        "Provider First Line Business Mailing Address",
        "Provider First Line Business Practice Location Address",
        "Provider Second Line Business Practice Location Address",
        "Provider Business Practice Location Address City Name",
        "Provider Business Practice Location Address State Name",
        "Provider Business Practice Location Address Postal Code",
        "Provider Business Practice Location Address Country Code (If outside U.S.)",
        "NPI Deactivation Date",
    )
)
BMF = "EIN,NAME,ICO,STREET,CITY,STATE,ZIP,GROUP"
NY = (
    "Commission Holder Name,Commission Number (UID), Business Name (if available),Business Address 1 (if available), "
    "Business Address 2 (if available), Business City (if available),Business State (if available),"
    " Business Zip (if available)"
)
TX = "Notary ID,First Name,Last Name,Effective Date,Address"
IA = "Registration #,Business Name,Address 1,Address 2,City,State,Zip Code,Phone"

# name, header, a record as a line, what its tags are, its id
SOUND = [
    (
        "usgov-hrsa-fqhc",
        HRSA,
        '"FQHC","BPS-H80-031530","Rea  Clinic - Benton","206 E Church St, Suite B","Benton","IL","62812-2239"',
        {
            "venue": "Rea Clinic - Benton",
            "house_number": "206",
            "street": "E Church St",
            "unit": "Suite B",
            "locality": "Benton",
            "region": "IL",
            "postcode": "62812-2239",
        },
        "BPS-H80-031530",
    ),
    (
        "usgov-nppes",
        NPPES,
        '"1588667638","","PO BOX 9","1824 KING STREET","SUITE 300","JACKSONVILLE","FL","322044736","US",""',
        {
            "house_number": "1824",
            "street": "KING STREET",
            "unit": "SUITE 300",
            "locality": "JACKSONVILLE",
            "region": "FL",
            "postcode": "32204-4736",
        },
        "1588667638",
    ),
    (
        "usgov-irs-bmf",
        BMF,
        "010674605,IGLESIA FUENTE INC,% RODOLFO O FONT,PO BOX 3869,CAROLINA,PR,00984-0000,0000",
        {
            "venue": "IGLESIA FUENTE INC",
            "po_box": "PO BOX 3869",
            "locality": "CAROLINA",
            "region": "PR",
            "postcode": "00984",
        },
        "f.csv:2",
    ),
    (
        "state-ny-notaries",
        NY,
        "JANE DOE,01DO600,ACME LLP,79-50 Bell Boulevard,Apt 2,Bayside,NY,11364",
        {
            "venue": "ACME LLP",
            "house_number": "79-50",
            "street": "Bell Boulevard",
            "unit": "Apt 2",
            "locality": "Bayside",
            "region": "NY",
            "postcode": "11364",
        },
        "f.csv:2",
    ),
    (
        "state-tx-notaries",
        TX,
        '13057,JANE,DOE,01/01/2024,"12 Main St\nApt 4\nSan Antonio, TX 78201-1234"',
        {
            "house_number": "12",
            "street": "Main St",
            "unit": "Apt 4",
            "locality": "San Antonio",
            "region": "TX",
            "postcode": "78201-1234",
        },
        "13057",
    ),
    (
        "state-ia-contractors",
        IA,
        "C10001,Acme Roofing,100 1/2 Elm St,Ste B,Ames,IA,50010,555",
        {
            "venue": "Acme Roofing",
            "house_number": "100 1/2",
            "street": "Elm St",
            "unit": "Ste B",
            "locality": "Ames",
            "region": "IA",
            "postcode": "50010",
        },
        "C10001",
    ),
]
NAMES = [name for name, *_ in SOUND]
HEADERS = {name: header for name, header, *_ in SOUND}
META = ("source_id", "base_id", "country_code", "locale", "license", "line", "region_key")


def read(name: str, folder: Path, *lines: str, header: str = "") -> Reading:
    path = folder / "f.csv"
    path.write_text("\n".join([header or HEADERS[name], *lines, ""]), encoding="utf-8")
    return read_all(get_adapter(name), path)


@pytest.mark.parametrize(("name", "header", "line", "tags", "source_id"), SOUND, ids=NAMES)
def test_a_line_gives_its_parts_and_its_id(
    name: str, header: str, line: str, tags: dict[str, str], source_id: str, tmp_path: Path
) -> None:
    (record,) = read(name, tmp_path, line, header=header).records

    assert record["source_id"] == source_id
    assert (record["country_code"], record["locale"], record["line"]) == ("US", "en-US", 2)
    assert {key: value for key, value in record.items() if key not in META} == tags


@pytest.mark.parametrize(("name", "header", "line", "tags", "source_id"), SOUND, ids=NAMES)
def test_columns_in_another_order_and_unknown_ones_change_nothing(
    name: str, header: str, line: str, tags: dict[str, str], source_id: str, tmp_path: Path
) -> None:
    (names,), (values,) = csv.reader([header.rstrip(",")]), csv.reader([line])
    path = tmp_path / "f.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["New Column", *names[::-1]], ["?", *values[::-1]]])

    (record,) = read_all(get_adapter(name), path).records
    assert {key: value for key, value in record.items() if key not in META} == tags


@pytest.mark.parametrize("name", NAMES)
def test_a_header_without_a_needed_column_is_refused_with_what_was_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"f\.csv: the header has no .*found 'Some', 'Thing'.*Expected "):
        read(name, tmp_path, "a,b", header="Some,Thing")


def test_a_packed_roll_is_read_as_a_stream(tmp_path: Path) -> None:
    name, header, line, tags, _ = SOUND[5]
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(f"{header}\n{line}\n".encode()))

    assert read_all(get_adapter(name), path).records[0]["venue"] == tags["venue"]


def test_unusable_lines_are_quarantined_each_for_its_reason_and_line(tmp_path: Path) -> None:
    lines = [
        "1,A,,100 Elm St,Ames,IA,50010",
        "2,A,,,Ames,IA,1",
        "3,A,,1 Elm St,,IA,1",
        "4,A,,4TH & ELM,Ames,IA,1",
        "5,A",
    ]
    found = read("usgov-irs-bmf", tmp_path, *lines, header="EIN,NAME,ICO,STREET,CITY,STATE,ZIP")

    assert [(row["line"], row["reason"]) for row in found.quarantine] == [
        (6, "ragged"),
        (3, "no_STREET"),
        (4, "no_CITY"),
        (5, "crossing"),
    ]
    assert found.read == 5


def test_an_address_abroad_is_filtered(tmp_path: Path) -> None:
    lines = ["1,A,,TORONTO ON M5B 2L7,CANADA,,00000-0000,0", "2,B,,1 ELM ST,TORONTO,ONTARIO,,0"]

    assert read("usgov-irs-bmf", tmp_path, *lines).filtered == {"outside_the_us": 2}


def test_military_mail_counts_with_its_box_only(tmp_path: Path) -> None:
    lines = ["1,A,,PSC 475 BOX 1392,FPO,AP,96350-1392,0", "2,B,,18 FSS UNIT 5135 BLDG 859,APO,AP,96368-5135,0"]
    found = read("usgov-irs-bmf", tmp_path, *lines)

    assert [record["po_box"] for record in found.records] == ["PSC 475 BOX 1392"]
    assert found.quarantined == {"military_unit": 1}


def test_a_provider_abroad_or_deactivated_is_filtered(tmp_path: Path) -> None:
    lines = [
        '"1","","","1 RUE A","","PARIS","IDF","75001","FR",""',
        '"2","","","","","","","","","01/01/2020"',
        '"3","CLINIC","","1 ELM ST","","PONCE","PR","00716","PR",""',
    ]
    found = read("usgov-nppes", tmp_path, *lines)

    assert found.filtered == {"outside_the_us": 1, "deactivated": 1}
    assert [record["venue"] for record in found.records] == ["CLINIC"]


def test_a_notary_without_a_business_address_is_filtered(tmp_path: Path) -> None:
    assert read("state-ny-notaries", tmp_path, "JANE DOE,01DO600,,,,,,").filtered == {"no_business_address": 1}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("  ", "no_Address"),
        ("12 Main St", "not_an_address_block"),
        ("12 Main St\nHouston 77001", "not_an_address_block"),
        ("A\nB\nC\nHouston, TX 77001", "not_an_address_block"),
        ("4th & Oak\nHouston, TX 77001", "crossing"),
    ],
)
def test_a_block_that_is_no_address_is_quarantined(address: str, reason: str, tmp_path: Path) -> None:
    assert read("state-tx-notaries", tmp_path, f'1,JANE,DOE,x,"{address}"').quarantined == {reason: 1}


def test_every_line_of_the_real_master_file_is_accounted_for(raw_data: Path) -> None:
    path = raw_data / "irs-bmf" / "eo4.csv.gz"
    found = read_all(get_adapter("usgov-irs-bmf"), path)

    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert found.read == len(rows) == 3_461
    abroad = [row for row in rows if not row["STATE"].strip() and set(row["ZIP"]) <= set("0-")]
    assert len(abroad) <= found.filtered["outside_the_us"] <= len(abroad) + 10
    assert all(record["region"].isupper() for record in found.records)


@pytest.mark.parametrize(
    ("name", "file", "records"),
    [
        ("usgov-nppes", "nppes/first10.csv", 10),
        ("usgov-hrsa-fqhc", "hrsa/Health_Center_Service_Delivery_and_LookAlike_Sites.sample9.csv", 9),
    ],
)
def test_every_record_of_the_small_real_samples_is_usable(name: str, file: str, records: int, raw_data: Path) -> None:
    found = read_all(get_adapter(name), raw_data / file)

    assert (len(found.records), found.quarantined, found.filtered) == (records, {}, {})
    assert len({record["source_id"] for record in found.records}) == records
    assert all(record["house_number"] and record["postcode"] for record in found.records)
