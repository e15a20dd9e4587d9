"""One slip of the finger per text, on whole columns of code points."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.countries import country as country_file
from mw_pipeline.records.text import Mask, code_point_lengths, code_points, texts_of

CodePoints = npt.NDArray[np.uint32]

# How fingers slip, with how often (Damerau, CACM 1964, found these four in four of five misspellings).
SLIPS = {"swapped": 0.3, "lost": 0.3, "doubled": 0.15, "neighbour": 0.25}

_LATIN_END = 0x250
_IS_LATIN_LETTER = np.array([chr(code).isalpha() for code in range(_LATIN_END)])


def mistyped(texts: pa.StringArray, country: str, rng: np.random.Generator) -> pa.StringArray:
    """Each text with one slip inside one of its words; a text without a word of four Latin letters stays as it is.

    A slip is at a letter that has a letter on both sides and no mark behind it, so that no accent changes its letter.
    """
    letters, lengths = code_points(texts).copy(), code_point_lengths(texts)
    ends = np.cumsum(lengths)
    places = np.flatnonzero(_inside_words(letters, ends))
    first = np.searchsorted(places, ends - lengths)
    count = np.searchsorted(places, ends) - first
    slips = count > 0
    place = places[(first + (rng.random(len(count)) * count).astype(np.int64))[slips]]
    slip = np.searchsorted(np.cumsum(list(SLIPS.values())), rng.random(len(place)), side="right")
    names = list(SLIPS)
    times = np.ones(len(letters), np.int64)
    times[place[slip == names.index("lost")]] = 0
    times[place[slip == names.index("doubled")]] = 2
    swapped, hit = place[slip == names.index("swapped")], place[slip == names.index("neighbour")]
    letters[swapped], letters[swapped + 1] = letters[swapped + 1], letters[swapped]
    letters[hit] = _neighbours(letters[hit], country, rng)
    new_lengths = np.add.reduceat(np.append(times, 0), ends - lengths) if len(texts) else lengths
    return texts_of(np.repeat(letters, times), np.where(lengths > 0, new_lengths, 0))


def _inside_words(letters: CodePoints, ends: npt.NDArray[np.int64]) -> Mask:
    """Letters behind the first of their word, with two more letters behind them, in the same text."""
    latin = _IS_LATIN_LETTER[np.minimum(letters, _LATIN_END - 1)] & (letters < _LATIN_END)
    following = np.append(latin, [False, False])
    inside: Mask = np.append(False, latin)[:-1] & latin & following[1:-1] & following[2:]
    starts = np.append(0, ends)[:-1]
    for outer in (starts, ends - 1, ends - 2):  # their neighbours may be of another text
        inside[outer[(outer >= 0) & (outer < len(letters))]] = False
    return inside


def _neighbours(letters: CodePoints, country: str, rng: np.random.Generator) -> CodePoints:
    """The letter beside each one on its row of the keyboard; what is on no key stays."""
    table = _neighbour_keys(country)
    known = letters < len(table)
    found = letters.copy()
    found[known] = table[letters[known], rng.integers(0, 2, int(known.sum()))]
    return found


@functools.cache
def _neighbour_keys(country: str) -> CodePoints:
    """(128, 2): the keys to the left and right of each ASCII letter, in its case; the end of a row has one twice."""
    table = np.repeat(np.arange(128, dtype=np.uint32)[:, None], 2, axis=1)
    for row in country_file(country)["keyboard"]["rows"]:
        for keys in (row, row.upper()):
            for place, key in enumerate(keys):
                table[ord(key)] = [ord(keys[side]) for side in (abs(place - 1), place + 1 if keys[place + 1 :] else -2)]
    return table
