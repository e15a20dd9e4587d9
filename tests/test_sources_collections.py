"""Archives and folders as upstreams publish them, with other things between the tables; files in no readable form."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from source_files import read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

OPENADDRESSES, NPPES = get_adapter("openaddresses"), get_adapter("usgov-nppes")
TABLE = "NUMBER,STREET,CITY\n21,Elm St,{city}\n"
PRACTICE = "Business Practice Location Address"
PROVIDERS = ",".join(
    f'"{name}"'
    for name in (
        "NPI",
        f"Provider First Line {PRACTICE}",
        *(f"Provider {PRACTICE} {part}" for part in ("City Name", "State Name", "Postal Code")),
    )
)


def collected(path: Path, **more: str) -> Path:
    members = {
        "LICENSE.txt": "terms",
        "README.txt": "read me",
        "us/or/lake.csv": TABLE.format(city="Paisley"),
        "us/or/lake.vrt": "<OGRVRTDataSource/>",
        "us/ca/modoc.csv": TABLE.format(city="Alturas"),
        "fr/65/all.csv": TABLE.format(city="Odos"),
        "summary/us/or/lake-summary.csv": "count,lon,lat,area\n12,-120.3,42.2,0.5\n",
        **more,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_collection_is_read_by_the_folders_within_and_what_is_no_table_is_left_out(tmp_path: Path) -> None:
    feature = json.dumps({"type": "Feature", "properties": {"number": "3", "street": "Elm St", "city": "Adel"}})
    layers = {"us/or/x-addresses-county.geojson": f"{feature}\n", "us/or/x-parcels-county.geojson": f"{feature}\n"}
    found = read_all(OPENADDRESSES, collected(tmp_path / "openaddr-collected-us.zip", **layers))

    places = [(row["country_code"], row.get("region"), row["locality"]) for row in found.records]
    assert places == [("US", "OR", "Paisley"), ("US", "CA", "Alturas"), ("FR", None, "Odos"), ("US", "OR", "Adel")]
    assert found.records[0]["source_id"] == "openaddr-collected-us.zip/us/or/lake.csv:2"
    assert (found.filtered, found.quarantined) == ({"no_address_table": 2}, {})


def test_a_collection_of_share_alike_sources_is_refused_unless_allowed(tmp_path: Path) -> None:
    path = collected(tmp_path / "openaddr-collected-us-sa.zip")

    with pytest.raises(CorpusError, match=r"-sa\.zip: its name says share-alike"):
        read_all(OPENADDRESSES, path)
    assert len(read_all(OPENADDRESSES, path, share_alike_allowed=True).records) == 3


def test_a_member_whose_country_nothing_tells_is_named(tmp_path: Path) -> None:
    path = collected(tmp_path / "all.zip", **{"elsewhere/x.csv": TABLE.format(city="Odos")})

    with pytest.raises(CorpusError, match=r"all\.zip: elsewhere/x\.csv: nothing says its country"):
        read_all(OPENADDRESSES, path)


def test_summaries_alone_are_no_addresses(tmp_path: Path) -> None:
    (tmp_path / "us").mkdir()
    (tmp_path / "us" / "x.csv").write_text("count,lon,lat,area\n12,1,2,3\n")

    with pytest.raises(CorpusError, match=r"x\.csv: holds no address table"):
        read_all(OPENADDRESSES, tmp_path)


def test_a_text_sequence_is_read_as_lines_are(tmp_path: Path) -> None:
    feature = json.dumps({"type": "Feature", "properties": {"number": "3", "street": "Elm St"}, "geometry": None})
    lines, sequence = tmp_path / "lines.geojson", tmp_path / "sequence.geojson"
    lines.write_text(f"{feature}\n{feature}\n")
    sequence.write_text(f"\x1e{feature}\n\x1e{feature}\n")

    from_lines, from_sequence = (read_all(OPENADDRESSES, path, country="US").records for path in (lines, sequence))
    assert len(from_sequence) == 2
    assert [row | {"source_id": ""} for row in from_lines] == [row | {"source_id": ""} for row in from_sequence]


@pytest.mark.parametrize("packed", [False, True])
def test_of_the_monthly_archive_the_providers_are_read(tmp_path: Path, packed: bool) -> None:
    members = {
        "endpoint_pfile_1.csv": '"NPI","Endpoint Type"\n"1","DIRECT"\n',
        "npidata_pfile_1.csv": f'{PROVIDERS}\n"1","12 ELM ST","PAISLEY","OR","97636"\n',
        "npidata_pfile_1_fileheader.csv": f"{PROVIDERS}\n",
        "othername_pfile_1.csv": '"NPI","Provider Other Organization Name"\n"1","CLINIC"\n',
        "readme.pdf": "%PDF",
    }
    for name, text in members.items():
        (tmp_path / name).write_text(text)
    if packed:
        with zipfile.ZipFile(tmp_path / "npi.zip", "w") as archive:
            for name in members:
                archive.write(tmp_path / name, name)
    found = read_all(NPPES, tmp_path / "npi.zip" if packed else tmp_path)

    assert [(row["house_number"], row["street"]) for row in found.records] == [("12", "ELM ST")]
    assert (found.filtered, found.quarantined) == ({"no_address_table": 2}, {})


def test_companions_alone_and_tables_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "othername.csv").write_text('"NPI","Provider Other Organization Name"\n"1","CLINIC"\n')
    with pytest.raises(CorpusError, match=r"othername\.csv: holds other tables of its upstream alone"):
        read_all(NPPES, tmp_path)

    (tmp_path / "othername.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorpusError, match="the header has no Provider First Line"):
        read_all(NPPES, tmp_path)


LINE = "FR\t29420\tPlouénan\tBretagne\t53\tFinistère\t29\t\t\t48.6\t-3.9\t5"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (f"{LINE}\n{LINE}\n".encode("latin-1"), r"XX\.txt: is not UTF-8: none of its first 2 lines can be decoded"),
        (f"{LINE}\n{LINE}\n".encode("utf-16-le"), r"XX\.txt: every other byte is NUL, as in UTF-16"),
        (f"{LINE}\n{LINE}\n".encode("utf-16-be"), r"XX\.txt: every other byte is NUL, as in UTF-16"),
        (f"{LINE}\r{LINE}\r".encode(), r"XX\.txt: its lines end in a carriage return alone"),
    ],
)
def test_a_file_that_no_reader_of_lines_can_read_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "XX.txt").write_bytes(data)

    with pytest.raises(CorpusError, match=message):
        read_all(get_adapter("geonames-postal"), tmp_path / "XX.txt")


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_the_same_lines_in_utf8_are_read(tmp_path: Path, ending: str) -> None:
    (tmp_path / "XX.txt").write_bytes(f"{LINE}{ending}".encode())

    assert len(read_all(get_adapter("geonames-postal"), tmp_path / "XX.txt").records) == 1
