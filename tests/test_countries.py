"""Country files: one per country over the defaults, and no key that means nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

import mw_pipeline.countries
from mw_pipeline import digest
from mw_pipeline.capability.habits import habits_of
from mw_pipeline.corpus.conventions import area_codes, country_names
from mw_pipeline.corpus.places import has_closed_name, place_names
from mw_pipeline.countries import COUNTRY_CODES, KNOWN_COUNTRIES, country, writer_of
from mw_pipeline.countries.country import _merged
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.builtin.tsv import rows_of
from mw_pipeline.sources.us_roll import _MILITARY as MILITARY_REGIONS


def test_a_country_without_a_file_is_written_by_the_defaults():
    assert country("DE") == country("default")
    assert country("US")["form"] != country("DE")["form"]


def test_every_file_is_of_a_country():
    assert set(KNOWN_COUNTRIES) == {"FR", "GB", "IT", "LU", "US"} <= COUNTRY_CODES


def test_a_country_is_written_by_its_own_file_or_by_the_one_that_names_it():
    assert [writer_of(code) for code in ("US", "CA", "SN", "DE")] == ["US", "GB", "LU", "default"]
    named = [code for own in KNOWN_COUNTRIES for code in country(own)["alike"]]
    assert len(named) == len({*named, *KNOWN_COUNTRIES}) - len(KNOWN_COUNTRIES)


def test_a_country_keeps_its_own_name_whoever_writes_its_addresses():
    names = country_names("CA")
    assert names is not None and {"Canada", "CA"} <= set(names.texts.to_pylist())


@pytest.mark.parametrize(
    ("own", "path"),
    [
        ({"naems": []}, "naems"),
        ({"order": {"unit": {"behnid": 1}}}, "order.unit.behnid"),
        ({"words": {"stret": {"type": {}}}}, "words.stret"),
        ({"words": {"street": {"ending": {}}}}, "words.street.ending"),
    ],
)
def test_a_key_that_no_default_knows_is_refused_with_its_path(own: dict[str, object], path: str):
    with pytest.raises(CorpusError, match=rf"countries/XX.toml: {re.escape(path)} is not a key"):
        _merged(country("default"), own, "countries/XX.toml", "")


def test_a_country_file_says_only_what_differs():
    assert country("FR")["order"]["number_turned"] == country("default")["order"]["number_turned"]
    assert country("FR")["order"]["postcode"] != country("default")["order"]["postcode"]


def test_the_codes_of_american_states_are_those_of_the_post():
    codes = {short: name for name, short in area_codes("US")}

    assert len(codes) == 59  # 50 states, the District of Columbia, 5 territories, 3 countries in free association
    assert (codes["VT"], codes["PR"], codes["DC"]) == ("Vermont", "Puerto Rico", "District of Columbia")
    assert area_codes("FR") == ()


def test_the_page_explains_every_key(project: Path):
    page = (project / "docs" / "countries.md").read_text(encoding="utf-8")

    for section, value in country("default").items():
        assert f"`{section}" in page or f"`[{section}" in page
        for key in value if isinstance(value, dict) else ():
            assert f"`{key}`" in page, f"{section}.{key}"


def test_a_country_file_is_part_of_the_code_that_composes_rows():
    read = [path.name for path in digest._tables_of(Path(mw_pipeline.countries.__file__))]

    assert {"US.toml", "FR.toml", "default.toml"} <= set(read)


def test_every_list_of_military_mail_names_the_same_offices_and_regions() -> None:
    rows = rows_of("us_military.tsv")
    offices, regions = {row["office"] for row in rows}, {row["region"] for row in rows}

    assert set(country("US")["military"]["offices"]) == offices
    assert set(habits_of("en-us").military) == regions == set(MILITARY_REGIONS)
    names = place_names(pa.array(sorted(offices)))
    assert has_closed_name(pa.array(["US"] * len(offices)), names).all()
    assert not has_closed_name(pa.array(["US"]), place_names(pa.array(["Burlington"]))).any()
