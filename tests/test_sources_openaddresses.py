"""OpenAddresses v1 and v2, and what stands beside the rows: country, state, licence."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from source_files import lines_by_shell, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources.registry import get_adapter

OPENADDRESSES = get_adapter("openaddresses")
HEADER = "LON,LAT,NUMBER,STREET,UNIT,CITY,DISTRICT,REGION,POSTCODE,ID"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def describe(path: Path, **layer: Any) -> None:
    coverage = layer.pop("coverage", {"country": "us", "state": "or"})
    path.write_text(json.dumps({"coverage": coverage, "schema": 2, "layers": {"addresses": [layer]}}))


def test_a_v1_row_gives_its_parts_as_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path / "us/ca/alameda.csv", HEADER, "-122,37,1216,SANTA CLARA AV,# 2,ALAMEDA,COUNTY,CA,94501,72")

    record = read_all(OPENADDRESSES, path).records[0]
    record.pop("base_id")
    assert record == {
        "source_id": "alameda.csv:2",
        "country_code": "US",
        "locale": "en-US",
        "license": "unknown (OpenAddresses source)",
        "line": 2,
        "region_key": "US:california",
        "house_number": "1216",
        "street": "SANTA CLARA AV",
        "unit": "# 2",
        "locality": "ALAMEDA",
        "subregion": "COUNTY",
        "region": "CA",
        "postcode": "94501",
    }


def test_columns_come_in_any_order_with_geom_for_coordinates(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "POSTCODE,GEOM,STREET,NUMBER", "94501,01E9,MAIN ST,5")

    record = read_all(OPENADDRESSES, path, country="US").records[0]
    assert (record["house_number"], record["street"], record["postcode"]) == ("5", "MAIN ST", "94501")


def test_v2_lines_give_what_v1_rows_give(tmp_path: Path) -> None:
    v1 = write(tmp_path / "a.csv", HEADER, "-122,37,5,Main St,,Town,,OR,97007,")
    properties = {"number": "5", "street": "Main St", "city": "Town", "region": "OR", "postcode": "97007", "unit": None}
    v2 = write(tmp_path / "a.geojson", "", json.dumps({"type": "Feature", "properties": properties, "geometry": None}))

    from_v1, from_v2 = (read_all(OPENADDRESSES, path, country="US").records[0] for path in (v1, v2))
    assert from_v1 | {"source_id": "", "line": 0} == from_v2 | {"source_id": "", "line": 0}


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ("0,Main St,,", {"street": "Main St"}),
        ("00000,Main St,,", {"street": "Main St"}),
        ("00300,Main St,,", {"house_number": "00300", "street": "Main St"}),
        (" 200 , Main  St ,,", {"house_number": "200", "street": "Main St"}),
        ("5,<Null>,Salem,", {"house_number": "5", "locality": "Salem"}),
        ("s/n,Calle Mayor,,", {"street": "Calle Mayor"}),
        (",STATE RD,02,", {"street": "STATE RD"}),
        ("5,Main St,n/a,7102", {"house_number": "5", "street": "Main St", "postcode": "07102"}),
        ("5,Main St,,06000;06100", {"house_number": "5", "street": "Main St"}),
        ("5,Main St,,unknown", {"house_number": "5", "street": "Main St"}),
    ],
)
def test_values_that_say_nothing_are_absent(tmp_path: Path, row: str, kept: dict[str, str]) -> None:
    path = write(tmp_path / "a.csv", "NUMBER,STREET,CITY,POSTCODE", row)

    record = read_all(OPENADDRESSES, path, country="US").records[0]
    tags = ("house_number", "street", "locality", "postcode", "region", "unit")
    assert {tag: record[tag] for tag in tags if tag in record} == kept


def test_unusable_rows_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "NUMBER,STREET,CITY", "5,Main St,", ",,Town", ",....,", "a,Main St,", "5, ,")

    assert read_all(OPENADDRESSES, path, country="US").quarantined == {
        "no_street_or_number": 2,
        "number_without_digit": 1,
        "number_without_place": 1,
    }


@pytest.mark.parametrize(
    ("folders", "country", "region"),
    [
        ("us/ca", "US", "CA"),
        ("us", "US", None),
        ("fr/34", "FR", None),
        ("fr", "FR", None),
        ("de", "DE", None),
        ("us/pr", "US", "PR"),
        ("pr", "US", "PR"),
        ("gp", "FR", None),
    ],
)
def test_the_folders_tell_country_and_state(tmp_path: Path, folders: str, country: str, region: str | None) -> None:
    path = write(tmp_path / "data" / folders / "x.csv", "NUMBER,STREET", "5,Main St")

    record = read_all(OPENADDRESSES, path).records[0]
    assert (record["country_code"], record.get("region")) == (country, region)


def test_a_stated_country_outranks_the_folders(tmp_path: Path) -> None:
    path = write(tmp_path / "us/ca/x.csv", "NUMBER,STREET", "5,Main St")

    assert read_all(OPENADDRESSES, path, country="CA").records[0]["country_code"] == "CA"


def test_a_file_without_a_country_is_refused_before_any_row(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "NUMBER,STREET", "5,Main St")

    with pytest.raises(
        CorpusError, match=r"nothing says its country, .* Give --country, or `country` in the corpus spec"
    ):
        read_all(OPENADDRESSES, path)


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ({"text": "CC BY 4.0", "url": "https://x", "share-alike": False}, "CC BY 4.0"),
        ({"url": "https://x/terms"}, "https://x/terms"),
        ("https://x/terms", "https://x/terms"),
        ({}, "from the spec"),
        (None, "from the spec"),
    ],
)
def test_the_description_beside_a_file_tells_licence_country_and_state(
    tmp_path: Path, stated: Any, licence: str
) -> None:
    path = write(tmp_path / "metro.csv.txt", "NUMBER,STREET", "5,Main St")
    describe(tmp_path / "metro.json", license=stated)

    record = read_all(OPENADDRESSES, path, licence="from the spec").records[0]
    assert (record["license"], record["country_code"], record["region"]) == (licence, "US", "OR")


def test_an_older_description_states_its_licence_at_the_top(tmp_path: Path) -> None:
    path = write(tmp_path / "metro.csv", "NUMBER,STREET", "5,Main St")
    (tmp_path / "metro.json").write_text(
        '{"coverage": {"country": "fr"}, "license": {"text": "ODbL", "share-alike": true}}'
    )

    assert read_all(OPENADDRESSES, path, share_alike_allowed=True).records[0]["license"] == "ODbL"


def test_a_licence_that_is_share_alike_by_its_name_needs_no_flag(tmp_path: Path) -> None:
    path = write(tmp_path / "metro.csv", "NUMBER,STREET", "5,Main St")
    describe(tmp_path / "metro.json", license={"text": "CC-BY-SA-4.0"})

    with pytest.raises(CorpusError, match=r"says share-alike \(CC-BY-SA-4\.0\)"):
        read_all(OPENADDRESSES, path)
    describe(tmp_path / "metro.json", license={"text": "CC-BY-4.0"})
    assert read_all(OPENADDRESSES, path).read == 1


def test_whom_the_descriptions_ask_to_name_is_named_once(tmp_path: Path) -> None:
    for name, credit in (("b", "City of B"), ("a", "City of A"), ("c", "City of A"), ("d", None)):
        write(tmp_path / f"{name}.csv", "NUMBER,STREET", "5,Main St")
        describe(tmp_path / f"{name}.json", license={"text": "CC BY 4.0", "attribution name": credit})

    assert OPENADDRESSES.credits(ReadRequest((tmp_path,), "oa")) == ("City of A", "City of B")


def test_share_alike_rows_are_refused_unless_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "metro.csv", "NUMBER,STREET", "5,Main St")
    describe(tmp_path / "metro.json", license={"text": "RLIS", "share-alike": True})

    with pytest.raises(CorpusError, match=r"says share-alike \(RLIS\)\. Set share_alike_allowed = true"):
        read_all(OPENADDRESSES, path)
    assert read_all(OPENADDRESSES, path, share_alike_allowed=True).read == 1


@pytest.mark.parametrize(("text", "message"), [("{", "not readable as JSON"), ("[]", "not an OpenAddresses source")])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "metro.csv", "NUMBER,STREET", "5,Main St")
    (tmp_path / "metro.json").write_text(text)

    with pytest.raises(CorpusError, match=rf"metro\.json: {message}"):
        read_all(OPENADDRESSES, path, country="US")


def test_a_header_without_number_and_street_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "LON,LAT,NAME", "1,2,x")

    with pytest.raises(CorpusError, match="the header has no NUMBER or STREET: found 'LON', 'LAT', 'NAME'"):
        read_all(OPENADDRESSES, path, country="US")


def test_every_file_is_checked_before_the_first_row(tmp_path: Path) -> None:
    good = write(tmp_path / "us" / "a.csv", "NUMBER,STREET", "5,Main St")
    bad = write(tmp_path / "us" / "b.csv", "NAME", "x")
    rejects = Rejects(source="test")

    with pytest.raises(CorpusError, match=r"b\.csv: the header has no NUMBER or STREET"):
        next(iter(OPENADDRESSES.read(ReadRequest(paths=(good, bad), source="test"), rejects)))


def test_a_feature_collection_is_refused(raw_data: Path) -> None:
    path = raw_data / "openaddresses" / "raw-upstream" / "us-ca-carson-cache.geojson.gz"

    with pytest.raises(CorpusError, match="expected a whole GeoJSON Feature on every line"):
        read_all(OPENADDRESSES, path, country="US")


@pytest.mark.parametrize(
    ("name", "rows", "quarantined"),
    [
        ("csv-v1/us/alameda.csv.gz", 5_306, {}),
        ("csv-v1/us/portland_metro.csv.gz", 767, {}),
        ("geojsonl-v2/derived-us-or-portland_metro.geojson.gz", 767, {}),
    ],
)
def test_every_line_of_a_real_file_is_accounted_for(
    raw_data: Path, name: str, rows: int, quarantined: dict[str, int]
) -> None:
    path = raw_data / "openaddresses" / name
    found = read_all(OPENADDRESSES, path, country="US")

    assert found.read == rows == lines_by_shell(path) - name.startswith("csv")
    assert found.quarantined == quarantined


def test_the_samples_of_other_projects_read_as_their_tests_expect(raw_data: Path) -> None:
    folder = raw_data / "openaddresses"
    nulls = read_all(OPENADDRESSES, folder / "geojsonl-v2" / "addresses-with-nulls.geojson", country="US")
    bad = read_all(OPENADDRESSES, folder / "csv-v1" / "pelias-bad_data.csv", country="US")
    berlin = read_all(OPENADDRESSES, folder / "csv-v1" / "de-berlin-potsdamerplatz.csv", country="DE")

    assert (len(nulls.records), nulls.quarantined) == (1, {"no_street_or_number": 2})
    assert (bad.read, len(bad.records)) == (9, 1)
    assert berlin.read == len(berlin.records) == 369


def test_both_forms_of_the_portland_file_hold_the_same_addresses(raw_data: Path) -> None:
    folder = raw_data / "openaddresses"
    v1 = read_all(OPENADDRESSES, folder / "csv-v1" / "us" / "portland_metro.csv.gz", country="US").records
    v2 = read_all(
        OPENADDRESSES, folder / "geojsonl-v2" / "derived-us-or-portland_metro.geojson.gz", country="US"
    ).records

    assert [record["base_id"] for record in v1] == [record["base_id"] for record in v2]


def test_every_real_source_description_is_understood(raw_data: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "NUMBER,STREET", "5,Main St")
    packed = raw_data / "openaddresses" / "oa-sources-us-fr-de-be.tar.zst"
    licences = set()
    with (
        packed.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        for member in archive:
            if "/us/or/" in member.name and member.name.endswith(".json"):
                (tmp_path / "x.json").write_bytes(archive.extractfile(member).read())
                record = read_all(OPENADDRESSES, path, share_alike_allowed=True, country="US").records[0]
                assert record["region"] == "OR"
                licences.add(record["license"])

    assert "RLIS Open Database End User License" in licences
