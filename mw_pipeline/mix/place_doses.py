"""What a mix teaches of places: how many towns each source has, and how often the run draws its commonest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mw_pipeline.errors import RecipeError
from mw_pipeline.mix.places import Places, Rounds, TooManyDrawsError, capped_rounds
from mw_pipeline.mix.sampler import Draw, MixSampler

TOP_PLACE_SHARE = 0.05
"""A town with more than this share of all samples of a run is taught as if it were a word of the language."""


@dataclass(frozen=True)
class PlaceDose:
    """The places of a source, a row without one counted as one. `repetitions` is how often the run draws the place that
    it draws most, `commonest` the one with most rows, `drawn` the most that the dry run drew of any place, and `capped`
    whether `mix.max_repetitions_per_place` keeps some place from its part."""

    places: int
    commonest: str
    commonest_rows: int
    repetitions: float
    drawn: int
    capped: bool

    def as_cells(self) -> str:
        """Places and repetitions as two cells of a Markdown table."""
        return f"{self.places:,} | {self.repetitions:,.0f}"


class PlaceTally:
    """Counts how often a sampler draws each place of each source. `places` number the rows as the sampler does."""

    def __init__(self, sampler: MixSampler, places: Mapping[str, Places]) -> None:
        self._sampler = sampler
        self._places = {index: places[name] for index, name in enumerate(sampler.sources) if name in places}
        self._drawn = {index: np.zeros(len(found.counts), np.int64) for index, found in self._places.items()}

    def add(self, draw: Draw) -> None:
        """Counts the samples of a draw."""
        for index, places in self._places.items():
            np.add.at(self._drawn[index], places.of_rows(draw.row[draw.source == index]), 1)

    def doses(self, samples: int) -> dict[str, PlaceDose]:
        """What a run of so many samples teaches of the places of each source, with what has been counted so far."""
        turns = self._sampler.turns(samples)
        named = {self._sampler.sources[index]: index for index in self._places}
        return {name: self._dose(name, index, turns[name]) for name, index in named.items()}

    def _dose(self, name: str, index: int, draws: int) -> PlaceDose:
        places, rounds = self._places[index], self._sampler.rounds_of(name)
        rows = int(places.counts.sum())
        natural = draws * places.most() / rows if rows else 0.0
        return PlaceDose(
            places=len(places.counts),
            commonest=places.commonest,
            commonest_rows=places.most(),
            repetitions=natural if rounds is None else rounds.most_drawn(),
            drawn=int(self._drawn[index].max(initial=0)),
            capped=rounds is not None,
        )


def rounds_under_cap(sampler: MixSampler, places: Mapping[str, Places], *, samples: int, cap: int) -> dict[str, Rounds]:
    """The rounds of every source that plain passes would draw some place of more than `cap` times in a run.

    Raises RecipeError that names the sources whose shares are more than their places may give."""
    found, problems = dict[str, Rounds](), list[str]()
    for name, draws in sampler.turns(samples).items():
        try:
            rounds = capped_rounds(places[name], draws=draws, cap=cap) if draws else None
        except TooManyDrawsError as error:
            have = f"{len(places[name].counts):,} places and {draws:,} draws"
            problems.append(f"{name!r} has {have}, allowed {error.allowed}")
            continue
        if rounds is not None:
            found[name] = rounds
    if problems:
        raise RecipeError(
            f"mix.max_repetitions_per_place {cap} leaves too few draws: {'; '.join(problems)}. "
            "Raise it, or lower the weights of these sources."
        )
    return found


def over_cap(doses: Mapping[str, PlaceDose], cap: int | None) -> list[str]:
    """Findings: sources of which the dry run drew a place more often than the cap allows (M11, M14)."""
    return [
        f"source {name!r} draws a place {dose.drawn:,} times in the dry run, mix.max_repetitions_per_place is {cap}: "
        "the sampler does not keep it"
        for name, dose in doses.items()
        if cap is not None and dose.drawn > cap
    ]


def top_places(doses: Mapping[str, PlaceDose], *, samples: int) -> list[str]:
    """Warnings: places that a run repeats as if they were words of the language (M14)."""
    return [
        f"{dose.commonest or 'one place'} stands in {dose.commonest_rows:,} rows of {name!r} and is drawn "
        f"{dose.repetitions:,.0f} times, {dose.repetitions / samples:.1%} of the run: lower the weight of {name!r}, or "
        f"{'lower' if dose.capped else 'set'} mix.max_repetitions_per_place"
        for name, dose in doses.items()
        if dose.repetitions > TOP_PLACE_SHARE * samples
    ]
