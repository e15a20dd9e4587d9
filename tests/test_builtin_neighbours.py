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


def rows_of(country: str) -> np.ndarray:
    return np.flatnonzero(DRAFTS.countries == country)


def test_every_country_is_written_in_one_of_its_languages():
    found = set(zip((locale[:2] for locale in DRAFTS.locales), DRAFTS.countries, strict=True))

    assert found == {(language, code) for language, codes in neighbours.COUNTRIES_OF.items() for code in codes}


def test_a_town_lies_in_the_country_of_its_row():
    country_of = {city["geonameid"]: (city["name"], city["countrycode"]) for city in places.cities()}

    for row in range(len(DRAFTS)):
        town, country = country_of[int(DRAFTS.place_ids[row])]
        assert country == DRAFTS.countries[row]
        written = DRAFTS.tags["locality"][row]
        assert written in neighbours.ways_to_write(DRAFTS.locales[row][:2], town) or written.startswith(town)


@pytest.mark.parametrize(
    ("language", "town", "way"),
    [
        ("de", "Calau an der Oder", "Calau a.d. Oder"),
        ("de", "Sankt Veit", "St. Veit"),
        ("es", "Las Matas", "Matas, Las"),
        ("it", "Sant'Elia", "S. Elia"),
        ("nl", "Hoek aan den IJssel", "Hoek a/d IJssel"),
        ("pt", "São Tomé", "S. Tomé"),
    ],
)
def test_what_people_shorten_in_the_names_of_towns_is_shortened(language: str, town: str, way: str):
    assert way in neighbours.ways_to_write(language, town)
    assert town not in neighbours.ways_to_write(language, town)


def test_some_towns_stand_with_what_tells_them_from_others():
    name_of = {city["geonameid"]: city["name"] for city in places.cities()}
    names = [name_of[number] for number in DRAFTS.place_ids.tolist()]
    longer = [text != name and text.startswith(name) for text, name in zip(DRAFTS.tags["locality"], names, strict=True)]

    assert 0.06 < np.mean(longer) < 0.1


def test_a_name_with_nothing_to_shorten_has_one_way():
    assert neighbours.ways_to_write("de", "Kiel") == ()


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
