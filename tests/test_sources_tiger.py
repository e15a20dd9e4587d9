"""TIGER address ranges: tables written by pyshp, and the real county read by both readers."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shapefile
from hypothesis import given
from hypothesis import strategies as st
from source_files import read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.dbase import read_head, read_records
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.sources.tiger import drawn_number

TIGER = get_adapter("tiger")
NAME = "tl_2021_30059_addrfeat.dbf"
FIELDS = ("TLID", "FULLNAME", "LFROMHN", "LTOHN", "RFROMHN", "RTOHN", "ZIPL", "ZIPR", "PLUS4L", "PARITYL")


def table(path: Path, *records: dict[str, str], names: tuple[str, ...] = FIELDS, encoding: str = "utf-8") -> Path:
    """A dBASE table that pyshp writes."""
    with shapefile.Writer(dbf=str(path), encoding=encoding) as writer:
        for name in names:
            writer.field(name, "C", size=40)
        for record in records:
            writer.record(*(record.get(name, "") for name in names))
    return path


def edge(**cells: str) -> dict[str, str]:
    return {"TLID": "166", "FULLNAME": "Hwy 360", "LFROMHN": "1101", "LTOHN": "1199", "ZIPL": "59645", **cells}


def test_a_side_with_a_range_gives_a_number_on_the_road(tmp_path: Path) -> None:
    (record,) = read_all(TIGER, table(tmp_path / NAME, edge(PLUS4L="0012"))).records

    number = int(record.pop("house_number"))
    assert 1101 <= number <= 1199
    assert number % 2 == 1
    record.pop("base_id")
    assert record == {
        "source_id": f"{NAME}:1L",
        "country_code": "US",
        "locale": "en-US",
        "license": "Public Domain (US)",
        "line": 1,
        "region_key": "US:montana",
        "street": "Hwy 360",
        "region": "MT",
        "postcode": "59645-0012",
    }


def test_both_sides_give_a_record_with_their_own_postcodes(tmp_path: Path) -> None:
    records = read_all(TIGER, table(tmp_path / NAME, edge(RFROMHN="1100", RTOHN="1198", ZIPR="59642"))).records

    assert [(record["source_id"][-1], record["postcode"]) for record in records] == [("L", "59645"), ("R", "59642")]
    assert [int(record["house_number"]) % 2 for record in records] == [1, 0]


def test_the_names_of_an_edge_are_one_family_with_one_number(tmp_path: Path) -> None:
    names = [edge(), edge(FULLNAME="State Hwy 360"), edge(TLID="167")]
    first, second, other = read_all(TIGER, table(tmp_path / NAME, *names)).records

    assert first["base_id"] == second["base_id"] != other["base_id"]
    assert first["house_number"] == second["house_number"]


def test_the_seed_moves_the_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / NAME, *(edge(TLID=str(number)) for number in range(20)))
    numbers = [[record["house_number"] for record in read_all(TIGER, path, seed=seed).records] for seed in (0, 0, 1)]

    assert numbers[0] == numbers[1] != numbers[2]


@given(
    low=st.integers(0, 9_999),
    span=st.integers(0, 500),
    turned=st.booleans(),
    both=st.booleans(),
    prefix=st.sampled_from(["", "31-", "N6W", "A"]),
    key=st.text(max_size=5),
)
def test_a_drawn_number_lies_in_its_range_on_its_parity(
    low: int, span: int, turned: bool, both: bool, prefix: str, key: str
) -> None:
    ends = [f"{prefix}{low}", f"{prefix}{low + span}"]
    found = drawn_number(*(ends[::-1] if turned else ends), both=both, key=key)

    allowed = range(low, low + span + 1, 1 if both or span % 2 else 2)
    assert found in {f"{prefix}{number}" for number in allowed}


def test_every_number_of_a_range_can_be_drawn() -> None:
    drawn = {drawn_number("102", "110", both=False, key=str(key)) for key in range(200)}

    assert drawn == {"102", "104", "106", "108", "110"}


@pytest.mark.parametrize(
    ("first", "last"), [("12", ""), (None, "12"), ("31-01", "32-99"), ("A", "B"), ("1/2", "9"), ("N6", "S9")]
)
def test_ends_that_do_not_belong_together_give_no_number(first: str | None, last: str | None) -> None:
    assert drawn_number(first, last, both=False, key="") is None


def test_leading_zeros_of_a_range_stay() -> None:
    assert drawn_number("31-001", "31-001", both=False, key="") == "31-001"


def test_unusable_records_are_counted_each_for_its_reason(tmp_path: Path) -> None:
    records = [edge(FULLNAME=""), edge(LFROMHN="", LTOHN=""), edge(LTOHN="B"), edge()]
    found = read_all(TIGER, table(tmp_path / NAME, *records))

    assert found.quarantined == {"no_FULLNAME": 1, "odd_range": 1}
    assert found.filtered == {"no_range": 1}
    assert [row["line"] for row in found.quarantine] == [1, 3]
    assert len(found.records) == 1


def test_a_deleted_record_is_filtered_and_one_without_a_mark_is_quarantined(tmp_path: Path) -> None:
    path = table(tmp_path / NAME, edge(), edge(), edge())
    data = bytearray(path.read_bytes())
    start, width = int.from_bytes(data[8:10], "little"), int.from_bytes(data[10:12], "little")
    data[start], data[start + width] = ord("*"), 0xFF
    path.write_bytes(data)

    found = read_all(TIGER, path)
    assert (found.filtered, found.quarantined) == ({"deleted_record": 1}, {"bad_record": 1})
    assert [record["line"] for record in found.records] == [3]


def test_text_is_utf8_or_the_latin_letters_of_older_years(tmp_path: Path) -> None:
    for encoding in ("utf-8", "latin-1"):
        path = table(tmp_path / NAME, edge(FULLNAME="Calle Peñón"), encoding=encoding)
        assert read_all(TIGER, path).records[0]["street"] == "Calle Peñón"


def test_a_shapefile_in_its_archive_is_read_without_unpacking(tmp_path: Path) -> None:
    dbf = table(tmp_path / NAME, edge())
    path = tmp_path / "tl_2021_30059_addrfeat.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME.replace("dbf", "shp"), b"\0\0\x27\x0a")
        archive.write(dbf, NAME)
        archive.writestr(NAME.replace("dbf", "prj"), "GEOGCS[]")

    assert read_all(TIGER, path).records[0]["region"] == "MT"


def test_a_table_packed_with_gzip_is_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.gz"
    path.write_bytes(gzip.compress(table(tmp_path / NAME, edge()).read_bytes()))

    assert len(read_all(TIGER, path).records) == 1


def test_an_archive_without_a_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tl_2021_30059_addrfeat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.shp", b"x")

    with pytest.raises(CorpusError, match=r"addrfeat\.zip: the archive holds no \.dbf table"):
        read_all(TIGER, path)


def test_a_file_name_that_tells_no_state_is_refused(tmp_path: Path) -> None:
    for name in ("roads.dbf", "tl_2021_99059_addrfeat.dbf"):
        with pytest.raises(CorpusError, match=f"{name}: its name does not tell the state: expected tl_YEAR_SSCCC"):
            read_all(TIGER, table(tmp_path / name, edge()))


def test_a_table_of_other_fields_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"the table has no field FULLNAME, LFROMHN.*found TLID, NAME"):
        read_all(TIGER, table(tmp_path / NAME, names=("TLID", "NAME")))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for data in (b"TLID,FULLNAME\n1,Hwy\n", b"\x03"):
        path.write_bytes(data)
        with pytest.raises(CorpusError, match=r"starts with .*, expected a dBASE III table"):
            read_all(TIGER, path)


def test_a_head_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / NAME, edge())
    data = bytearray(path.read_bytes())
    data[10] += 1
    path.write_bytes(data)

    with pytest.raises(CorpusError, match="its 10 fields do not fill the 402 bytes of a record"):
        read_all(TIGER, path)


def test_a_truncated_table_is_an_error_and_not_a_short_corpus(tmp_path: Path) -> None:
    path = table(tmp_path / NAME, edge(), edge())
    path.write_bytes(path.read_bytes()[:-50])

    with pytest.raises(CorpusError, match="ends after 1 of 2 records"):
        read_all(TIGER, path)


def test_the_real_county_reads_as_pyshp_reads_it(raw_data: Path) -> None:
    path = raw_data / "tiger" / NAME
    with shapefile.Reader(dbf=str(path)) as reader:
        names = tuple(field[0] for field in reader.fields if field[0] != "DeletionFlag")
        expected = [{name: str(value) for name, value in record.as_dict().items()} for record in reader.iterRecords()]

    with path.open("rb") as stream:
        head = read_head(stream, names, label=NAME)
        rejects = Rejects(source="test")
        found: list[dict[str, Any]] = []
        for batch in read_records(stream, head, names, label=NAME, rejects=rejects):
            found += batch.select(list(names)).to_pylist()
    assert found == expected
    assert len(found) == 677
    assert not rejects.counts


def test_every_side_of_the_real_county_is_accounted_for(raw_data: Path, tmp_path: Path) -> None:
    path = tmp_path / NAME
    shutil.copyfile(raw_data / "tiger" / NAME, path)
    found = read_all(TIGER, path)

    with shapefile.Reader(dbf=str(path)) as reader:
        edges = [record.as_dict() for record in reader.iterRecords()]
    sides = [(edge, side) for edge in edges for side in "LR" if edge[f"{side}FROMHN"]]
    assert found.read == len(found.records) == len(sides)
    assert len({record["base_id"] for record in found.records}) == len({edge["TLID"] for edge in edges})
    assert {record["region"] for record in found.records} == {"MT"}
    by_id = {record["source_id"]: record for record in found.records}
    for number, edge in enumerate(edges, 1):
        for side in "LR":
            if edge[f"{side}FROMHN"]:
                low, high = sorted(int(edge[f"{side}{end}HN"]) for end in ("FROM", "TO"))
                assert low <= int(by_id[f"{NAME}:{number}{side}"]["house_number"]) <= high
