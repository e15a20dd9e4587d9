"""Where the words of a text begin and end, character by character and piece by piece. numpy only.

A word is a maximal run of letters, marks and digits (Unicode L, M, N). In scripts that are written without spaces every
character is a word of its own, and a mark belongs to the character before it. A span holds a word whole or not at all,
or a value is half a word: `MERIDIAN TRADING ROBERT J HAL` of `… HALLORAN` (M67). Gold, labelled sources, labels and
parses all ask here: what is a value to one of them is possible to the others.

Shape letters: R texts, C code points of all texts together, N pieces of all texts, S spans of all texts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Offsets = NDArray[np.signedinteger]
Mask = NDArray[np.bool_]
PieceKinds = NDArray[np.uint8]

INSIDE = 0
"""A piece that goes on with the word before it: it is in a span exactly if that is."""
BEGINS = 1
"""The first piece of a word: a span may end before it, and begin with it."""
BARRED = 2
"""A piece before which a span may end, but none begin with it: a lone space, or a mark that belongs to no letter."""
UNREAD = 3
"""The first piece of a word whose end was not read: it is in no span."""

_MARK, _CORE, _UNSPACED = np.uint8(1), np.uint8(2), np.uint8(4)  # _CORE is a letter or digit

# Han, Hiragana, Katakana, Thai, Lao, Khmer and Myanmar (Unicode Scripts.txt), with the marks and the lengthening sign
# that kana share; all of planes 2 and 3 is Han.
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3021, 0x302D),
    (0x3031, 0x3035),
    (0x3038, 0x303C),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x116D0, 0x116FF),
    (0x16FE2, 0x16FE3),
    (0x16FF0, 0x16FFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)
# Above these no code point is a letter, mark or digit: planes 4 to 13 are empty, 15 and 16 for private use.
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE1000))


@cache
def character_kinds() -> NDArray[np.uint8]:
    """(0x110000,) what each code point is to a word: bit 1 a mark, bit 2 a letter or digit, bit 4 unspaced."""
    kinds = np.zeros(0x110000, dtype=np.uint8)
    category = unicodedata.category
    for assigned in _ASSIGNED:
        letters = "".join(category(chr(code_point))[0] for code_point in assigned).encode()
        found = np.frombuffer(letters, dtype=np.uint8)
        core = (found == ord("L")) | (found == ord("N"))
        kinds[assigned.start : assigned.stop] = _CORE * core + _MARK * (found == ord("M"))
    for first, last in _UNSPACED_RANGES:
        kinds[first : last + 1] |= _UNSPACED * (kinds[first : last + 1] > 0)
    return kinds


@cache
def _joints_of_pairs() -> Mask:
    """(8, 8) True where a word ends between characters of two kinds, or none is there."""
    before, after = np.arange(8)[:, None], np.arange(8)
    joints: Mask = (before == 0) | (after == 0) | (((after & _MARK) == 0) & (((before | after) & _UNSPACED) > 0))
    return joints


@lru_cache(maxsize=64)
def word_edges(text: str) -> Mask:
    """(length + 1,) True where a word may begin or end: position p lies before code point p. Read only."""
    edges = Characters([text]).joints
    edges.setflags(write=False)
    return edges


class Characters:
    """The code points of R texts, flat: where words begin and end, and the nearest letter or digit on either side.

    lengths  (R,)    int64  code points of each text
    offsets  (R+1,)  int64  its first position in C
    kinds    (C,)    uint8  those of `character_kinds`
    joints   (C+1,)  bool   True between two words, or outside any: position p lies before code point p

    What only some texts need is made when it is asked for.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        joined = "".join(texts).encode("utf-32-le", "surrogatepass")
        self.lengths: Positions = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        self.offsets: Positions = np.zeros(len(texts) + 1, dtype=np.int64)
        self.lengths.cumsum(out=self.offsets[1:])
        self.kinds = character_kinds()[np.frombuffer(joined, dtype=np.uint32)]
        self.joints: Mask = np.ones(len(self.kinds) + 1, dtype=bool)
        self.joints[1:-1] = _joints_of_pairs()[self.kinds[:-1], self.kinds[1:]]
        self.joints[self.offsets] = True

    @property
    def in_word(self) -> Mask:
        """(C,) True for letters, marks and digits."""
        found: Mask = self.kinds > 0
        return found

    @property
    def unspaced(self) -> Mask:
        """(C,) True for those of scripts that are written without spaces."""
        found: Mask = (self.kinds & _UNSPACED) > 0
        return found

    @cached_property
    def _next_core(self) -> Positions:
        return _next_of((self.kinds & _CORE) > 0)

    @cached_property
    def _next_other(self) -> Positions:
        return _next_of((self.kinds & _MARK) == 0)

    @cached_property
    def _last_core(self) -> Positions:
        return np.maximum.accumulate(np.where((self.kinds & _CORE) > 0, np.arange(len(self.kinds)), -1))

    def next_core(self, positions: Positions) -> Positions:
        """The first letter or digit at or after each position, C where there is none in any text."""
        return self._next_core[positions]

    def trimmed(self, row: Positions, starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
        """Starts and ends (S,) within their texts, shrunk to letters and digits and the marks of the last of them.

        The rule of `decode.trim`, for many at a time; where nothing is left, start and end are equal.
        """
        base = self.offsets[row]
        if not len(self._last_core):
            return starts, starts
        first = self._next_core[base + starts]
        last = self._last_core[np.maximum(base + ends - 1, 0)]
        kept = np.minimum(self._next_other[last + 1], base + ends)
        empty = (starts >= ends) | (first > last)
        return np.where(empty, starts, first - base), np.where(empty, starts, kept - base)

    def whole_words(self, row: Positions, starts: Positions, ends: Positions) -> Mask:
        """(S,) True for spans that begin and end where words do, once they are trimmed."""
        starts, ends = self.trimmed(row, starts, ends)
        base = self.offsets[row]
        whole: Mask = (self.joints[base + starts] & self.joints[base + ends]) | (starts == ends)
        return whole

    def piece_kinds(self, starts: Offsets, ends: Offsets, offsets: Positions) -> PieceKinds:
        """(N,) INSIDE, BEGINS, BARRED or UNREAD for the pieces of R texts, whatever they cut the texts into.

        starts   (N,)    first code point of each piece in its own text
        ends     (N,)    one past its last: equal to its start for a lone space or a byte that continues a character
        offsets  (R+1,)  which pieces are whose

        Spans of whole words, trimmed, begin and end at joints: a word is the pieces from one that is not INSIDE to the
        next such, so a piece that holds the end of one word and the start of another binds both together.
        """
        counts = offsets[1:] - offsets[:-1]
        base = self.offsets[:-1].repeat(counts)
        first, end = base + starts, base + ends
        joint, empty = self.joints[first], first == end
        opens, leads = joint.copy(), joint & ~empty
        opens[1:] &= self.joints[end[:-1]]
        bare = (empty & (ends > 0)).nonzero()[0]
        if len(bare):
            opens[bare] &= self.kinds[end[bare] - 1] == 0
        filled = counts > 0
        opens[offsets[:-1][filled]] = True
        if (self.kinds & _MARK).any():  # only after a mark that belongs to no letter is the next one not at a joint
            leads &= self.joints[np.minimum(self._next_core[first], self.offsets[1:].repeat(counts))]
        kinds = np.where(opens, np.where(leads, BEGINS, BARRED), INSIDE).astype(np.uint8)
        tail = offsets[1:][filled] - 1
        cut = ~self.joints[end[tail]]
        if cut.any():
            word = np.maximum.accumulate(np.where(opens, np.arange(len(opens)), 0))
            kinds[word[tail[cut]]] = UNREAD
        return kinds


@dataclass(frozen=True)
class PieceJoints:
    """What the pieces of a vocabulary of V say of words by themselves, so that a network can tell words by piece ids.

    leads  (V,)  bool  a word begins in it, whatever stands before
    joins  (V,)  bool  goes on with the word before it if that is open, and begins one otherwise
    open   (V,)  bool  ends within a word, or before one

    What follows a word without a space belongs to it, as the comma of `Dr,`; what comes after a space to the next one,
    as the sign of `#2150`.
    """

    leads: Mask
    joins: Mask
    open: Mask

    @classmethod
    def of(cls, pieces: Sequence[str]) -> PieceJoints:
        """Of the texts of pieces, with a space where they have one; one without text goes on with any word."""
        after_space = np.array([piece.startswith(" ") for piece in pieces])
        characters = Characters([piece or "," for piece in pieces])
        first, last = characters.offsets[:-1], characters.offsets[1:] - 1
        spaced = characters.in_word & ~characters.unspaced
        holds_word = np.logical_or.reduceat(characters.in_word, first)
        joins = spaced[first]
        return cls(after_space | (holds_word & ~joins), joins, spaced[last] | (after_space & ~holds_word))

    def begins(self, ids: NDArray[np.integer], offsets: Positions) -> Mask:
        """(N,) True for the first piece of each word of R texts: `ids` (N,), `offsets` (R+1,) which are whose."""
        after_open = np.zeros(len(ids), dtype=bool)
        after_open[1:] = self.open[ids[:-1]]
        begins: Mask = self.leads[ids] | (self.joins[ids] & ~after_open)
        begins[offsets[:-1][np.diff(offsets) > 0]] = True
        return begins


def _next_of(holds: Mask) -> Positions:
    """(C+1,) the first place at or after each where it holds, C where there is none."""
    places = np.where(holds, np.arange(len(holds), dtype=np.int64), len(holds))
    return np.append(np.minimum.accumulate(places[::-1])[::-1], len(holds))
