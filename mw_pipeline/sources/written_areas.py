"""Which of the areas that GeoNames names above a town an address writes with it.

GeoNames names one area in the language of the country and the next in English ("Bayern" and "Upper Bavaria", "Canton de
Vaud" and "Morges District"), and many areas once more after their town ("Lisse" in "Gemeente Lisse"). A row of both
would teach what nobody writes, so the lower area is left out where it names the town again, and where it is not seen to
be of one language with the higher one. The language is told by words, and by the names of ISO 3166-2, which are those
of the country itself. American and French areas come from tables in one language, and English is at home in other
countries.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pycountry
from babel.languages import get_official_languages

from mw_pipeline.areas import folded_name
from mw_pipeline.records.text import by_distinct
from mw_pipeline.sources.columns import folded, mapped

_ENGLISH = re.compile(
    r"\b(?:upper|lower|middle|central|greater|north|south|east|west|north(?:ern|east|west)|south(?:ern|east|west)|eastern"
    r"|western|county|district|municipality|region|province|prefecture|governorate|department|division|voivodeship|oblast"
    r"|capital|islands?|city of|of the|and the)\b",
    re.IGNORECASE,
)
_NATIVE = re.compile(
    r"\b(?:kanton|canton|provincia|provincie|province d|r[ée]gi[oó]n d|regione? d|departamento|bezirk"
    r"|landkreis|gemeente|comunidad|comunitat|wojew[óo]dztwo|powiat|l[äa]n|kraj|okres|fylke)",
    re.IGNORECASE,
)
# where native names of areas do not end in -ia: Swabia, Silesia, Wallonia
_GERMANIC = frozenset(("de", "nl", "da", "sv", "nb", "nn", "lb", "pl", "cs"))
_ALIKE = 0.75  # "Genève" and "Geneva", "Bruxelles-Capitale" and "Brussels Capital": one area, twice

Language = Literal["english", "native", "unknown"]


def written_areas(
    country: pa.Array, *, town: pa.Array, region: pa.Array, subregion: pa.Array
) -> tuple[pa.Array, pa.Array]:
    """(region, subregion) of each place, null where an address leaves the area out; the town may be null.

    A region that has the name of its town is left out, but in the United States, where "New York, New York" is what
    people write; below it a district would be the highest area of the row, and goes too.
    """
    named, above, below = (pc.fill_null(by_distinct(column, folded), "") for column in (town, region, subregion))
    repeats = pc.and_(pc.equal(above, named), pc.not_equal(country, "US"))
    written = pc.if_else(repeats, None, region)
    repeated = pc.or_(pc.equal(below, named), pc.and_(repeats, pc.is_valid(region)))
    subregion = pc.if_else(repeated, None, subregion)
    elsewhere = pc.invert(pc.is_in(country, value_set=pa.array(["US", "FR", "MC"])))
    if not pc.any(elsewhere).as_py():
        return written, subregion
    parts = [pc.if_else(elsewhere, country, None), pc.fill_null(town, ""), written, subregion]
    doubtful = pc.binary_join_element_wise(*parts, "\x1f")
    return written, pc.if_else(pc.is_valid(doubtful), mapped(doubtful, _sound_subregion), subregion)


def _sound_subregion(joined: str) -> str | None:
    country, town, region, subregion = joined.split("\x1f")
    return subregion if _one_language(country, region, subregion) and not _names_town(subregion, town) else None


def _names_town(area: str, town: str) -> bool:
    """Whether the name of the area is that of the town and words around it."""
    return bool(town) and f" {_folded(town)} " in f" {_folded(area)} "


@cache
def _one_language(country: str, region: str, subregion: str) -> bool:
    languages = get_official_languages(country)
    if "en" in languages:
        return True
    if SequenceMatcher(None, _folded(region), _folded(subregion)).ratio() >= _ALIKE:
        return False
    germanic = _GERMANIC.issuperset(languages) or country in ("BE", "CH")
    native = _native_names(country)
    above, below = (_language(name, germanic=germanic, native=native) for name in (region, subregion))
    if "unknown" in (above, below):
        return above == "native" and len(languages) == 1  # which of several it would be cannot be told
    return above == below


def _language(name: str, *, germanic: bool, native: tuple[str, ...]) -> Language:
    if _ENGLISH.search(name) or (germanic and name.endswith("ia")):
        return "english"
    folded = f" {_folded(name)} "
    known = _NATIVE.search(name) or any(f" {own} " in folded or folded in f" {own} " for own in native)
    return "native" if known else "unknown"


@cache
def _native_names(country: str) -> tuple[str, ...]:
    """The names of the country's areas by ISO 3166-2, folded; several where the standard has several."""
    areas = pycountry.subdivisions.get(country_code=country) or ()  # type: ignore[no-untyped-call]
    return tuple(filter(None, (_folded(name) for area in areas for name in re.split(r"[\[\]()/,]", area.name))))


@cache
def _folded(name: str) -> str:
    """As `folded_name`, with words of one or two letters, which join others, left out."""
    words = folded_name(name).split()
    return " ".join([word for word in words if len(word) > 2] or words)
