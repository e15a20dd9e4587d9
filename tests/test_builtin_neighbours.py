"""Addresses of other countries in their own Latin-written languages."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pycountry
import pytest

from mw_pipeline.sources.builtin import neighbours, places
from mw_pipeline.sources.builtin.drafts import present
from mw_pipeline.sources.builtin.grammar import read_table, split_items

DRAFTS = neighbours.neighbour_drafts(6000, np.random.default_rng(4))


COUNTRIES = tuple(neighbours.COUNTRIES_OF.items())
TOWNS = tuple((city["name"], city["countrycode"]) for city in places.cities())


def rows_of(country: str) -> np.ndarray:
    return np.flatnonzero(DRAFTS.countries == country)


def streets_of(country: str) -> list[str]:
    return [text for text in DRAFTS.tags["street"][rows_of(country)] if text is not None]


def test_every_country_is_written_in_one_of_its_languages():
    found = set(zip((locale[:2] for locale in DRAFTS.locales), DRAFTS.countries, strict=True))

    assert found == {(language, code) for language, codes in neighbours.COUNTRIES_OF.items() for code in codes}


def test_a_town_lies_in_the_country_of_its_row():
    country_of = {city["geonameid"]: (city["name"], city["countrycode"]) for city in places.cities()}

    for row in range(len(DRAFTS)):
        town, country = country_of[int(DRAFTS.place_ids[row])]
        assert country == DRAFTS.countries[row]
        written = DRAFTS.tags["locality"][row]
        ways = neighbours.ways_to_write(DRAFTS.locales[row][:2], country, town)
        assert (
            written in ways or written == town or written.startswith((f"{town} ", f"{town}-", f"{town}/", f"{town},"))
        )


@pytest.mark.parametrize(
    ("language", "country", "town", "way"),
    [
        ("de", "AT", "Calau an der Oder", "Calau a.d. Oder"),
        ("de", "DE", "Sankt Veit", "St. Veit"),
        ("es", "ES", "Las Matas", "Matas, Las"),
        ("es", "MX", "San Blas", "S. Blas"),
        ("it", "IT", "Sant'Elia", "S. Elia"),
        ("nl", "BE", "Hoek aan den IJssel", "Hoek a/d IJssel"),
        ("pt", "BR", "São Tomé", "S. Tomé"),
    ],
)
def test_what_people_shorten_in_the_names_of_towns_is_shortened(language: str, country: str, town: str, way: str):
    assert way in neighbours.ways_to_write(language, country, town)
    assert town not in neighbours.ways_to_write(language, country, town)


def test_an_article_is_turned_in_spain_alone():
    assert neighbours.ways_to_write("es", "PE", "La Huaca") == ()


@pytest.mark.parametrize("key", tomllib.loads(read_table("town_ways.toml")))
def test_each_way_to_write_a_town_is_of_people_whose_towns_are_drawn_and_meets_some_town(key: str):
    people = [(language, code) for language, codes in COUNTRIES for code in codes if key in (language, code)]
    towns = [name for name, country in TOWNS if any(country == code for _, code in people)]

    assert people
    for pattern in tomllib.loads(read_table("town_ways.toml"))[key]:
        assert any(re.search(pattern, town) for town in towns), pattern


def test_towns_that_people_shorten_are_met_short_about_as_often_as_long():
    name_of = dict(zip((city["geonameid"] for city in places.cities()), places.cities(), strict=True))
    short = []
    for row in range(len(DRAFTS)):
        town = name_of[int(DRAFTS.place_ids[row])]["name"]
        if ways := neighbours.ways_to_write(DRAFTS.locales[row][:2], DRAFTS.countries[row], town):
            short.append(DRAFTS.tags["locality"][row] in ways)

    assert len(short) > 100 and 0.35 < np.mean(short) < 0.6


def test_each_country_with_more_names_of_areas_is_drawn_and_some_of_them_are_met():
    more = tomllib.loads(read_table("more_areas.toml"))

    assert more.keys() <= {code for _, codes in COUNTRIES for code in codes}
    for country, names in more.items():
        assert set(split_items(names)) & set(DRAFTS.tags["region"][rows_of(country)]), country


SPAINS_OWN = r"(?:PZ|CM|PS|UR) .*|.* kalea|Carrer .*|Rúa .*|.* \((?:DEL?|DE LAS?|EL|LA|LOS|LAS)\)|Diseminado.*"


def test_what_only_spain_writes_stands_in_spain():
    shares = {
        country: np.mean([re.fullmatch(SPAINS_OWN, text) is not None for text in streets_of(country)])
        for country in ("ES", "MX", "PE", "CL", "AR", "CO")
    }

    assert shares.pop("ES") > 0.07
    assert max(shares.values()) == 0


def test_a_part_of_a_town_is_no_town_and_lies_in_the_country_of_its_row():
    parts = {
        country: set(DRAFTS.tags["dependent_locality"][rows_of(country)]) - {None} for country in ("DE", "MX", "ES")
    }

    assert any(part.startswith("OT ") for part in parts["DE"]) and any(part.startswith("Col") for part in parts["MX"])
    assert not parts["ES"]
    german = {name for name, country in TOWNS if country == "DE"}
    assert {part.partition(" ")[2] for part in parts["DE"]} <= german


def test_some_towns_stand_with_what_tells_them_from_others():
    name_of = {city["geonameid"]: city["name"] for city in places.cities()}
    names = [name_of[number] for number in DRAFTS.place_ids.tolist()]
    longer = [text != name and text.startswith(name) for text, name in zip(DRAFTS.tags["locality"], names, strict=True)]

    assert 0.06 < np.mean(longer) < 0.1


def test_a_name_with_nothing_to_shorten_has_one_way():
    assert neighbours.ways_to_write("de", "DE", "Kiel") == ()


def test_no_quarter_is_written_beside_its_town():
    assert not [town for town in DRAFTS.tags["locality"] if " / " in town]


@pytest.mark.parametrize("country", ["DE", "ES", "IT", "NL", "BR"])
def test_an_area_is_one_of_the_country(country: str):
    areas = pycountry.subdivisions.get(country_code=country)
    known = {name for area in areas for name in (area.code[3:], *neighbours.names_in(area.name))}
    known |= set(split_items(tomllib.loads(read_table("more_areas.toml")).get(country, "")))
    named = {area for area in DRAFTS.tags["region"][rows_of(country)] if area is not None}

    assert named and named <= known
    assert "Curaçao" not in named


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("Toscana", ["Toscana"]),
        ("Illes Balears [Islas Baleares]", ["Illes Balears", "Islas Baleares"]),
        ("Murcia, Región de", ["Región de Murcia", "Murcia"]),
        ("Navarra, Comunidad Foral de", ["Comunidad Foral de Navarra", "Navarra"]),
        ("Valenciana, Comunidad", ["Comunidad Valenciana"]),
        ("wallonne, Région", ["Région wallonne"]),
        ("San Andrés, Providencia y Santa Catalina", ["San Andrés, Providencia y Santa Catalina"]),
    ],
)
def test_an_entry_of_the_standard_is_written_as_people_write_it(entry: str, names: list[str]):
    assert neighbours.names_in(entry) == names


def test_regions_provinces_and_their_letters_are_met_as_often_as_each_other():
    regions = [area for area in DRAFTS.tags["region"][rows_of("IT")] if area is not None]
    shares = [np.isin(regions, areas).mean() for areas in neighbours.areas_of("IT")]

    assert len(shares) == 3
    assert min(shares) > 0.27 and sum(shares) > 0.99


@pytest.mark.parametrize(
    ("language", "street"),
    [
        ("de", r".*(?:straße|weg|gasse|platz|allee|ring)|Am .*|.* Straße"),
        ("es", "(?:Calle|Avenida|Plaza|C/|Paseo|CL|AV|PZ|Carrer|Rúa) .*|.* kalea"),
        ("it", "(?:Via|Viale|Piazza|Corso) .*"),
        ("nl", ".*(?:straat|weg|laan|plein|gracht)"),
        ("pt", "(?:Rua|Avenida|Travessa|Praça) .*"),
    ],
)
def test_most_streets_show_their_language(language: str, street: str):
    streets = [
        text
        for text, locale in zip(DRAFTS.tags["street"], DRAFTS.locales, strict=True)
        if text is not None and locale.startswith(language)
    ]

    assert sum(re.fullmatch(street, text) is not None for text in streets) > 0.4 * len(streets)
    assert len(set(streets)) > 300


def test_most_letters_within_a_country_leave_its_name_out():
    assert 0.2 < present(DRAFTS.tags["country"]).mean() < 0.3


def test_no_number_or_unit_stands_without_a_street():
    street = present(DRAFTS.tags["street"])

    assert not (present(DRAFTS.tags["house_number"]) & ~street).any()
    assert not (present(DRAFTS.tags["unit"]) & ~present(DRAFTS.tags["house_number"])).any()
    assert present(DRAFTS.tags["unit"]).any()
