"""Addresses of other countries with Latin letters, in their own language, as letters within the country: most leave its
name out."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence

import numpy as np
import pycountry
from numpy.typing import NDArray

from mw_pipeline.sources.builtin.drafts import Drafts, empty_column, joined, only_where, present
from mw_pipeline.sources.builtin.foreign import postcodes_like
from mw_pipeline.sources.builtin.grammar import (
    Expansion,
    Grammar,
    Rows,
    Strings,
    groups_of,
    load_tables,
    read_table,
    split_items,
)
from mw_pipeline.sources.builtin.scripts import ScriptNames, country_names, latin_towns

# Language to its countries, as often as each is drawn.
COUNTRIES_OF: Mapping[str, tuple[str, ...]] = {
    "de": ("DE", "DE", "DE", "AT", "CH"),
    "es": ("ES", "ES", "ES", "MX", "AR", "CO", "CL", "PE"),
    "it": ("IT",),
    "nl": ("NL", "NL", "BE"),
    "pt": ("PT", "BR"),
}
_VENUES, _STREETS, _NUMBERS, _UNITS, _PARTS = 0.2, 0.88, 0.93, 0.1, 0.06
_POSTCODES, _REGIONS, _COUNTRIES = 0.85, 0.55, 0.25
# Of the towns whose names begin or end with what people shorten: how many are written so. Of all towns: how many stand
# with what tells them from others of their name.
_SHORTENED, _QUALIFIED = 0.5, 0.08
# Countries whose areas people also write by the letters of their code: `Roma RM`, `São Paulo - SP`.
_AREAS_BY_CODE = frozenset({"IT", "BR"})
# Parts of a kingdom overseas, which are countries of their own.
_ELSEWHERE = frozenset({"Country", "Special municipality"})


def neighbour_drafts(count: int, rng: np.random.Generator) -> Drafts:
    """That many addresses of these countries, of each language as many.

    A town is a real one with its own country; the area beside it is one of its country, and the postcode one of its
    shape, because no dependency knows which ones are its own."""
    languages = list(COUNTRIES_OF)
    of_rows = rng.integers(len(languages), size=count)
    return joined([_language_drafts(languages[number], len(rows), rng) for number, rows in groups_of(of_rows)])


@functools.cache
def neighbour_grammar() -> Grammar:
    """Streets, numbers, units, addressees and parts of towns by language, `de_street`, and those of one country in it,
    `es_street_of_es`; `place` is the row's own town, `town` another one."""
    return Grammar(load_tables("local_streets"), bound=("place", "town"))


@functools.cache
def areas_of(country: str) -> tuple[Strings, ...]:
    """The names of a country's areas in ISO 3166-2, first of those that lie in no other together with what else people
    call areas there, then of those within, then their codes where people write these; each in order, none empty."""
    known = pycountry.subdivisions.get(country_code=country)  # type: ignore[no-untyped-call]
    areas = [area for area in known if area.type not in _ELSEWHERE]
    ranks = [
        [name for area in areas if bool(area.parent_code) is within for name in names_in(area.name)]
        for within in (False, True)
    ]
    ranks[0] += split_items(_more_areas().get(country, ""))
    codes = [area.code.partition("-")[2] for area in areas] if country in _AREAS_BY_CODE else []
    found = (*ranks, [code for code in codes if code.isalpha()])
    return tuple(np.array(sorted({*names}), dtype=object) for names in found if names)


@functools.cache
def _more_areas() -> Mapping[str, str]:
    return tomllib.loads(read_table("more_areas.toml"))


def names_in(entry: str) -> list[str]:
    """The names that an entry of ISO 3166-2 stands for: `Illes Balears [Islas Baleares]` for both, `Murcia, Región de`
    for Región de Murcia and for Murcia."""
    if both := re.fullmatch(r"(.+) \[(.+)\]", entry):
        return list(both.groups())
    if turned := re.fullmatch(r"(.+), (\S+|.+ d[eo]l?)", entry):
        name, kind = turned.groups()
        return [f"{kind} {name}", name] if " " in kind else [f"{kind} {name}"]
    return [entry]


@functools.cache
def ways_to_write(language: str, country: str, town: str) -> tuple[str, ...]:
    """Other ways that people of a country have for a town, in order: `Calau a. d. Oder` for `Calau an der Oder`."""
    known = _town_ways()[language] | _town_ways().get(country, {})
    written = {found.sub(way, town) for found, ways in known.items() for way in ways}
    return tuple(sorted(written - {town}))


@functools.cache
def _town_ways() -> Mapping[str, dict[re.Pattern[str], Sequence[str]]]:
    tables = tomllib.loads(read_table("town_ways.toml"))
    return {language: {re.compile(found): ways for found, ways in table.items()} for language, table in tables.items()}


def _towns() -> ScriptNames:
    return latin_towns(tuple(sorted({country for countries in COUNTRIES_OF.values() for country in countries})))


def _language_drafts(language: str, count: int, rng: np.random.Generator) -> Drafts:
    towns, symbols = _towns(), neighbour_grammar().symbols
    drawn = towns.draw_evenly(rng, count, COUNTRIES_OF[language])
    places, countries = towns.names[drawn], towns.countries[drawn]
    of_countries = [rows for _, rows in groups_of(np.unique(countries.astype(str), return_inverse=True)[1])]
    others = _of_neighbours(places, of_countries, rng)
    expansion = Expansion(neighbour_grammar(), rng, {"place": places, "town": others})

    def asked(share: float) -> NDArray[np.bool_]:
        return np.asarray(rng.random(count) < share)

    def written(part: str, wanted: NDArray[np.bool_]) -> Strings:
        """A part of the wanted rows as their country has it, else as all of the language do; none if neither does."""
        column = empty_column(count)
        for rows in of_countries:
            own = f"{language}_{part}_of_{countries[rows[0]].lower()}"
            symbol = own if own in symbols else f"{language}_{part}"
            if symbol in symbols and len(due := rows[wanted[rows]]):
                column[due] = expansion.expand(symbol, due)
        return column

    with_street = asked(_STREETS)
    numbered = with_street & asked(_NUMBERS)
    qualified = written("qualified", asked(_QUALIFIED))
    named = country_names(language)
    return Drafts(
        tags={
            "venue": written("venue", asked(_VENUES)),
            "street": written("street", with_street),
            "house_number": written("number", numbered),
            "unit": written("unit", numbered & asked(_UNITS)),
            "dependent_locality": written("part", asked(_PARTS)),
            "postcode": only_where(asked(_POSTCODES), postcodes_like(countries, rng)),
            "locality": np.where(present(qualified), qualified, _as_written(places, countries, language, rng)),
            "region": only_where(asked(_REGIONS), _areas(countries, rng)),
            "country": only_where(asked(_COUNTRIES), np.array([named.get(code) for code in countries], dtype=object)),
        },
        countries=countries,
        locales=np.array([f"{language}-{code}" for code in countries], dtype=object),
        place_ids=towns.ids[drawn],
        region_keys=towns.keys[drawn],
    )


def _areas(countries: Strings, rng: np.random.Generator) -> Strings:
    found = np.empty(len(countries), dtype=object)
    for country in sorted(set(countries.tolist())):
        rows = np.flatnonzero(countries == country)
        of_rank = rng.integers(len(areas_of(country)), size=len(rows))
        for rank, positions in groups_of(of_rank):
            options = areas_of(country)[rank]
            found[rows[positions]] = options[rng.integers(len(options), size=len(positions))]
    return found


def _of_neighbours(places: Strings, of_countries: Sequence[Rows], rng: np.random.Generator) -> Strings:
    """For each row the town of another one of its country."""
    others = places.copy()
    for rows in of_countries:
        order = rng.permutation(rows)
        others[order] = places[np.roll(order, 1)]
    return others


def _as_written(towns: Strings, countries: Strings, language: str, rng: np.random.Generator) -> Strings:
    written = towns.copy()
    for row in np.flatnonzero(rng.random(len(towns)) < _SHORTENED):
        if ways := ways_to_write(language, countries[row], towns[row]):
            written[row] = ways[rng.integers(len(ways))]
    return written
