"""Addresses of the United States and France, kind by kind as `tables/kinds.toml` declares them."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from mw_pipeline.areas import region_of_name
from mw_pipeline.countries import country as country_file
from mw_pipeline.sources.builtin.drafts import Drafts, empty_column, only_where, present
from mw_pipeline.sources.builtin.grammar import (
    Expansion,
    Grammar,
    Part,
    Rows,
    Strings,
    load_tables,
    parse_pattern,
    read_table,
)
from mw_pipeline.sources.builtin.places import Places, american_places, french_places, military_places
from mw_pipeline.sources.builtin.row_values import BOUND, RowValues

_SETTINGS = ("country", "share", "popular", "only", "places")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)% ")
# Of the places: every state and département is met as often as any other, by this share of the draws.
_EVEN_SHARE = 0.36
LATIN_TABLES = (
    "areas", "persons", "us_streets", "us_numbers", "us_venues", "fr_streets", "fr_numbers", "fr_venues",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of record: where its places come from and how each component is written, if it is."""

    name: str
    country: str
    share: float
    popular_share: float
    only: tuple[str, ...]
    places: str
    patterns: Mapping[str, tuple[float, tuple[Part, ...]]]


@functools.cache
def grammar() -> Grammar:
    """All Latin tables: streets, numbers, people and venues of both countries, and how areas are written."""
    return Grammar(load_tables(*LATIN_TABLES), bound=BOUND)


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """The declared kinds, with their patterns parsed."""
    return tuple(_kind(name, row) for name, row in tomllib.loads(read_table("kinds.toml")).items())


@functools.cache
def places_of(name: str) -> Places:
    """The places that records of US or FR stand in, or the post offices of the `military`."""
    return {"US": american_places, "FR": french_places, "military": military_places}[name]()


def kind_drafts(kind: Kind, count: int, rng: np.random.Generator) -> Drafts:
    """That many records of one kind."""
    places = places_of(kind.places)
    chosen = _choose(kind, places, count, rng)
    return drafts_at(kind, places, chosen, rng)


def drafts_at(kind: Kind, places: Places, chosen: Rows, rng: np.random.Generator) -> Drafts:
    """One record of the kind for each chosen place."""
    rows = np.arange(len(chosen))
    expansion = Expansion(grammar(), rng, RowValues(places, chosen, rng))
    tags = {}
    for tag, (share, parts) in kind.patterns.items():
        asked = rows if share == 1 else np.flatnonzero(rng.random(len(rows)) < share)
        tags[tag] = empty_column(len(rows))
        tags[tag][asked] = expansion.join(parts, asked)
    # A number without its street says nothing, and a street that lost its number is still one. An area that
    # has the name of the one above it is written once: the District of Columbia, Guadeloupe.
    if "house_number" in tags:
        tags["house_number"] = only_where(present(tags["street"]), tags["house_number"])
    if "subregion" in tags:
        tags["subregion"] = only_where(places.subregions[chosen] != places.region_names[chosen], tags["subregion"])
    return Drafts(
        tags=tags,
        countries=np.full(len(rows), kind.country, dtype=object),
        locales=np.full(len(rows), f"{country_file(kind.country)['languages'][0]}-{kind.country}", dtype=object),
        place_ids=places.ids[chosen],
        region_keys=_region_keys(kind.places)[chosen],
    )


@functools.cache
def _region_keys(name: str) -> Strings:
    places = places_of(name)
    return np.array([region_of_name(places.country, region) for region in places.region_names], dtype=object)


@functools.cache
def _restricted(name: str, only: tuple[str, ...]) -> Rows:
    """Indices of the places that a pattern of `only` names."""
    places = places_of(name)
    named = [f"{town}/{region}" for town, region in zip(places.names, places.regions, strict=True)]
    return np.flatnonzero([any(fnmatchcase(place, pattern) for pattern in only) for place in named])


def _choose(kind: Kind, places: Places, count: int, rng: np.random.Generator) -> Rows:
    if kind.only:
        allowed = _restricted(kind.places, kind.only)
        return allowed[rng.integers(len(allowed), size=count)]
    return places.draw(
        rng, count, popular_share=kind.popular_share, even_share=min(_EVEN_SHARE, 1 - kind.popular_share)
    )


def _kind(name: str, row: Mapping[str, Any]) -> Kind:
    patterns = {}
    known = {*grammar().symbols, *BOUND}
    for key, text in row.items():
        if key not in _SETTINGS:
            stated = _SHARE.match(text)
            share = float(stated[1]) / 100 if stated else 1.0
            pattern = text[stated.end() :] if stated else text
            patterns["country" if key == "country_name" else key] = (share, parse_pattern(pattern, known))
    places = row.get("places", row["country"])
    return Kind(name, row["country"], row["share"], row["popular"], tuple(row.get("only", ())), places, patterns)
