"""Labelled texts told of other addresses: their own shape, with the names and numbers of others in it.

A set that people labelled holds a few hundred texts, and shows what no grammar does: in which order, with which marks
and which words of closed classes people write. Met often enough to teach that, its few streets and persons are learned
by heart. So street names, people, firms, buildings and numbers are drawn as the built-in source draws them, while
types, directions, kinds of unit and all marks stay; so do town, state and ZIP code, which belong together.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mw_pipeline.sources.builtin.grammar import Expansion, Strings, ordinal
from mw_pipeline.sources.builtin.kinds import grammar, places_of
from mw_pipeline.sources.builtin.row_values import RowValues
from mw_pipeline.sources.token_xml import TokenText

KEPT_SHARE = 0.2
"""Of the names: so that those of the texts are met beside other ones, too."""

_NAMES_A_TEXT = 2
_MOST_DIGITS = 20  # what has more is no number of an address

# Tag of the labelled sets to the symbol of the built-in tables whose expansions take its place.
_NAMES: Mapping[str, str] = {
    "StreetName": "us_street_name",
    "Recipient": "us_venue",
    "BuildingName": "us_building",
    "LandmarkName": "us_venue",
}
_NUMBERED = frozenset(
    ("AddressNumber", "StreetName", "OccupancyIdentifier", "SubaddressIdentifier", "USPSBoxID", "USPSBoxGroupID")
)
_EDGES = re.compile(r"([\W_]*)(.*?)([\W_]*)", re.DOTALL)
_NUMBER = re.compile(r"(\d+)((?:st|nd|rd|th)\b)?", re.IGNORECASE)
# What stands before a recipient and is no part of a name.
_CARE_OF = re.compile(r"\b(?:attn|attention|c/o|care)\b", re.IGNORECASE)


def with_other_names(texts: Sequence[TokenText], rng: np.random.Generator) -> list[TokenText]:
    """Each text with names of others, in the case of its own, and with other numbers of as many digits."""
    places = places_of("US")
    expansion = Expansion(grammar(), rng, RowValues(places, places.draw(rng, len(texts), popular_share=0.25), rng))
    drawn = {
        tag: [expansion.expand(symbol, np.arange(len(texts))) for _ in range(_NAMES_A_TEXT)]
        for tag, symbol in _NAMES.items()
    }
    return [
        TokenText(text.line, tuple(_retold(text.pieces, _names_of(drawn, row), rng))) for row, text in enumerate(texts)
    ]


def _names_of(drawn: Mapping[str, Sequence[Strings]], row: int) -> Mapping[str, Iterator[str]]:
    """The names of each tag that a text may take, one after the other: a crossing takes two of streets."""
    return {tag: itertools.cycle([names[row] for names in columns]) for tag, columns in drawn.items()}


def _retold(
    pieces: Sequence[tuple[str, str]], names: Mapping[str, Iterator[str]], rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """The pieces, neighbours of one tag in one, with their names and numbers drawn anew."""
    shouted = "".join(text for _, text in pieces).isupper()
    for tag, text in _joined(pieces):
        if tag in _NUMBERED and _NUMBER.search(text):
            yield tag, _NUMBER.sub(lambda found: _other_number(found, rng), text)
        elif tag in names and len(text) > 1 and not _CARE_OF.search(text) and rng.random() >= KEPT_SHARE:
            before, own, after = _edges(text)
            yield tag, before + _in_case_of(own, next(names[tag]), shouted=shouted) + after
        else:
            yield tag, text


def _joined(pieces: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The pieces with neighbours of one tag, which nothing but blanks parts, in one."""
    tag, text, blanks = "", "", ""
    for theirs, piece in pieces:
        if tag and not theirs and not piece.strip():
            blanks += piece
        elif tag and theirs == tag:
            text, blanks = text + blanks + piece, ""
        else:
            yield tag, text
            yield "", blanks
            tag, text, blanks = theirs, piece, ""
    yield tag, text
    yield "", blanks


def _other_number(found: re.Match[str], rng: np.random.Generator) -> str:
    if len(found[1]) > _MOST_DIGITS:
        return found[0]
    first, others = rng.integers(1, 10), rng.integers(10, size=len(found[1]) - 1)
    number = f"{first}{''.join(map(str, others))}"
    if not found[2]:
        return number
    return ordinal(int(number)).upper() if found[2].isupper() else ordinal(int(number))


def _edges(text: str) -> tuple[str, str, str]:
    """The marks before a text, the text, and the marks behind it."""
    found = _EDGES.fullmatch(text)
    return (found[1], found[2], found[3]) if found else ("", text, "")


def _in_case_of(own: str, name: str, *, shouted: bool) -> str:
    if own.islower():
        return name.lower()
    return name.upper() if shouted and own.isupper() else name
