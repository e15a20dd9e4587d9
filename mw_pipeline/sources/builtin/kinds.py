"""Addresses of the United States and France, kind by kind as `tables/kinds.toml` declares them."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.sources.builtin.drafts import Drafts, region_key, where_asked, written
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
from mw_pipeline.sources.builtin.places import Places, american_places, french_places, rows_of

# Values that the tables may name: they belong to the row, and are drawn once for it.
BOUND = (
    "locality", "other_locality", "region_code", "region_name", "region_short", "subregion_name", "postcode",
    "cedex_postcode", "state_code", "state_name", "any_state_name", "any_region_fr", "district_ordinal",
    "district_long_ordinal", "district_roman",
)  # fmt: skip
_SETTINGS = ("country", "share", "popular", "only")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)% ")
_ROMAN_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
# How often, and how, a French commune is written otherwise than the gazetteer has it.
_LOCALITY_EDITS: tuple[tuple[float, Callable[[str], str]], ...] = (
    (0.07, lambda name: name.replace("-", " ")),
    (0.04, lambda name: re.sub(r"\bSaint(e?)-", r"St\1-", name)),
    (0.03, lambda name: re.sub(r"\bSaint(e?)-", r"St\1 ", name).replace("-", " ")),
)
_LOCALES = {"US": "en-US", "FR": "fr-FR"}


@dataclass(frozen=True)
class Kind:
    """One kind of record: where its places come from and how each component is written, if it is."""

    name: str
    country: str
    share: float
    popular_share: float
    only: tuple[str, ...]
    patterns: Mapping[str, tuple[float, tuple[Part, ...]]]


@functools.cache
def grammar() -> Grammar:
    """All Latin tables: streets and venues of both countries, and how areas are written."""
    return Grammar(load_tables("areas", "us_streets", "us_venues", "fr_streets", "fr_venues"), bound=BOUND)


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """The declared kinds, with their patterns parsed."""
    return tuple(_kind(name, row) for name, row in tomllib.loads(read_table("kinds.toml")).items())


@functools.cache
def places_of(country: str) -> Places:
    """The places that records of US or FR stand in."""
    return {"US": american_places, "FR": french_places}[country]()


def kind_drafts(kind: Kind, count: int, rng: np.random.Generator) -> Drafts:
    """That many records of one kind."""
    places = places_of(kind.country)
    chosen = _choose(kind, places, count, rng)
    return drafts_at(kind, places, chosen, rng)


def drafts_at(kind: Kind, places: Places, chosen: Rows, rng: np.random.Generator) -> Drafts:
    """One record of the kind for each chosen place."""
    rows = np.arange(len(chosen))
    expansion = Expansion(grammar(), rng, RowValues(places, chosen, rng))
    tags = {}
    for tag, (share, parts) in kind.patterns.items():
        asked = rng.random(len(rows)) < share
        tags[tag] = where_asked(asked, expansion.join(parts, rows))
    # A number without its street says nothing, and a street that lost its number is still one.
    if "house_number" in tags:
        tags["house_number"] = where_asked(written(tags["street"]), tags["house_number"])
    return Drafts(
        tags=tags,
        countries=np.full(len(rows), kind.country, dtype=object),
        locales=np.full(len(rows), _LOCALES[kind.country], dtype=object),
        place_ids=places.ids[chosen],
        region_keys=_region_keys(kind.country)[chosen],
    )


class RowValues(Mapping[str, Strings]):
    """The bound values of some rows, each drawn when it is first asked for and the same from then on."""

    def __init__(self, places: Places, chosen: Rows, rng: np.random.Generator) -> None:
        self._places, self._chosen, self._rng = places, chosen, rng
        self._drawn: dict[str, Strings] = {}

    def __getitem__(self, name: str) -> Strings:
        if name not in self._drawn:
            self._drawn[name] = _DRAWS[name](self._places, self._chosen, self._rng, self)
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        return name in _DRAWS

    def __iter__(self) -> Iterator[str]:
        return iter(_DRAWS)

    def __len__(self) -> int:
        return len(_DRAWS)


Draw = Callable[[Places, Rows, np.random.Generator, RowValues], Strings]


def _locality(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    """The name of the place; some French ones without their hyphens, or with Saint cut short."""
    names = places.names[chosen]
    if places.country == "FR":
        style = rng.random(len(chosen))
        for share, edit in _LOCALITY_EDITS:
            edited = (style >= 0) & (style < share)
            names[edited] = [edit(name) for name in names[edited]]
            style = np.where(edited, -1.0, style - share)
    return names


def _other_locality(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    return places.names[places.draw(rng, len(chosen), popular_share=0.6)]


def _region_short(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    forms = _short_forms(places.country)
    distinct, index = np.unique(places.regions[chosen].astype(str), return_inverse=True)
    drawn = np.empty(len(chosen), dtype=object)
    for number, region in enumerate(distinct):
        rows = np.flatnonzero(index == number)
        drawn[rows] = forms[str(region)][rng.integers(len(forms[str(region)]), size=len(rows))]
    return drawn


def _cedex_postcode(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    """The département's digits, two or overseas three, with a number of their own, as business mail has it."""
    own = places.postcodes_of(chosen, rng)
    numbers = rng.integers(1000, size=len(chosen))
    coded = [
        code[:3] + f"{number % 100:02d}" if code.startswith("97") else code[:2] + f"{number:03d}"
        for code, number in zip(own, numbers.tolist(), strict=True)
    ]
    return np.array(coded, dtype=object)


def _district(places: Places, chosen: Rows, rng: np.random.Generator, values: RowValues) -> NDArray[np.int64]:
    return np.array([max(1, int(code[-2:])) for code in values["postcode"]], np.int64)


def _district_forms(style: str) -> Draw:
    forms = [_district_form(number, style) for number in range(100)]

    def draw(places: Places, chosen: Rows, rng: np.random.Generator, values: RowValues) -> Strings:
        return np.array(forms, dtype=object)[_district(places, chosen, rng, values)]

    return draw


def _district_form(number: int, style: str) -> str:
    if style == "roman":
        tens, ones = divmod(number, 10)
        return "X" * tens + _ROMAN_ONES[ones]
    if number == 1:
        return "1er"
    return f"{number}{'ème' if style == 'long' else 'e'}"


def _any_state(_places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    names = np.array([row["name"] for row in rows_of("us_states.tsv")], dtype=object)
    return names[rng.integers(len(names), size=len(chosen))]


def _any_french_region(_places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    names = np.array([row["name"] for row in rows_of("fr_regions.tsv")], dtype=object)
    return names[rng.integers(len(names), size=len(chosen))]


_DRAWS: Mapping[str, Draw] = {
    "locality": _locality,
    "other_locality": _other_locality,
    "region_code": lambda places, chosen, rng, _: places.regions[chosen],
    "region_name": lambda places, chosen, rng, _: places.region_names[chosen],
    "region_short": _region_short,
    "subregion_name": lambda places, chosen, rng, _: places.subregions[chosen],
    "postcode": lambda places, chosen, rng, _: places.postcodes_of(chosen, rng),
    "cedex_postcode": _cedex_postcode,
    "state_code": lambda places, chosen, rng, _: places.regions[chosen],
    "state_name": lambda places, chosen, rng, _: places.region_names[chosen],
    "any_state_name": _any_state,
    "any_region_fr": _any_french_region,
    "district_ordinal": _district_forms("short"),
    "district_long_ordinal": _district_forms("long"),
    "district_roman": _district_forms("roman"),
}


@functools.cache
def _short_forms(country: str) -> Mapping[str, Strings]:
    """Region key to the other ways of writing it: AP abbreviations, unofficial and English names of régions."""
    if country == "US":
        return {row["code"]: np.array([row["ap"]], dtype=object) for row in rows_of("us_states.tsv")}
    return {row["geonames"]: np.array(row["other"].split(";"), dtype=object) for row in rows_of("fr_regions.tsv")}


@functools.cache
def _region_keys(country: str) -> Strings:
    return np.array([region_key(country, name) for name in places_of(country).region_names], dtype=object)


@functools.cache
def _restricted(country: str, only: tuple[str, ...]) -> Rows:
    places = places_of(country)
    wanted = {tuple(place.split("/")) for place in only}
    pairs = zip(places.names, places.regions, strict=True)
    return np.array([index for index, pair in enumerate(pairs) if pair in wanted], np.int64)


def _choose(kind: Kind, places: Places, count: int, rng: np.random.Generator) -> Rows:
    if kind.only:
        allowed = _restricted(kind.country, kind.only)
        return allowed[rng.integers(len(allowed), size=count)]
    return places.draw(rng, count, popular_share=kind.popular_share)


def _kind(name: str, row: Mapping[str, Any]) -> Kind:
    patterns = {}
    known = {*grammar().symbols, *BOUND}
    for key, text in row.items():
        if key not in _SETTINGS:
            stated = _SHARE.match(text)
            share = float(stated[1]) / 100 if stated else 1.0
            pattern = text[stated.end() :] if stated else text
            patterns["country" if key == "country_name" else key] = (share, parse_pattern(pattern, known))
    return Kind(name, row["country"], row["share"], row["popular"], tuple(row.get("only", ())), patterns)
