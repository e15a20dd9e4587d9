"""Addresses that are not written the local way: places of the world in their own script, American and French places in
others', and foreign cities under their Latin names."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.sources.builtin.drafts import Drafts, empty_column, joined, where_asked, written
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
from mw_pipeline.sources.builtin.kinds import RowValues, grammar, places_of
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

# How an address in another script is put together, and how often.
_STYLES: Mapping[str, float] = {
    "place": 7,
    "place_country": 26,
    "region": 12,
    "venue": 34,
    "street": 6,
    "venue_street": 3,
    "latin_street": 7,
    "venue_latin_street": 5,
}
_HOME_SHARE = 0.62
_COUNTRIES_A_BATCH = 12
_NATIVE_REGION_LANGUAGES = {
    "JP": "ja", "CN": "zh", "KR": "ko", "RU": "ru", "UA": "uk", "TW": "zh_Hant", "EG": "ar", "SA": "ar", "GR": "el",
    "IN": "hi", "TH": "th", "IL": "he",
}  # fmt: skip
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

    def often(self, share: float) -> NDArray[np.bool_]:
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


def world_drafts(count: int, rng: np.random.Generator) -> Drafts:
    """That many cities of other countries in Latin letters, most with their country in English or French."""
    names = latin_world()
    drawn = names.draw_abroad(rng, count, abroad=draw_abroad(rng, _COUNTRIES_A_BATCH))
    countries = names.countries[drawn]
    english = _named(countries, "en")
    named = np.where(rng.random(count) < 0.7, english, _named(countries, "fr"))
    shown = (rng.random(count) < 0.85) & written(named)
    return Drafts(
        tags={"locality": names.names[drawn], "country": where_asked(shown, named)},
        countries=countries,
        locales=np.full(count, "en", dtype=object),
        place_ids=names.ids[drawn],
        region_keys=np.full(count, "", dtype=object),
    )


@functools.cache
def script_grammar() -> Grammar:
    """Venues and streets of every language that has some; `place` is the row's own name."""
    return Grammar(load_tables("scripts"), bound=("place",))


@functools.cache
def native_regions() -> Mapping[str, Strings]:
    """Country to names of its administrative areas in its own script."""
    table = tomllib.loads(read_table("native_regions.toml"))
    return {country: np.array(split_items(text), dtype=object) for country, text in table.items()}


def _language_drafts(group: _Group) -> Drafts:
    styles = _draw_styles(group)
    tags = {"locality": group.places, "country": _country_column(group, styles)}
    tags["region"] = where_asked(styles == "region", _regions(group))
    tags |= _local_words(group, styles)
    home = _home_rows(group)
    _add_latin_parts(tags, group, styles, home)
    return Drafts(
        tags=tags,
        countries=group.countries,
        locales=np.array([f"{group.language.replace('_', '-')}-{code}" for code in group.countries], dtype=object),
        place_ids=group.names.ids[group.drawn],
        region_keys=group.names.keys[group.drawn],
    )


def _draw_styles(group: _Group) -> Strings:
    names = np.array(list(_STYLES), dtype=object)
    shares = np.array(list(_STYLES.values()))
    return names[group.rng.choice(len(names), p=shares / shares.sum(), size=len(group))]


def _country_column(group: _Group, styles: Strings) -> Strings:
    own = _named(group.countries, group.language)
    english = _named(group.countries, "en")
    named = np.where(group.often(0.88), own, np.where(group.often(0.8), english, group.countries))
    bare = (styles == "place") | ((styles != "place_country") & ~group.often(0.6))
    return where_asked(~bare & written(named), named)


def _named(countries: Strings, language: str) -> Strings:
    names = country_names(language)
    return np.array([names.get(code) for code in countries], dtype=object)


def _regions(group: _Group) -> Strings:
    """Names of regions in the group's language: the true one at home, one of the country's abroad, None elsewhere."""
    named = home_regions(group.language)
    found = empty_column(len(group))
    for row, (country, region) in enumerate(zip(group.countries, group.names.regions[group.drawn], strict=True)):
        if (country, region) in named:
            found[row] = named[country, region]
        elif _NATIVE_REGION_LANGUAGES.get(country) == group.language:
            options = native_regions()[country]
            found[row] = options[group.rng.integers(len(options))]
    return found


def _local_words(group: _Group, styles: Strings) -> dict[str, Strings]:
    """Venues, streets and numbers in the group's own language, where the tables have it."""
    prefix = _TABLE_OF.get(group.language, group.language)
    expansion = Expansion(script_grammar(), group.rng, {"place": group.places})
    rows, tags = np.arange(len(group)), {}
    with_venue = (styles == "venue") | (styles == "venue_street") | (styles == "venue_latin_street")
    if f"{prefix}_venue" in script_grammar().symbols:
        tags["venue"] = where_asked(with_venue, expansion.expand(f"{prefix}_venue", rows))
    with_street = (styles == "street") | (styles == "venue_street")
    if f"{prefix}_street" in script_grammar().symbols:
        tags["street"] = where_asked(with_street, expansion.expand(f"{prefix}_street", rows))
        numbers = group.rng.integers(1, 200, size=len(group)).astype(str).astype(object)
        tags["house_number"] = where_asked(with_street & group.often(0.75), numbers)
    return tags


def _home_rows(group: _Group) -> dict[str, tuple[Rows, Rows]]:
    """Country to (rows of the group that lie in it, indices of their places)."""
    found = {}
    for country in ("US", "FR"):
        index = home_indices(group.names, group.drawn, places_of(country))
        rows = np.flatnonzero((group.countries == country) & (index >= 0))
        found[country] = (rows, index[rows])
    return found


def _add_latin_parts(
    tags: dict[str, Strings], group: _Group, styles: Strings, home: Mapping[str, tuple[Rows, Rows]]
) -> None:
    """American and French rows keep a street, a postcode, and now and then the town, in Latin letters."""
    latin_street = (styles == "latin_street") | (styles == "venue_latin_street")
    latin_town = group.often(0.25) & (latin_street | (styles == "venue"))
    tags["postcode"] = empty_column(len(group))
    tags.setdefault("street", empty_column(len(group)))
    tags.setdefault("house_number", empty_column(len(group)))
    tags["locality"] = np.where(latin_town, group.names.latin[group.drawn], tags["locality"])
    for country, (rows, places) in home.items():
        prefix = country.lower()
        expansion = Expansion(grammar(), group.rng, RowValues(places_of(country), places, group.rng))
        all_rows = np.arange(len(rows))
        asked = latin_street[rows]
        tags["street"][rows] = np.where(asked, expansion.expand(f"{prefix}_street", all_rows), tags["street"][rows])
        numbered = asked & (group.rng.random(len(rows)) < 0.9)
        numbers = expansion.expand(f"{prefix}_number", all_rows)
        tags["house_number"][rows] = np.where(numbered, numbers, tags["house_number"][rows])
        coded = group.rng.random(len(rows)) < np.where(asked, 0.6, 0.1)
        tags["postcode"][rows] = where_asked(coded, expansion.expand("postcode", all_rows))
