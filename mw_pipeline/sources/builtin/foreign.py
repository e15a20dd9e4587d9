"""Addresses that are not written the local way: places of the world in their own script, American and French places in
others', and foreign cities under their Latin names.

A name stands in another script only where it is known in it: towns from GeoNames, countries from CLDR, regions and
famous places from the tables. A street in another script lies in a country of its own language; American and French
streets keep their Latin letters.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.sources.builtin.drafts import Drafts, empty_column, joined, only_where, present
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
from mw_pipeline.sources.builtin.kinds import grammar, places_of
from mw_pipeline.sources.builtin.places import region_names
from mw_pipeline.sources.builtin.postcodes import expand_prefixes
from mw_pipeline.sources.builtin.row_values import RowValues
from mw_pipeline.sources.builtin.scripts import (
    SCRIPTS,
    ScriptNames,
    country_names,
    draw_abroad,
    draw_languages,
    draw_scripts,
    home_indices,
    home_regions,
    latin_world,
    script_names,
)
from mw_pipeline.sources.builtin.tsv import rows_of

# How often a part is written: of rows at home (US, FR) and of rows in a country of their own language.
_HOME_VENUES, _OWN_VENUES, _OTHER_VENUES = 0.2, 0.3, 0.04
_OWN_STREETS, _LATIN_STREETS = 0.3, 0.16
# Where an American or French town is in another script and its region code and postcode are as the post has them.
_LATIN_CODES = 0.25
_HOME_SHARE = 0.62
_COUNTRIES_A_BATCH = 12
# Countries whose own language it is: streets, areas and generic venues are written there.
_OWN_COUNTRIES = {
    "ja": "JP", "zh": "CN", "ko": "KR", "ru": "RU", "uk": "UA", "zh_Hant": "TW", "el": "GR CY", "hi": "IN", "th": "TH",
    "he": "IL", "bg": "BG", "sr": "RS", "ka": "GE", "hy": "AM", "bn": "BD", "fa": "IR", "ur": "PK",
    "ar": "EG SA AE DZ IQ JO KW LB MA SY TN",
}  # fmt: skip
# City, town, village and ward.
_JAPANESE_KINDS = "市町村区"
# Tables written for one language serve those that read them too.
_TABLE_OF = {"zh_Hant": "zh", "mr": "hi", "ne": "hi"}


@dataclass(frozen=True)
class _Group:
    """Rows of one script and language: the drawn names and where they lie."""

    names: ScriptNames
    drawn: Rows
    language: str
    rng: np.random.Generator

    def __len__(self) -> int:
        return len(self.drawn)

    @property
    def places(self) -> Strings:
        return self.names.names[self.drawn]

    @property
    def countries(self) -> Strings:
        return self.names.countries[self.drawn]

    def bernoulli(self, share: float) -> NDArray[np.bool_]:
        return self.rng.random(len(self)) < share


def script_drafts(count: int, rng: np.random.Generator) -> Drafts:
    """That many addresses in other scripts than Latin."""
    abroad, parts = draw_abroad(rng, _COUNTRIES_A_BATCH), []
    for number, rows in groups_of(draw_scripts(rng, count)):
        names = script_names()[SCRIPTS[number]]
        drawn = names.draw(rng, len(rows), home_share=_HOME_SHARE, abroad=abroad)
        languages = draw_languages(names.script, names.countries[drawn], rng)
        codes, index = np.unique(languages.astype(str), return_inverse=True)
        for code, positions in groups_of(index):
            parts.append(_language_drafts(_Group(names, drawn[positions], str(codes[code]), rng)))
    return joined(parts)


def world_drafts(count: int, rng: np.random.Generator, *, abroad: Sequence[str]) -> Drafts:
    """That many cities of some other countries in Latin letters with their country in English or French, and most with
    somebody or some street that is written to: few towns could not teach their country in as many texts. Some streets
    stand in their country alone."""
    names = latin_world()
    drawn = names.draw_evenly(rng, count, abroad)
    countries, rows = names.countries[drawn], np.arange(count)
    english = _every_second(countries, rng)
    # Most who write "Georgia" mean the state.
    english &= ~np.isin(_named(countries, "en").astype(str), list(region_names("US").values())) | (rows % 5 == 0)
    write = Expansion(grammar(), rng, {}).expand
    streets = np.where(english, write("world_street_en", rows), write("world_street_fr", rows))
    with_street = rng.random(count) < 0.62
    numbered = with_street & (rng.random(count) < 0.9)
    in_town = ~with_street | (rng.random(count) < 0.8)
    return Drafts(
        tags={
            "venue": only_where(rng.random(count) < 0.6, write("world_venue", rows)),
            "house_number": only_where(numbered, write("world_number", rows)),
            "street": only_where(with_street, streets),
            "locality": only_where(in_town, names.names[drawn]),
            "postcode": only_where(rng.random(count) < 0.3, _postcodes(countries, names.regions[drawn], rng)),
            "country": np.where(english, _named(countries, "en"), _named(countries, "fr")),
        },
        countries=countries,
        locales=np.full(count, "en", dtype=object),
        place_ids=names.ids[drawn],
        region_keys=np.full(count, "", dtype=object),
    )


def _every_second(values: Strings, rng: np.random.Generator) -> NDArray[np.bool_]:
    """True for half of the rows of each value: what is drawn row by row leaves some value with few of one kind."""
    chosen = np.empty(len(values), np.bool_)
    chosen[np.argsort(values, kind="stable")] = (np.arange(len(values)) + rng.integers(2)) % 2 == 0
    return chosen


@functools.cache
def script_grammar() -> Grammar:
    """Venues and streets of every language that has some; `place` is the row's own name."""
    return Grammar(load_tables("scripts"), bound=("place",))


@functools.cache
def native_regions() -> Mapping[str, Strings]:
    """Country to names of its administrative areas in its own script."""
    table = tomllib.loads(read_table("native_regions.toml"))
    return {country: np.array(split_items(text), dtype=object) for country, text in table.items()}


@functools.cache
def postcode_grammar() -> Grammar:
    """The shape of the postcodes of many countries, by country code."""
    return Grammar(load_tables("postcodes"))


@functools.cache
def prefectures() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """GeoNames code of a Japanese prefecture to its name and the beginnings of its postcodes."""
    rows = rows_of("jp_prefectures.tsv")
    return {row["geonames"]: (row["name"], tuple(expand_prefixes(row["prefixes"]))) for row in rows}


def _language_drafts(group: _Group) -> Drafts:
    own = np.isin(group.countries.astype(str), _OWN_COUNTRIES.get(group.language, "").split())
    home = _home_rows(group)
    at_home = np.zeros(len(group), np.bool_)
    for rows, _ in home.values():
        at_home[rows] = True
    tags = {"locality": _localities(group, own), "country": _country_column(group)}
    tags["region"] = only_where(group.bernoulli(0.6), _regions(group, own))
    tags["postcode"] = only_where(own & group.bernoulli(0.45), _postcodes(group.countries, _areas(group), group.rng))
    if group.language == "ja":
        tags["postcode"] = _with_post_mark(tags["postcode"], group.bernoulli(0.4))
    tags |= _local_words(group, own, at_home)
    _add_latin_parts(tags, group, home)
    return Drafts(
        tags=tags,
        countries=group.countries,
        locales=np.array([f"{group.language.replace('_', '-')}-{code}" for code in group.countries], dtype=object),
        place_ids=group.names.ids[group.drawn],
        region_keys=group.names.keys[group.drawn],
    )


def _localities(group: _Group, own: NDArray[np.bool_]) -> Strings:
    """The names of the places; in Japan most with the word for city or town, which gazetteers leave out, and some with
    the district or the ward beside it."""
    names = group.places
    if group.language != "ja" or not own.any():
        return names
    names, others = names.copy(), group.rng.permutation(names)
    ways = group.rng.random(len(names))
    for row in np.flatnonzero(own & (ways < 0.75)):
        if _is_kanji(names[row][-1]) and not set(_JAPANESE_KINDS) & set(names[row][:-1]):
            names[row] = _municipality(names[row], others[row], ways[row])
    return names


def _municipality(name: str, other: str, way: float) -> str:
    """A name as a city, or as a town or village of a district, or with a ward of another name; `way` is below 0.75."""
    whole = name if name[-1] in _JAPANESE_KINDS else f"{name}市"
    bare, neighbour = whole.rstrip(_JAPANESE_KINDS), other.rstrip(_JAPANESE_KINDS)
    if bare == neighbour or not whole.endswith("市") or not (neighbour and _is_kanji(neighbour[-1])):
        return whole
    written = (f"{neighbour}郡{bare}町", f"{neighbour}郡{bare}村", f"{whole}{neighbour}区", whole)
    return written[int(np.searchsorted((0.1, 0.13, 0.23), way, side="right"))]


def _is_kanji(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def _with_post_mark(postcodes: Strings, marked: NDArray[np.bool_]) -> Strings:
    """Postcodes as Japanese mail has them, some behind the sign of its post."""
    pairs = zip(postcodes, marked, strict=True)
    return np.array([f"〒{code}" if code and mark else code for code, mark in pairs], dtype=object)


def _country_column(group: _Group) -> Strings:
    own = _named(group.countries, group.language)
    english = _named(group.countries, "en")
    named = np.where(group.bernoulli(0.88), own, np.where(group.bernoulli(0.8), english, group.countries))
    return only_where(group.bernoulli(0.85) & present(named), named)


def _areas(group: _Group) -> Strings:
    return group.names.regions[group.drawn]


def postcodes_like(countries: Strings, rng: np.random.Generator) -> Strings:
    """A postcode in the shape of each country; None where the shape is not known."""
    found = empty_column(len(countries))
    expansion = Expansion(postcode_grammar(), rng, {})
    for country in sorted(set(countries.tolist()) & set(postcode_grammar().symbols)):
        rows = np.flatnonzero(countries == country)
        found[rows] = expansion.expand(country, rows)
    return found


def _postcodes(countries: Strings, areas: Strings, rng: np.random.Generator) -> Strings:
    """A postcode in the shape of each country, in Japan one of the prefecture; None where the shape is not known."""
    found = postcodes_like(countries, rng)
    for row in np.flatnonzero(countries == "JP"):
        _, beginnings = prefectures().get(areas[row], ("", ()))
        if beginnings:
            found[row] = f"{beginnings[rng.integers(len(beginnings))]}{rng.integers(10)}-{rng.integers(10_000):04d}"
    return found


def _named(countries: Strings, language: str) -> Strings:
    names = country_names(language)
    return np.array([names.get(code) for code in countries], dtype=object)


def _regions(group: _Group, own: NDArray[np.bool_]) -> Strings:
    """Names of regions in the group's language: the true one at home and in Japan, one of the country's elsewhere."""
    named = home_regions(group.language)
    found = empty_column(len(group))
    for row, (country, region) in enumerate(zip(group.countries, _areas(group), strict=True)):
        if (country, region) in named:
            found[row] = named[country, region]
        elif own[row] and country == "JP":
            found[row] = prefectures().get(region, (None, ()))[0]
        elif own[row] and country in native_regions():
            options = native_regions()[country]
            found[row] = options[group.rng.integers(len(options))]
    return found


def _local_words(group: _Group, own: NDArray[np.bool_], at_home: NDArray[np.bool_]) -> dict[str, Strings]:
    """Venues, streets and numbers in the group's own language: generic ones in its countries, famous ones at home."""
    prefix, symbols = _TABLE_OF.get(group.language, group.language), script_grammar().symbols
    expansion = Expansion(script_grammar(), group.rng, {"place": group.places})
    tags, venue, street = {}, f"{prefix}_venue", f"{prefix}_street"
    if venue in symbols:
        share = np.where(own, _OWN_VENUES, np.where(at_home, _HOME_VENUES, _OTHER_VENUES))
        asked = group.rng.random(len(group)) < share
        known = at_home & group.bernoulli(0.85) & (f"{prefix}_famous" in symbols)
        famous = known & asked
        tags["venue"] = expansion.fill(venue, asked & ~known)
        if famous.any():
            tags["venue"][famous] = expansion.expand(f"{prefix}_famous", np.flatnonzero(famous))
    if street in symbols:
        with_street = own & group.bernoulli(_OWN_STREETS)
        tags["street"] = expansion.fill(street, with_street)
        tags["house_number"] = only_where(with_street & group.bernoulli(0.8), _numbers(group))
    return tags


def _numbers(group: _Group) -> Strings:
    """House numbers; those of Japan are block and house."""
    numbers = group.rng.integers(1, 200, size=len(group)).astype(str).astype(object)
    if group.language != "ja":
        return numbers
    blocks = group.rng.integers(1, 40, size=len(group)).astype(str).astype(object)
    houses = group.rng.integers(1, 30, size=len(group)).astype(str).astype(object)
    return np.asarray(blocks + "-" + houses, dtype=object)


def _home_rows(group: _Group) -> dict[str, tuple[Rows, Rows]]:
    """Country to (rows of the group that lie in it, indices of their places)."""
    found = {}
    for country in ("US", "FR"):
        index = home_indices(group.names, group.drawn, places_of(country))
        rows = np.flatnonzero((group.countries == country) & (index >= 0))
        found[country] = (rows, index[rows])
    return found


def _add_latin_parts(tags: dict[str, Strings], group: _Group, home: Mapping[str, tuple[Rows, Rows]]) -> None:
    """American and French rows keep a street, a postcode, a region code, now and then the town, in Latin letters."""
    for tag in ("street", "house_number"):
        tags.setdefault(tag, empty_column(len(group)))
    for country, (rows, places) in home.items():
        prefix, rng = country.lower(), group.rng
        expansion = Expansion(grammar(), rng, RowValues(places_of(country), places, rng))
        with_street = rng.random(len(rows)) < _LATIN_STREETS
        with_codes = rng.random(len(rows)) < _LATIN_CODES
        tags["street"][rows] = expansion.fill(f"{prefix}_street", with_street)
        numbered = with_street & (rng.random(len(rows)) < 0.9)
        tags["house_number"][rows] = expansion.fill(f"{prefix}_number", numbered)
        coded = rng.random(len(rows)) < np.where(with_codes, 0.8, np.where(with_street, 0.6, 0.1))
        tags["postcode"][rows] = expansion.fill("postcode", coded)
        if country == "US":
            codes = expansion.fill("region_code", with_codes)
            tags["region"][rows] = np.where(with_codes, codes, tags["region"][rows])
        latin_town = with_street & (rng.random(len(rows)) < 0.2)
        latin = group.names.latin[group.drawn[rows]]
        tags["locality"][rows] = np.where(latin_town, latin, tags["locality"][rows])
