"""Cells of scripts: the country's towns as people write them who do not write Latin letters."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from mw_pipeline.capability.addresses import Address
from mw_pipeline.capability.cells import CellKey
from mw_pipeline.capability.closed_lists import CellPlan
from mw_pipeline.capability.stock import Stock, Values
from mw_pipeline.capability.towns import held_out
from mw_pipeline.sources.builtin.kinds import places_of
from mw_pipeline.sources.builtin.scripts import (
    ScriptNames,
    country_names,
    draw_languages,
    home_indices,
    home_regions,
    script_names_in,
)

_LANGUAGES_DRAWN = 200

ScriptTown = tuple[str, str, str]
"""Its name, the code of its region, and a postcode, "" where none is known."""


def script_plans(stock: Stock, share: float) -> Iterator[CellPlan]:
    """A cell for each script in which towns of the country have names that no corpus trains on."""
    country = stock.habits.country
    for script, names in script_names_in(country).items():
        key = CellKey("script", (script,))
        wanted = held_out([country] * len(names.names), names.names.tolist(), share)
        towns = [
            (str(names.names[at]), str(names.regions[at]), _postcode(names, at, country))
            for at, held in enumerate(wanted)
            if held
        ]
        languages = draw_languages(script, np.full(_LANGUAGES_DRAWN, country, object), np.random.default_rng(0))
        yield _plan(key, country, towns, languages.tolist())


def _postcode(names: ScriptNames, at: int, country: str) -> str:
    places = places_of(country)
    (place,) = home_indices(names, np.array([at]), places)
    return "" if place < 0 else str(places.postcodes[places.first_postcode[place]])


def _plan(key: CellKey, country: str, towns: Sequence[ScriptTown], languages: Sequence[str]) -> CellPlan:
    """Rows of a town with its country, and its region between them where its name in the language is known."""
    closed = {
        name
        for language in set(languages)
        for name in (*home_regions(language).values(), *country_names(language).values())
    }
    clear = [town for town in towns if town[0] not in closed and len(town[0]) > 1]
    if not clear:
        return CellPlan(key, None, "has no name of a held-out town")

    def make(rng: random.Random) -> Address:
        (name, region, postcode), language = rng.choice(clear), rng.choice(languages)
        values: Values = {"locality": name, "country": country_names(language)[country]}
        above = home_regions(language).get((country, region))
        if above and above != name and rng.random() < 0.5:
            values["region"] = above
        if postcode and rng.random() < 0.3:
            values["postcode"] = postcode
        return Address(values, key)

    return CellPlan(key, make)
