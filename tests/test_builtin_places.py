"""The gazetteer behind the built-in source, held to facts on postcodes, areas and scripts that are written out here."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from mw_pipeline.sources.builtin import places, scripts
from mw_pipeline.sources.builtin.postcodes import expand_prefixes
from mw_pipeline.sources.builtin.tsv import rows_of


@pytest.mark.parametrize(
    ("city", "state", "codes"),
    [
        ("New York", "NY", r"10[0-2]\d\d"),
        ("Chicago", "IL", r"606\d\d"),
        ("Los Angeles", "CA", r"900\d\d"),
        ("Boston", "MA", r"02[12]\d\d"),
        ("Anchorage", "AK", r"995\d\d"),
    ],
)
def test_large_cities_have_their_own_zip_codes(city: str, state: str, codes: str):
    american = places.american_places()
    (index,) = np.flatnonzero((american.names == city) & (american.regions == state))[:1]
    first = american.first_postcode[index]
    own = american.postcodes[first : first + american.postcode_counts[index]]

    assert all(re.fullmatch(codes, code) for code in own)


def test_every_zip_code_lies_in_its_state():
    american = places.american_places()
    allowed = {row["code"]: tuple(expand_prefixes(row["prefixes"])) for row in rows_of("us_states.tsv")}
    state_of_code = np.repeat(american.regions, american.postcode_counts)

    wrong = [(s, c) for s, c in zip(state_of_code, american.postcodes, strict=True) if not c.startswith(allowed[s])]
    assert wrong == []


def test_no_zip_prefix_belongs_to_two_states():
    rows = rows_of("us_states.tsv")
    owners = [(row["code"], prefix) for row in rows for prefix in expand_prefixes(row["prefixes"])]

    shared = [pair for pair in itertools.permutations(owners, 2) if pair[0][1].startswith(pair[1][1])]
    assert shared == []
    assert len(owners) > 850


@pytest.mark.parametrize(
    ("commune", "departement", "postcode"),
    [
        ("Bordeaux", "Gironde", "33000"),
        ("Strasbourg", "Bas-Rhin", "67000"),
        ("Ajaccio", "Corse-du-Sud", "20000"),
        ("Bastia", "Haute-Corse", "20200"),
        ("Bourg-en-Bresse", "Ain", "01000"),
        ("Fort-de-France", "Martinique", "97200"),
        ("Versailles", "Yvelines", "78000"),
    ],
)
def test_a_prefecture_has_its_true_postcode(commune: str, departement: str, postcode: str):
    french = places.french_places()
    index = np.flatnonzero((french.names == commune) & (french.subregions == departement))[:1]

    assert french.postcodes_of(index, np.random.default_rng(0)).tolist() == [postcode]


@pytest.mark.parametrize(
    ("city", "first", "count"), [("Paris", 75001, 20), ("Lyon", 69001, 9), ("Marseille", 13001, 16)]
)
def test_the_three_cities_have_the_codes_of_their_arrondissements(city: str, first: int, count: int):
    french = places.french_places()
    (index,) = np.flatnonzero((french.names == city) & (french.postcode_counts > 1))
    start = french.first_postcode[index]

    assert french.postcodes[start : start + count].tolist() == [str(first + number) for number in range(count)]
    assert french.postcode_counts[index] == count


def test_every_french_postcode_begins_with_its_departement():
    french = places.french_places()
    number_of = {name: number for number, name in places.departements().items()}
    for name, first in zip(french.subregions, french.first_postcode, strict=True):
        number, code = number_of[name], french.postcodes[first]
        assert re.fullmatch(r"\d{5}", code)
        assert code.startswith("20" if number in ("2A", "2B") else number), (name, code)


@pytest.mark.parametrize(
    ("commune", "departement"),
    [("Cannes", "Alpes-Maritimes"), ("Boulogne-Billancourt", "Hauts-de-Seine"), ("Biarritz", "Pyrénées-Atlantiques")],
)
def test_a_commune_lies_in_the_departement_of_the_nearest_seat(commune: str, departement: str):
    french = places.french_places()

    assert departement in french.subregions[french.names == commune]


@pytest.mark.parametrize("name", ["Paris 15 Vaugirard", "Bell Road (historical)", "Fenway/Kenmore", "Lyon 03", ""])
def test_gazetteer_entries_that_nobody_writes_in_an_address_are_left_out(name: str):
    assert not places.is_locality_name(name)


@pytest.mark.parametrize("name", ["L'Haÿ-les-Roses", "St. Louis", "Coeur d'Alene", "‘Ele‘ele", "Œting"])
def test_names_with_marks_and_apostrophes_are_localities(name: str):
    assert places.is_locality_name(name)


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("Москва", "Cyrillic"),
        ("نيويورك", "Arabic"),
        ("巴黎", "Han"),
        ("シカゴ", "Kana"),
        ("サン・ドニ", "Kana"),
        ("서울", "Hangul"),
        ("Αθήνα", "Greek"),
        ("תל אביב", "Hebrew"),
        ("मुंबई", "Devanagari"),
        ("กรุงเทพ", "Thai"),
        ("Chicago", None),
        ("anګwrdany", None),
        ("لافایت، لوئیزیانا", None),
        ("Šikago", None),
    ],
)
def test_a_name_counts_for_a_script_only_when_all_of_it_is_in_that_script(name: str, script: str | None):
    assert scripts.script_of(name) == script


def test_countries_are_named_in_the_language_of_the_script():
    assert scripts.country_names("ru")["FR"] == "Франция"
    assert scripts.country_names("ja")["FR"] == "フランス"
    assert scripts.country_names("zh")["US"] == "美国"


def test_japanese_places_in_kanji_are_read_in_japanese_and_others_in_chinese():
    countries = np.array(["JP", "US", "CN"] * 50, dtype=object)
    languages = scripts.draw_languages("Han", countries, np.random.default_rng(0))

    assert set(languages[countries == "JP"]) == {"ja"}
    assert "ja" not in set(languages[countries != "JP"])


def test_no_city_has_a_loose_space_in_its_name():
    names = [city["name"] for city in places.cities()]
    assert "Querum - Wabenkamp" in names, "GeoNames has two spaces in it"
    assert [name for name in names if name != " ".join(name.split())] == []
