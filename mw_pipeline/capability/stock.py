"""What rows are put together from: streets, numbers, venues and towns, drawn once for a locale and a seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mw_pipeline.capability.habits import STREET_TYPE, Habits, folded, habits_of
from mw_pipeline.capability.towns import Town, Towns, towns_of
from mw_pipeline.corpus.closed_words import DIRECTIONAL
from mw_pipeline.corpus.phrases import phrases
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import LEAST_PLACES_SHARE

_DRAWS = 6000
_OWN_NAMES = 3
"""How many of the ways in which a country is written in its own addresses stand in rows about something else."""

Values = dict[str, str]


@dataclass(frozen=True)
class Stock:
    """Pools to draw from; every list is in an order that the seed alone decides."""

    habits: Habits
    towns: Towns
    streets: Sequence[str]
    types: Sequence[str]
    numbers: Sequence[str]
    long_numbers: Sequence[str]
    venues: Sequence[str]
    units: Sequence[str]
    boxes: Sequence[str]
    countries: Sequence[str]

    def street(self, rng: random.Random) -> str:
        """A street with its type."""
        return self.habits.street(rng.choice(self.streets), rng.choice(self.types))

    def values(self, tags: Collection[str], rng: random.Random, town: Town | None = None) -> Values:
        """A value for each of these tags, all of one town: the given one, or any.

        A town whose postcodes are not known leaves the postcode out."""
        at = town or rng.choice(self.towns.all)
        draws = {
            "venue": lambda: rng.choice(self.venues),
            "house_number": lambda: rng.choice(self.numbers),
            "street": lambda: self.street(rng),
            "unit": lambda: rng.choice(self.units),
            "po_box": lambda: rng.choice(self.boxes),
            "intersection_a": lambda: self.street(rng),
            "intersection_b": lambda: self.street(rng),
            "locality": lambda: at.name,
            "region": lambda: at.region,
            "postcode": lambda: rng.choice(at.postcodes) if at.postcodes else "",
            "country": lambda: rng.choice(self.countries),
        }
        drawn = {tag: draws[tag]() for tag in tags}
        return {tag: value for tag, value in drawn.items() if value}


def stock_of(locale: str, *, seed: int, share: float) -> Stock:
    """The pools of a locale. `share` is the share of places that the corpus holds out.

    Raises ArtifactError for a locale that there is no table for, and for a share that holds no town of it out."""
    habits = habits_of(locale)
    towns = towns_of(habits, share)
    if not towns.all:
        raise ArtifactError(
            f"no town of {locale!r} is held out by a share of {share:g} of all places, expected "
            f"{LEAST_PLACES_SHARE:g} at least. Hold out more places, so that rows can lie in some."
        )
    rng = np.random.default_rng([seed, *locale.encode()])

    names = dict.fromkeys(habits.drawn("street", rng, _DRAWS))
    return Stock(
        habits=habits,
        towns=towns,
        streets=_clear_streets(habits, names),
        types=habits.drawn("type", rng, _DRAWS),
        numbers=habits.drawn("number", rng, _DRAWS),
        long_numbers=habits.drawn("long_number", rng, _DRAWS),
        venues=habits.drawn("venue", rng, _DRAWS),
        units=_phrases(habits.country, "unit", rng),
        boxes=_phrases(habits.country, "po_box", rng),
        countries=[word.word for word in habits.of_kind("country")][:_OWN_NAMES],
    )


def _phrases(country: str, tag: str, rng: np.random.Generator) -> list[str]:
    """Phrases of a country with a word or sign and a number at their end: what stands behind them begins anew, and a
    bare number could be anything."""
    found = phrases(country, tag)
    texts = [] if found is None else dict.fromkeys(found.draw(_DRAWS, rng).to_pylist())
    return [text for text in texts if text[-1].isdigit() and not text.isalnum()]


def _clear_streets(habits: Habits, names: Iterable[str]) -> list[str]:
    """The names of which no word could be the type of a street, its direction, a region or a country."""
    types = {folded(word.word) for word in habits.of_kind(STREET_TYPE)}
    others = {folded(word.word) for word in habits.of_kind(DIRECTIONAL, "region name", "country abroad")}
    worded = ((name, folded(name).split()) for name in names)
    return [
        name
        for name, words in worded
        if len(words) == len(set(words)) and words[0] not in types and not others & set(words)
    ]
