"""Addresses of other countries in their own Latin-written languages."""

from __future__ import annotations

import re

import numpy as np
import pycountry
import pytest

from mw_pipeline.sources.builtin import neighbours, places
from mw_pipeline.sources.builtin.drafts import present

DRAFTS = neighbours.neighbour_drafts(6000, np.random.default_rng(4))


def rows_of(country: str) -> np.ndarray:
    return np.flatnonzero(DRAFTS.countries == country)


def test_every_country_is_written_in_one_of_its_languages():
    found = set(zip((locale[:2] for locale in DRAFTS.locales), DRAFTS.countries, strict=True))

    assert found == {(language, code) for language, codes in neighbours.COUNTRIES_OF.items() for code in codes}


def test_a_town_lies_in_the_country_of_its_row():
    country_of = {city["geonameid"]: (city["name"], city["countrycode"]) for city in places.cities()}

    for row in range(len(DRAFTS)):
        found = country_of[int(DRAFTS.place_ids[row])]
        assert found == (DRAFTS.tags["locality"][row], DRAFTS.countries[row])


@pytest.mark.parametrize("country", ["DE", "ES", "IT", "NL", "BR"])
def test_an_area_is_one_of_the_country(country: str):
    areas = pycountry.subdivisions.get(country_code=country)
    known = {name for area in areas for name in (area.code[3:], *neighbours.names_in(area.name))}
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
        ("es", "(?:Calle|Avenida|Plaza|C/|Paseo) .*"),
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
