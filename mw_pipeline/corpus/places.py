"""Towns as a corpus knows them: one name however it is spelt, and one key for the place that a record lies in."""

from __future__ import annotations

import functools
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pycountry

from mw_pipeline.countries import KNOWN_COUNTRIES, country
from mw_pipeline.records.text import Mask, by_distinct, mask_of, normalised_text, without_accents

# How sources shorten words of a town; what follows its name is the district or office that it is served by.
_SPELT_OUT = (
    (r"\bst\b", "saint"), (r"\bste\b", "sainte"), (r"\bmt\b", "mount"), (r"^ft\b", "fort"), (r"\bpt\b", "point"),
    ("^n ", "north "), ("^s ", "south "), ("^e ", "east "), ("^w ", "west "),
    (" hts$", " heights"), (" spgs?$", " springs"), (" twp$", " township"), (" vlg$", " village"), (" bch$", " beach"),
    (" jct$", " junction"), (" fls$", " falls"), (" ctr$", " center"), (" pk$", " park"), (" vly$", " valley"),
)  # fmt: skip
_DISTRICT = r"( cedex( \d+)?| \d+\w{0,3} arrondissement| \d+(er?|e|eme|nd|st|th))$"


def place_names(localities: pa.StringArray) -> pa.StringArray:
    """Each locality as one name for all its spellings: case, accents, hyphens, `St` and `Saint`, `S Hero` and
    `South Hero`, `Lyon CEDEX 03`, `Lyon 3e` and `Lyon` are alike. Empty where there is none."""
    return by_distinct(pc.fill_null(localities, ""), _names)


def place_keys(countries: pa.StringArray, region_keys: pa.StringArray, localities: pa.StringArray) -> pa.StringArray:
    """The place of each record as `US:vermont:burlington`; `US::burlington` where its region is not known, and empty
    where it names no locality. `region_keys` are as `US:vermont`, or empty."""
    names = place_names(localities)
    regions = by_distinct(region_keys, lambda keys: normalised_text(pc.replace_substring_regex(keys, "^[^:]*:", "")))
    joined = pc.binary_join_element_wise(countries, regions, names, ":")
    return pc.if_else(pc.equal(names, ""), "", joined)


def has_closed_name(countries: pa.StringArray, names: pa.StringArray) -> Mask:
    """Where a place name, as `place_names` gives it, is also that of a country, of an area of its own country (state,
    région, département: ISO 3166-2), or of a military post office: its word belongs to a closed class (M65)."""
    of_country = pc.binary_join_element_wise(countries, names, ":")
    areas, everywhere = _closed_names()
    return mask_of(pc.or_(pc.is_in(of_country, value_set=areas), pc.is_in(names, value_set=everywhere)))


@functools.cache
def _closed_names() -> tuple[pa.StringArray, pa.StringArray]:
    """`FR:la reunion` for the areas of every country, and the names that are closed wherever they stand."""
    areas = [(area.country_code, area.name) for area in pycountry.subdivisions]
    codes, names = (pa.array(column, pa.string()) for column in zip(*areas, strict=True))
    countries = [found.name for found in pycountry.countries]
    armed_forces = [office for code in KNOWN_COUNTRIES for office in country(code)["military"]["offices"]]
    everywhere = _names(pa.array([*countries, *armed_forces], pa.string()))
    return pc.binary_join_element_wise(codes, _names(names), ":"), everywhere


def _names(texts: pa.StringArray) -> pa.StringArray:
    names = normalised_text(without_accents(texts))
    for pattern, word in _SPELT_OUT:
        names = pc.replace_substring_regex(names, pattern, word)
    return cast(pa.StringArray, pc.replace_substring_regex(names, _DISTRICT, ""))
