"""What is kept of a Who's On First record, whichever form it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import pycountry
from babel.languages import get_official_languages

MAX_LANGUAGES = 3

# the hierarchy of https://whosonfirst.org/docs/placetypes/, most of which no address names
PLACETYPES = frozenset(
    (
        *("planet", "continent", "ocean", "marinearea", "empire", "country", "nation", "dependency", "disputed"),
        *("macroregion", "region", "macrocounty", "county", "metroarea", "constituency", "marketarea", "timezone"),
        *("localadmin", "locality", "borough", "macrohood", "neighbourhood", "microhood", "postalcode", "campus"),
        *("venue", "building", "address", "intersection", "arcade", "concourse", "wing", "enclosure", "installation"),
        *("custom", "field"),
    )
)

# the places above that an address may name beside a place
ABOVE = ("dependency", "macroregion", "region", "county", "localadmin", "locality")


@dataclass(frozen=True)
class Place:
    """One record.

    `unwanted` is the filter that the record falls to (None: it is current); even so it may name a place above others.
    `names` holds the preferred names in the official languages of the country, by ISO 639-3 code. `above` lists
    (placetype, id) of the places above, nearest rule first; a placetype of "" stands for a bare parent.
    """

    id: int
    name: str
    placetype: str
    country: str
    source_id: str
    line: int = 1
    unwanted: str | None = None
    post_town: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    above: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Unusable:
    """Why a record is none, and what was found."""

    reason: str
    detail: str


@cache
def official_languages(country: str) -> tuple[str, ...]:
    """ISO 639-3 codes of at most three official languages of the country, those that most people speak first."""
    found = (pycountry.languages.get(alpha_2=code) for code in get_official_languages(country))
    return tuple(language.alpha_3 for language in found if language is not None)[:MAX_LANGUAGES]
