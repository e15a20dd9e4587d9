"""Regions by code, by name and by postcode."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from source_files import read_all

from mw_pipeline import areas
from mw_pipeline.countries import COUNTRY_CODES, TERRITORIES
from mw_pipeline.sources import regions
from mw_pipeline.sources.registry import get_adapter


def key(country: str, region: str | None = None, postcode: str | None = None) -> str:
    found = regions.region_keys(*(pa.array([value], pa.string()) for value in (country, region, postcode)))
    return found[0].as_py()


@pytest.mark.parametrize("region", ["VT", "vt", "Vermont", "VERMONT"])
def test_a_region_has_one_key_by_code_or_by_name(region: str) -> None:
    assert key("US", region, "10001") == "US:vermont"


@pytest.mark.parametrize(
    ("country", "postcode", "expected"),
    [
        ("US", "05401-1234", "US:vermont"),
        ("US", "00901", "US:puerto rico"),
        ("US", "09245", ""),
        ("US", None, ""),
        ("FR", "20090", "FR:corse"),
        ("FR", "75001", "FR:île-de-france"),
        ("FR", "97400", "FR:la réunion"),
        ("FR", "00000", ""),
        ("DE", "10115", ""),
    ],
)
def test_a_postcode_tells_the_region_that_is_not_written(country: str, postcode: str | None, expected: str) -> None:
    assert key(country, None, postcode) == expected


@pytest.mark.parametrize("region", ["Corse-du-Sud", "CORSICA", "Corse"])
def test_a_departement_or_an_english_name_has_the_key_of_its_region(region: str) -> None:
    assert key("FR", region) == "FR:corse"


def test_the_tables_hold_every_state_and_departement() -> None:
    departements = areas.fr_departements()

    assert len(areas.us_states()) == 51 + 5 + 3
    assert sorted(areas.us_states_by_fips().values()) == sorted(areas.us_states())
    assert [areas.us_states_by_fips()[code] for code in ("01", "30", "56", "72")] == ["AL", "MT", "WY", "PR"]
    assert len([code for code, (name, _) in departements.items() if name]) == 101
    assert len({region for name, region in departements.values() if name}) == 18
    assert departements["2A"] == ("Corse-du-Sud", "Corse")
    assert departements["975"] == ("", "Saint-Pierre-et-Miquelon")


def test_every_territory_is_a_region_of_its_state() -> None:
    named = {code: (TERRITORIES[code], name) for code, name in regions.territories().items()}

    assert set(named) == set(TERRITORIES) <= COUNTRY_CODES
    assert {named[code] for code in ("PR", "RE", "NC")} == {
        ("US", "Puerto Rico"), ("FR", "La Réunion"), ("FR", "Nouvelle-Calédonie")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("postcode", "expected"),
    [
        ("96799", "US:american samoa"),
        ("96701", "US:hawaii"),
        ("96950", "US:northern mariana islands"),
        ("96910", "US:guam"),
    ],
)
def test_a_postcode_of_an_island_tells_it_from_those_that_share_its_prefix(postcode: str, expected: str) -> None:
    assert key("US", None, postcode) == expected


@pytest.mark.parametrize(("country", "wrong_share"), [("US", 0.001), ("FR", 0.001)])
def test_postcodes_tell_the_region_that_geonames_gives(raw_data: Path, country: str, wrong_share: float) -> None:
    records = read_all(get_adapter("geonames-postal"), raw_data / "geonames-postal" / f"{country}.txt.gz").records
    records = [record for record in records if "region" in record and record["locality"] not in ("APO", "FPO")]
    told = regions.region_keys(
        pa.array([country] * len(records)),
        pa.nulls(len(records), pa.string()),
        pa.array([record["postcode"] for record in records]),
    ).to_pylist()

    wrong = [record for record, found in zip(records, told, strict=True) if found != record["region_key"]]
    assert len(wrong) < wrong_share * len(records)
