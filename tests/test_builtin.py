"""The built-in source: the breadth it promises is counted, and its facts are held to tables written by hand here."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pycountry
import pytest

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RECORD_SCHEMA, TAG_COLUMNS, ReadRequest, Rejects
from mw_pipeline.sources.builtin import adapter as builtin_adapter
from mw_pipeline.sources.builtin import kinds, places, scripts
from mw_pipeline.sources.builtin.grammar import (
    Expansion,
)
from mw_pipeline.sources.registry import get_adapter

SPEC_PATH = Path(__file__).parents[1] / "corpora" / "builtin.toml"


def request(**settings: object) -> ReadRequest:
    return ReadRequest(paths=(), source="builtin", **{"seed": 5, "max_records": 3000, **settings})  # type: ignore[arg-type]


def read(**settings: object) -> pa.Table:
    batches = get_adapter("builtin").read(request(**settings), Rejects("builtin"))
    return pa.Table.from_batches(list(batches), schema=RECORD_SCHEMA)


@pytest.fixture(scope="module")
def records() -> pa.Table:
    """A few thousand records of every kind."""
    return read(max_records=12_000)


def test_there_are_at_least_seven_thousand_american_and_two_thousand_french_places():
    assert len(set(places.american_places().names)) >= 7000
    assert len(set(places.french_places().names)) >= 2000


def test_there_are_at_least_thirteen_thousand_real_names_in_other_scripts():
    names = {name for found in scripts.script_names().values() for name in found.names}

    assert len(names) >= 13_000
    assert not [name for name in names if re.search(r"[A-Za-z]", name)]


def test_every_script_has_names_of_american_or_french_places():
    found = scripts.script_names()

    assert set(found) == set(scripts.SCRIPTS)
    assert all(found[script].home for script in scripts.SCRIPTS)


def test_every_american_state_has_places():
    states = {s.name for s in pycountry.subdivisions if s.country_code == "US" and s.type == "State"}

    assert len(states) == 50
    assert states <= set(places.american_places().region_names)
    assert "District of Columbia" in places.american_places().region_names


def test_every_french_departement_and_region_has_places():
    departements = {s.name for s in pycountry.subdivisions if s.type == "Metropolitan department"}
    regions = {"Île-de-France", "Bretagne", "Corse", "Grand Est", "Occitanie", "La Réunion", "Guadeloupe", "Mayotte"}

    assert len(set(places.french_places().subregions)) == 101
    assert departements <= set(places.french_places().subregions)
    assert regions <= set(places.french_places().region_names)


@pytest.mark.parametrize(
    ("symbol", "least"),
    [
        ("us_surname", 500),
        ("us_plain_name", 250),
        ("fr_person", 250),
        ("fr_common", 250),
        ("us_whole_street", 100),
        ("fr_whole_street", 100),
        ("us_famous", 500),
        ("fr_famous", 400),
        ("us_chain", 300),
        ("fr_chain", 150),
    ],
)
def test_the_hand_written_lists_are_long(symbol: str, least: int):
    assert len(set(kinds.grammar().items(symbol))) >= least


@pytest.mark.parametrize("symbol", ["us_street", "fr_street", "us_venue", "fr_venue"])
def test_a_thousand_draws_of_a_street_or_venue_give_hundreds_of_names(symbol: str):
    country = symbol[:2].upper()
    chosen = np.arange(1000)
    rng = np.random.default_rng(3)
    values = kinds.RowValues(kinds.places_of(country), chosen, rng)
    drawn = Expansion(kinds.grammar(), rng, values).expand(symbol, chosen)

    assert len(set(drawn)) >= 700


def test_records_cover_both_countries_other_scripts_and_every_stage_two_tag(records: pa.Table):
    countries = Counter(records["country_code"].to_pylist())
    written = {tag for tag in TAG_COLUMNS if records[tag].null_count < len(records)}

    assert countries["US"] > 4000
    assert countries["FR"] > 4000
    assert len(countries) > 20
    assert written == set(TAG_COLUMNS) - {"street_prefix", "street_suffix"}


def test_every_kind_is_written():
    rng = np.random.default_rng(1)
    for kind in kinds.kinds():
        drafts = kinds.kind_drafts(kind, 40, rng)
        assert len(drafts) == 40
        assert any(value is not None for values in drafts.tags.values() for value in values), kind.name


def test_the_same_seed_gives_the_same_records_and_another_seed_others():
    assert read().equals(read())
    assert not read().equals(read(seed=6))


def test_a_longer_read_begins_with_the_batches_of_a_shorter_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(builtin_adapter, "RECORD_BATCH_ROWS", 500)

    assert read(max_records=1500).slice(0, 1000).equals(read(max_records=1000))


def test_there_are_as_many_records_as_asked_and_their_ids_are_distinct(records: pa.Table):
    assert len(records) == 12_000
    assert len(pc.unique(records["source_id"])) == 12_000
    assert records["line"].to_pylist() == list(range(1, 12_001))


def test_every_component_holds_a_letter_or_a_digit_and_no_loose_space(records: pa.Table):
    for tag in TAG_COLUMNS:
        for value in pc.unique(records[tag].drop_null()).to_pylist():
            assert any(character.isalnum() for character in value), (tag, value)
            assert value == " ".join(value.split()), (tag, value)
            assert "{" not in value, (tag, value)


def test_every_record_has_a_component_and_no_number_stands_without_its_street(records: pa.Table):
    written = np.zeros(len(records), np.bool_)
    for tag in TAG_COLUMNS:
        written |= pc.is_valid(records[tag]).to_numpy()
    numbered = pc.is_valid(records["house_number"]).to_numpy()

    assert written.all()
    assert not (numbered & ~pc.is_valid(records["street"]).to_numpy()).any()


def test_every_american_and_french_name_in_another_script_has_its_region_key():
    # Twenty-one of them are of places that the tables of places leave out, Middlebury in Vermont among them.
    for found in scripts.script_names().values():
        assert all(found.keys[: found.home]), found.script
        assert not any(found.keys[found.home :]), found.script


def test_no_name_in_another_script_has_a_loose_space():
    names = [name for found in scripts.script_names().values() for name in found.names]
    assert "ராஸ் தணுரா" in names, "GeoNames has two spaces in it"
    assert [name for name in names if name != " ".join(name.split())] == []


def test_overseas_cedex_codes_keep_the_three_digits_of_their_departement():
    french = places.french_places()
    chosen = np.flatnonzero(np.isin(french.region_names, ["Guadeloupe", "La Réunion"]))
    values = kinds.RowValues(french, chosen, np.random.default_rng(0))

    assert {code[:3] for code in values["cedex_postcode"]} == {"971", "974"}
    assert all(len(code) == 5 for code in values["cedex_postcode"])


def test_region_keys_are_the_country_and_the_region_in_lower_case(records: pa.Table):
    keys = set(pc.unique(records["region_key"]).to_pylist())

    assert {"US:vermont", "US:new york", "FR:corse", "FR:île-de-france"} <= keys
    assert all(re.fullmatch(r"(US|FR):[^A-Z]+", key) for key in keys - {""})


def test_rows_of_a_home_place_in_another_script_know_their_region(records: pa.Table):
    foreign = records.filter(pc.match_substring_regex(records["locale"], "^(ru|ja|zh|ar|ko)-(US|FR)$"))
    known = pc.not_equal(foreign["region_key"], "").to_numpy(zero_copy_only=False)

    assert known.all()


def test_one_address_is_one_family_however_often_it_is_drawn(records: pa.Table):
    rows = records.select(["base_id", "country_code", *TAG_COLUMNS]).to_pylist()
    family: dict[str, set[tuple[str, ...]]] = {}
    for row in rows:
        telling = (
            "venue",
            "house_number",
            "street",
            "po_box",
            "dependent_locality",
            "intersection_a",
            "intersection_b",
        )
        family.setdefault(row["base_id"], set()).add(tuple((row[tag] or "").casefold() for tag in telling))

    assert all(len(members) == 1 for members in family.values())


def test_an_arrondissement_agrees_with_its_postcode():
    kind = next(kind for kind in kinds.kinds() if kind.name == "fr_arrondissement")
    drafts = kinds.kind_drafts(kind, 300, np.random.default_rng(2))
    pairs = zip(drafts.tags["dependent_locality"], drafts.tags["postcode"], strict=True)
    numbered = [(re.match(r"(\d+)", district), code) for district, code in pairs if code]

    assert len([found for found, _ in numbered if found]) > 50
    assert all(int(found[1]) == int(code[-2:]) for found, code in numbered if found)


def test_a_corpus_of_one_country_gets_no_street_addresses_of_the_other():
    table = read(countries=("FR",))
    local = table.filter(pc.match_substring_regex(table["locale"], "^(en-US|fr-FR)$"))

    assert set(local["country_code"].to_pylist()) == {"FR"}


def test_a_corpus_without_either_country_is_an_error_that_names_them():
    with pytest.raises(CorpusError, match=r"\('DE',\).*US and FR"):
        read(countries=("DE",))


def test_an_input_file_is_refused():
    wanted = ReadRequest(paths=(Path("cities.txt"),), source="mine")

    with pytest.raises(CorpusError, match=r"source 'mine': input 'cities.txt'.*reads no file"):
        next(iter(get_adapter("builtin").read(wanted, Rejects("mine"))))


def test_the_licence_is_that_of_the_names_unless_the_source_says_otherwise():
    adapter = get_adapter("builtin")

    assert set(read()["license"].to_pylist()) == {"CC-BY-4.0"}
    assert set(read(licence="CC0-1.0")["license"].to_pylist()) == {"CC0-1.0"}
    assert "GeoNames" in adapter.attribution
    assert not adapter.needs_input
    assert not adapter.share_alike
