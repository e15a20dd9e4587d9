"""Place names of the whole world in other scripts than Latin, and the languages that each script is read in.

GeoNames alternate names carry no language, and many of them are transliteration debris: a name counts only when all its
letters are of one script, which is then what its language is drawn by. Country names come from CLDR (babel).
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from babel import Locale
from numpy.typing import NDArray

from mw_pipeline.areas import region_of_name
from mw_pipeline.countries import TERRITORIES
from mw_pipeline.sources.builtin.grammar import Rows, Strings, groups_of
from mw_pipeline.sources.builtin.places import City, Places, cities, region_names
from mw_pipeline.sources.builtin.tsv import rows_of

# Script -> its code points. Japanese names are kana with or without kanji; names in kanji alone count as Han.
_BLOCKS = {
    "Cyrillic": "\u0400-\u052f",
    "Arabic": "\u0620-\u065f\u0670-\u06d3\u06d5-\u06ed\u06fa-\u06ff",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff",
    "Kana": "\u3040-\u30ff\u4e00-\u9fff",
    "Hangul": "\uac00-\ud7af",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10d0-\u10ff",
    "Armenian": "\u0530-\u058f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
}
SCRIPTS: tuple[str, ...] = tuple(_BLOCKS)
_WHOLE = {name: re.compile(f"[{block}](?:[{block}]|[ \u200c.'’·・＝-])*") for name, block in _BLOCKS.items()}
_FIRST = re.compile("[\u0370-\u03ff\u0400-\u0eff\u10d0-\u10ff\u1f00-\u1fff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

# Which languages a name of a script is written among, with weights. CLDR language codes.
_LANGUAGES: Mapping[str, Mapping[str, float]] = {
    "Cyrillic": {"ru": 8, "uk": 1.3, "bg": 0.6, "sr": 0.5},
    "Arabic": {"ar": 8, "fa": 1.2, "ur": 0.5},
    "Han": {"zh": 7, "zh_Hant": 2, "ja": 0.6},
    "Kana": {"ja": 1},
    "Hangul": {"ko": 1},
    "Greek": {"el": 1},
    "Hebrew": {"he": 1},
    "Devanagari": {"hi": 8, "mr": 1, "ne": 1},
    "Thai": {"th": 1},
    "Georgian": {"ka": 1},
    "Armenian": {"hy": 1},
    "Bengali": {"bn": 1},
    "Tamil": {"ta": 1},
    "Telugu": {"te": 1},
}
# How often a row is in a script: by how many people write in it, not by how many names GeoNames happens to hold.
_SCRIPT_SHARES = {
    "Cyrillic": 17, "Arabic": 13, "Han": 17, "Kana": 14, "Hangul": 10, "Greek": 5.5, "Hebrew": 5.5, "Devanagari": 6,
    "Thai": 4.5, "Georgian": 1.5, "Armenian": 1.5, "Bengali": 2, "Tamil": 1.5, "Telugu": 1,
}  # fmt: skip
_HOME = ("US", "FR")
_SCRIPT_HOMES = ("RU", "UA", "SA", "EG", "IR", "CN", "TW", "JP", "KR", "GR", "IL", "IN", "TH", "GE", "AM", "BD")
_POPULARITY_EXPONENT = 0.8
_LARGEST = 30
_TURNS_SEED = 0x1A_57
# Kanji names of Japan are read in Japanese, Han names elsewhere in Chinese.
_JAPAN = "JP"


@dataclass(frozen=True)
class ScriptNames:
    """Names of one script as parallel arrays of N entries: first the `home` places (US, FR), then country by country.

    names      (N,) the name in that script
    latin      (N,) the name of the same place in Latin letters
    countries  (N,) ISO code
    ids        (N,) GeoNames ids
    regions    (N,) GeoNames code of the first administrative area
    keys       (N,) its region key at home, "" abroad
    popularity (N,) population, tempered
    runs       country abroad -> first entry and the one after its last
    """

    script: str
    names: Strings
    latin: Strings
    countries: Strings
    ids: NDArray[np.int64]
    regions: Strings
    keys: Strings
    popularity: NDArray[np.float64]
    home: int
    runs: Mapping[str, tuple[int, int]]

    def draw(self, rng: np.random.Generator, count: int, *, home_share: float, abroad: frozenset[str]) -> Rows:
        """Indices, half by population and half uniform: that share of them home places, the rest in these countries."""
        away = self._in_countries(abroad)
        at_home = self._draw_from(np.arange(self.home), rng, count)
        if not len(away):
            return at_home
        return np.where(rng.random(count) < home_share, at_home, self._draw_from(away, rng, count))

    def draw_evenly(self, rng: np.random.Generator, count: int, countries: Sequence[str]) -> Rows:
        """Indices of places in these countries, of each country as many, or one more. They must have some."""
        country = rng.permutation(count) % len(countries)
        drawn = np.empty(count, np.int64)
        for number, rows in groups_of(country):
            drawn[rows] = self._draw_from(np.arange(*self.runs[countries[number]]), rng, len(rows))
        return drawn

    def _in_countries(self, countries: frozenset[str]) -> Rows:
        """Indices of the places abroad that lie in these countries; side by side by country."""
        wanted = [np.arange(*run) for country, run in self.runs.items() if country in countries]
        return np.concatenate(wanted) if wanted else np.empty(0, np.int64)

    def _draw_from(self, indices: Rows, rng: np.random.Generator, count: int) -> Rows:
        weights = np.cumsum(self.popularity[indices])
        popular = np.searchsorted(weights, rng.random(count) * weights[-1], side="right")
        uniform = rng.integers(len(indices), size=count)
        return indices[np.where(rng.random(count) < 0.5, popular, uniform)]


@functools.cache
def script_names() -> Mapping[str, ScriptNames]:
    """Every script with its names; about 4 seconds the first time."""
    return _by_script(cities())


@functools.cache
def script_names_in(country: str) -> Mapping[str, ScriptNames]:
    """Every script with its names of places in one country, in the order that they have among all."""
    return _by_script([city for city in cities() if city["countrycode"] == country])


def script_of(name: str) -> str | None:
    """The one script that all letters of a name belong to, None for Latin names and for mixtures."""
    if not _FIRST.match(name):
        return None
    return next((script for script, whole in _WHOLE.items() if whole.fullmatch(name)), None)


def draw_scripts(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Indices into SCRIPTS by how often each is written."""
    shares = np.cumsum([_SCRIPT_SHARES[script] for script in SCRIPTS])
    drawn: NDArray[np.int64] = np.searchsorted(shares, rng.random(count) * shares[-1], side="right")
    return drawn


def draw_abroad(rng: np.random.Generator, count: int) -> frozenset[str]:
    """A few countries abroad: where each script is at home, and that many others by the number of their large cities.

    A batch keeps to them because rows are composed country by country: two hundred small groups would take longer than
    all other rows.
    """
    world = latin_world()
    drawn = rng.choice(world.countries, size=count, replace=False)
    return frozenset({*_SCRIPT_HOMES, *drawn.tolist()})


def draw_languages(script: str, countries: Strings, rng: np.random.Generator) -> Strings:
    """One CLDR language code per row; Han names of Japanese places are Japanese."""
    codes, weights = zip(*_LANGUAGES[script].items(), strict=True)
    shares = np.array(weights) / sum(weights)
    drawn = np.array(codes, dtype=object)[rng.choice(len(codes), p=shares, size=len(countries))]
    if script == "Han":
        drawn[countries == _JAPAN] = "ja"
        drawn[(countries != _JAPAN) & (drawn == "ja")] = "zh"
    return drawn


@functools.cache
def country_names(language: str) -> Mapping[str, str]:
    """ISO code to country name in a CLDR language."""
    return dict(Locale.parse(language).territories)


@functools.cache
def home_regions(language: str) -> Mapping[tuple[str, str], str]:
    """(country, region code) to the name of a US state or French région in a language; empty where none are known."""
    key = {"zh_Hant": "zh"}.get(language, language)
    rows = rows_of("regions_in_scripts.tsv")
    return {(row["country"], row["region"]): row[key] for row in rows if row.get(key)}


@functools.cache
def latin_world() -> ScriptNames:
    """Cities abroad under their Latin names: the thirty largest of each country, and all from 100,000 inhabitants."""
    by_country: dict[str, list[City]] = defaultdict(list)
    for city in sorted(cities(), key=lambda city: -city["population"]):
        if _is_latin_abroad(city):
            by_country[city["countrycode"]].append(city)
    known = [city for found in by_country.values() for place, city in enumerate(found) if _is_known(city, place)]
    return _as_arrays("Latin", [(city["name"], city) for city in known])


@functools.cache
def latin_towns(countries: tuple[str, ...]) -> ScriptNames:
    """All towns of some countries abroad under their Latin names, but for quarters that have a number or stand beside
    the name of their town (`Zürich (Kreis 8)`, `Wallisellen / Wallisellen-Ost`): nobody writes them so."""
    abroad = [city for city in cities() if city["countrycode"] in countries and _is_latin_abroad(city)]
    wanted = [city for city in abroad if not re.search(r" / |\d", city["name"])]
    return _as_arrays("Latin", [(city["name"], city) for city in wanted])


def home_indices(names: ScriptNames, rows: Rows, places: Places) -> Rows:
    """For each drawn name the index of its place among `places`, -1 where it is none of them."""
    order = np.argsort(places.ids, kind="stable")
    at = np.minimum(np.searchsorted(places.ids[order], names.ids[rows]), len(order) - 1)
    return np.where(places.ids[order][at] == names.ids[rows], order[at], -1)


def _is_known(city: City, place: int) -> bool:
    return place < _LARGEST or city["population"] >= 100_000


def _is_latin_abroad(city: City) -> bool:
    abroad = city["countrycode"] not in (*_HOME, *TERRITORIES)
    return abroad and all("LATIN" in unicodedata.name(letter, "") for letter in city["name"] if letter.isalpha())


def countries_in_turn(number: int, count: int) -> tuple[str, ...]:
    """The countries abroad whose turn it is in a batch, so that all of them have had theirs after a few batches.

    A batch keeps to some because rows are composed country by country, and two hundred small groups would take long.
    """
    every = sorted(latin_world().runs, key=_position)
    shuffled = np.random.default_rng(_TURNS_SEED).permutation(len(every))
    turns = np.arange(number * count, number * count + min(count, len(every))) % len(every)
    return tuple(every[place] for place in shuffled[turns])


def _by_script(found: Iterable[City]) -> dict[str, ScriptNames]:
    rows: dict[str, list[tuple[str, City]]] = {script: [] for script in SCRIPTS}
    for city in found:
        for name, script in _names_in_scripts(city):
            rows[script].append((name, city))
    return {script: _as_arrays(script, named) for script, named in rows.items()}


def _names_in_scripts(city: City) -> Iterator[tuple[str, str]]:
    for name in city["alternatenames"]:
        if name and name[0] > "\u036f":
            script = script_of(name)
            if script is not None and 2 <= len(name) <= 40 and unicodedata.category(name[-1])[0] in "LM":
                yield unicodedata.normalize("NFC", " ".join(name.split())), script


def _as_arrays(script: str, rows: list[tuple[str, City]]) -> ScriptNames:
    rows = sorted(rows, key=lambda row: _position(row[1]["countrycode"]))
    home = sum(city["countrycode"] in _HOME for _, city in rows)
    population = np.array([max(city["population"], 300) for _, city in rows], np.float64)
    return ScriptNames(
        script=script,
        names=np.array([name for name, _ in rows], dtype=object),
        latin=np.array([city["name"] for _, city in rows], dtype=object),
        countries=np.array([city["countrycode"] for _, city in rows], dtype=object),
        ids=np.array([city["geonameid"] for _, city in rows], np.int64),
        regions=np.array([city["admin1code"] for _, city in rows], dtype=object),
        keys=np.array([_key_of(city) for _, city in rows], dtype=object),
        popularity=population**_POPULARITY_EXPONENT,
        home=home,
        runs=_runs([city["countrycode"] for _, city in rows], home),
    )


def _key_of(city: City) -> str:
    country = city["countrycode"]
    name = region_names(country).get(city["admin1code"])
    return "" if name is None else region_of_name(country, name)


def _position(country: str) -> tuple[bool, str]:
    return (country not in _HOME, "" if country in _HOME else country)


def _runs(countries: Sequence[str], first: int) -> dict[str, tuple[int, int]]:
    """Country to the range of its entries, from the first one on."""
    runs: dict[str, tuple[int, int]] = {}
    for country, entries in itertools.groupby(countries[first:]):
        stop = first + sum(1 for _ in entries)
        runs[country] = (first, stop)
        first = stop
    return runs
