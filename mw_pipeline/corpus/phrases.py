"""Phrases that a table lists and a row draws: "Apt 4B", "PO Box 740241", "BP 12", "CEDEX 07", and people's names."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.conventions import Weighted, weighted
from mw_pipeline.countries import country
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import MOST

_PHRASE = re.compile(
    r"(?P<before>[^{}]*)(?:\{A\.\.(?P<first>[A-Z])\})?(?:\{(?P<low>\d+)\.\.(?P<high>\d+)(?P<ordinal>th)?\})?"
    r"(?P<middle>[^{}]*)(?:\{A\.\.(?P<letter>[A-Z])\})?(?P<after>[^{}]*)"
)
_LETTERS = pa.array([""] + [chr(code) for code in range(ord("A"), ord("Z") + 1)])
_ORDINAL_ENDINGS = pa.array(["", "th", "st", "nd", "rd"])


@dataclass(frozen=True)
class Phrases:
    """P phrases with a number, a letter before or behind it, or neither in them.

    before, middle, after  texts around the number and the letters, one per phrase; `before` carries the weights
    low, high              (P,) int64  the number is one of low..high; high is -1 where there is none
    ordinal                (P,) bool   whether the number takes its English ending
    first, letters         (P,) int64  the letter right before the number, and the one behind `middle`, are of the first
                           so many of the alphabet; 0 where there is none
    """

    before: Weighted
    middle: pa.StringArray
    after: pa.StringArray
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    ordinal: npt.NDArray[np.bool_]
    first: npt.NDArray[np.int64]
    letters: npt.NDArray[np.int64]

    def draw(self, rows: int, rng: np.random.Generator) -> pa.StringArray:
        """One phrase per row, by weight, with a number and letter of its own."""
        drawn = self.before.draw(rows, rng)
        low, high = self.low[drawn], self.high[drawn]
        number = low + (rng.random(rows) * (high - low + 1)).astype(np.int64)
        phrase = pa.array(drawn)
        return pc.binary_join_element_wise(
            self.before.texts.take(phrase),
            _drawn_letters(self.first[drawn], rng),
            pc.if_else(pa.array(high >= 0), pa.array(number).cast(pa.string()), ""),
            _ORDINAL_ENDINGS.take(pa.array(np.where(self.ordinal[drawn], _ending(number), 0))),
            self.middle.take(phrase),
            _drawn_letters(self.letters[drawn], rng),
            self.after.take(phrase),
            "",
        )


@dataclass(frozen=True)
class People:
    """People's names: what stands before them, first names and their initials, and family names."""

    before: Weighted
    given: pa.StringArray
    initials: pa.StringArray
    initial_share: float
    family: pa.StringArray

    def draw(self, rows: int, rng: np.random.Generator) -> pa.StringArray:
        """One name per row."""
        given = pa.array(rng.integers(0, len(self.given), rows))
        short = pa.array(rng.random(rows) < self.initial_share)
        return pc.binary_join_element_wise(
            self.before.texts.take(pa.array(self.before.draw(rows, rng))),
            pc.if_else(short, self.initials.take(given), self.given.take(given)),
            " ",
            self.family.take(pa.array(rng.integers(0, len(self.family), rows))),
            "",
        )


@functools.cache
def phrases(code: str, tag: str) -> Phrases | None:
    """The phrases of a country's file for one component; None where it lists none."""
    rows = country(code)["phrases"][tag]
    return parsed(rows) if rows else None


@functools.cache
def people(code: str) -> People | None:
    """How people are named at their address; None where the country's file names none."""
    table = country(code)["people"]
    if not table["before"]:
        return None
    given, family = table["given"].split(), table["family"].split()
    initials = [f"{name[0]}." for name in given]
    return People(
        weighted(table["before"]), pa.array(given), pa.array(initials), table["initial_share"], pa.array(family)
    )


def parsed(rows: Sequence[tuple[float, str]]) -> Phrases:
    """Weights and phrases as columns. Raises CorpusError for a phrase that is not of the form the table explains."""
    found = [(weight, _match(text)) for weight, text in rows]
    return Phrases(
        before=weighted([(weight, match["before"]) for weight, match in found]),
        middle=pa.array([match["middle"] for _, match in found]),
        after=pa.array([match["after"] for _, match in found]),
        low=np.array([int(match["low"] or 0) for _, match in found], np.int64),
        high=np.array([int(match["high"] or -1) for _, match in found], np.int64),
        ordinal=np.array([match["ordinal"] is not None for _, match in found]),
        first=np.array([_letters_up_to(match["first"]) for _, match in found], np.int64),
        letters=np.array([_letters_up_to(match["letter"]) for _, match in found], np.int64),
    )


def _match(text: str) -> re.Match[str]:
    match = _PHRASE.fullmatch(text)
    if match is None:
        raise CorpusError(
            f"{text!r} is not a phrase: expected text around at most one {{1..99}}, with one {{A..H}} right before it "
            "and one behind it. Write it as two phrases."
        )
    if match["low"] and not int(match["low"]) <= int(match["high"]) <= MOST:
        raise CorpusError(f"{text!r} is not a phrase: expected numbers that rise, up to {MOST}. Correct them.")
    return match


def _letters_up_to(last: str | None) -> int:
    return ord(last) - ord("A") + 1 if last else 0


def _drawn_letters(counts: npt.NDArray[np.int64], rng: np.random.Generator) -> pa.StringArray:
    """(N,): one of the first so many letters each, nothing where there is none."""
    letter = 1 + (rng.random(len(counts)) * counts).astype(np.int64)
    return _LETTERS.take(pa.array(np.where(counts > 0, letter, 0)))


def _ending(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,): which ordinal ending each number takes: 11th, 12th and 13th beside 1st, 2nd and 3rd."""
    ones = numbers % 10
    teens = (numbers % 100 >= 11) & (numbers % 100 <= 13)
    return np.where((ones >= 1) & (ones <= 3) & ~teens, 1 + ones, 1)
