"""GeoNames postal codes, from hand-made lines and from the real files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from source_files import lines_by_shell, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

GEONAMES = get_adapter("geonames-postal")


def line(country: str, postcode: str, place: str, admin1: str = "", admin2: str = "") -> str:
    return "\t".join([country, postcode, place, admin1, "", admin2, "", "", "", "1.0", "2.0", "4"]) + "\n"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_a_us_line_gives_postcode_place_state_and_county(tmp_path: Path) -> None:
    path = write(tmp_path / "US.txt", line("US", "99553", "Akutan", "Alaska", "Aleutians East"))

    record = read_all(GEONAMES, path).records[0]
    record.pop("base_id")
    assert record == {
        "source_id": "US.txt:1",
        "country_code": "US",
        "locale": "en-US",
        "license": "CC-BY-4.0",
        "line": 1,
        "region_key": "US:alaska",
        "postcode": "99553",
        "locality": "Akutan",
        "region": "Alaska",
        "subregion": "Aleutians East",
    }


@pytest.mark.parametrize(
    ("column", "postcode", "cedex"),
    [
        ("75021 CEDEX 01", "75021", "CEDEX 01"),
        ("42010 CEDEX 2", "42010", "CEDEX 2"),
        ("97001 Cedex", "97001", "Cedex"),
        ("75001", "75001", None),
    ],
)
def test_a_cedex_leaves_the_postcode(tmp_path: Path, column: str, postcode: str, cedex: str | None) -> None:
    record = read_all(
        GEONAMES, write(tmp_path / "a", line("FR", column, "Paris 01", "Île-de-France", "Paris"))
    ).records[0]

    assert (record["postcode"], record.get("cedex"), record["locality"]) == (postcode, cedex, "Paris")


def test_a_territory_is_a_region_of_its_state_whatever_is_named_as_its_region(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a",
        line("GU", "96910", "Hagatna", "Gu", "Guam"),
        line("PR", "00782", "Comerio", "Comerio"),
        line("PR", "00784", "Jobos", "Guayama"),
        line("RE", "97400", "Saint-Denis", "Reunion (general)"),
        line("PM", "97500", "Miquelon", "Miquelon-Langlade"),
    )

    records = read_all(GEONAMES, path).records
    assert [(r["country_code"], r["region"], r.get("subregion"), r["region_key"]) for r in records] == [
        ("US", "Guam", None, "US:guam"),
        ("US", "Puerto Rico", None, "US:puerto rico"),
        ("US", "Puerto Rico", "Guayama", "US:puerto rico"),
        ("FR", "La Réunion", None, "FR:la réunion"),
        ("FR", "Saint-Pierre-et-Miquelon", None, "FR:saint-pierre-et-miquelon"),
    ]


def test_a_corpus_of_the_united_states_has_their_territories(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line("PR", "00782", "Comerio", "Comerio"), line("GP", "97110", "Pointe-à-Pitre"))

    found = read_all(GEONAMES, path, countries=("US",))
    assert [record["locality"] for record in found.records] == ["Comerio"]
    assert found.filtered == {"country_not_wanted": 1}


def test_the_state_of_a_military_post_office_stands_behind_its_name(tmp_path: Path) -> None:
    record = read_all(GEONAMES, write(tmp_path / "a", line("US", "09245", "APO AE"))).records[0]

    assert (record["locality"], record["region"], record["region_key"]) == ("APO", "AE", "US:ae")


def test_unusable_lines_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a",
        line("US", "99553", "Akutan"),
        line("XX", "1", "Nowhere"),
        line("US", " ", "Blank"),
        line("US", "1", "\u00a0"),
        line("FR", "75303 SP 07", "Paris 07"),
        "US\t12345\tToo few\n",
    )

    found = read_all(GEONAMES, path)
    assert len(found.records) == 1
    assert found.quarantined == {
        "unknown_country": 1,
        "no_postcode": 1,
        "no_place": 1,
        "postcode_with_service": 1,
        "ragged": 1,
    }


def test_countries_that_the_corpus_does_not_want_are_filtered(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line("US", "1", "a"), line("DE", "2", "b"))

    found = read_all(GEONAMES, path, countries=("US", "FR"))
    assert [record["country_code"] for record in found.records] == ["US"]
    assert found.filtered == {"country_not_wanted": 1}


def test_no_more_records_are_read_than_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a", *(line("US", str(n), "a") for n in range(9)))

    assert read_all(GEONAMES, path, max_records=4).read == 4


def test_a_stated_licence_replaces_the_usual_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line("US", "1", "a"))

    assert read_all(GEONAMES, path, licence="CC0-1.0").records[0]["license"] == "CC0-1.0"


def test_twelve_columns_of_something_else_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line("3039162", "a", "b"), line("3039163", "a", "b"))

    with pytest.raises(CorpusError, match=r"the column of the country holds '3039162', expected an ISO country"):
        read_all(GEONAMES, path)


def test_a_gazetteer_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "\t".join("abcdefghijklmnopqrs") + "\n")

    with pytest.raises(
        CorpusError, match=r"the first line has 19 fields split by tabs .*expected GeoNames postal codes"
    ):
        read_all(GEONAMES, path)


@pytest.mark.parametrize(("country", "lines", "services"), [("US", 41_483, 0), ("FR", 51_611, 21), ("GP", 105, 0)])
def test_every_line_of_a_real_file_is_accounted_for(raw_data: Path, country: str, lines: int, services: int) -> None:
    path = raw_data / "geonames-postal" / f"{country}.txt.gz"
    found = read_all(GEONAMES, path)

    assert found.read == lines == lines_by_shell(path)
    assert found.quarantined == ({"postcode_with_service": services} if services else {})


def test_the_real_files_show_what_they_are_known_for(raw_data: Path) -> None:
    us = read_all(GEONAMES, raw_data / "geonames-postal" / "US.txt.gz").records
    fr = read_all(GEONAMES, raw_data / "geonames-postal" / "FR.txt.gz").records

    military = [r for r in us if r["locality"] in ("APO", "FPO")]
    assert len(military) == 510
    assert {r["region"] for r in military} == {"AA", "AE"}
    assert [r["locality"] for r in us if "region" not in r] == ["APO STA"]
    assert sum("cedex" in record for record in fr) == 14_332
    assert Counter(record["region_key"] for record in us)["US:district of columbia"] == 277
    assert all(len(record["postcode"]) == 5 for record in us + fr)
    assert len({record["source_id"] for record in fr}) == len(fr)


@pytest.mark.parametrize(
    ("cells", "town", "areas"),
    [
        (("CA", "T3H", "Calgary (Bow Trail)", "Alberta"), "Calgary", (None, "Alberta")),
        (("CA", "T3H", "Calgary (Bow Trail", "Alberta"), "Calgary", (None, "Alberta")),
        (("IT", "10060", "None", "Piemonte", "Torino"), "None", ("Torino", "Piemonte")),
        (("FR", "75019", "Paris 19", "Île-de-France", "Paris"), "Paris", (None, "Île-de-France")),
        # a town again as its own area
        (("US", "93001", "Ventura", "California", "Ventura"), "Ventura", (None, "California")),
        (("US", "10001", "New York", "New York", "New York"), "New York", (None, "New York")),
        (("DE", "20095", "Hamburg", "Hamburg", ""), "Hamburg", (None, None)),
        (("CH", "1201", "Genève", "Genève", "Geneva"), "Genève", (None, None)),
        (("NL", "2161", "Lisse", "Zuid-Holland", "Gemeente Lisse"), "Lisse", (None, "Zuid-Holland")),
        # two languages in one row
        (("DE", "83278", "Traunstein", "Bayern", "Upper Bavaria"), "Traunstein", (None, "Bayern")),
        (("DE", "86150", "Augsburg", "Bayern", "Swabia"), "Augsburg", (None, "Bayern")),
        (("CH", "1110", "Morges", "Canton de Vaud", "Nyon District"), "Morges", (None, "Canton de Vaud")),
        (("BE", "9000", "Gent", "Vlaanderen", "Flandre-Orientale"), "Gent", (None, "Vlaanderen")),
        # and one
        (
            ("DE", "70173", "Stuttgart", "Baden-Württemberg", "Regierungsbezirk Tübingen"),
            "Stuttgart",
            ("Regierungsbezirk Tübingen", "Baden-Württemberg"),
        ),
        (("DE", "83278", "Traunstein", "Bavaria", "Upper Bavaria"), "Traunstein", ("Upper Bavaria", "Bavaria")),
        (("IT", "57014", "Collesalvetti", "Toscana", "Livorno"), "Collesalvetti", ("Livorno", "Toscana")),
        (("GB", "EX1", "Exmouth", "England", "Devon"), "Exmouth", ("Devon", "England")),
    ],
)
def test_a_row_writes_its_town_once_and_its_areas_in_one_language(
    tmp_path: Path, cells: tuple[str, ...], town: str, areas: tuple[str | None, str | None]
) -> None:
    (record,) = read_all(GEONAMES, write(tmp_path / "XX.txt", line(*cells))).records

    assert record["locality"] == town
    assert (record.get("subregion"), record.get("region")) == areas


def test_a_region_that_is_not_written_still_tells_where_the_row_belongs(tmp_path: Path) -> None:
    (record,) = read_all(GEONAMES, write(tmp_path / "XX.txt", line("DE", "20095", "Hamburg", "Hamburg"))).records

    assert record["region_key"] == "DE:hamburg"
