"""Weighted phrase tables and their vectorised expansion: one array of strings per symbol, thousands of rows at a time.

A table is TOML: each key is a symbol, its text a list of items that are separated by new lines or semicolons. An item
may begin with a weight (`5*`) and may hold slots:

    {name}        an expansion of another symbol, or a value that the rows bind (their locality, their region, …)
    {de name}     the same after a modifier (see MODIFIERS)
    {1..99}       a uniform whole number; {~1..9999} one with uniform logarithm; {001..999} padded to the width
    {1..99th}     an English ordinal; {A..K} a capital letter
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.draws import cumulated
from mw_pipeline.errors import CorpusError

Strings = NDArray[np.object_]
Rows = NDArray[np.int64]
Part: TypeAlias = "Callable[[Expansion, Rows], Strings] | str"

_SLOT = re.compile(r"\{([^{}]+)\}")
_WEIGHT = re.compile(r"(\d+(?:\.\d+)?)\*\s*")
_NUMBER_RANGE = re.compile(r"(~?)(\d+)\.\.(\d+)(th)?")
_LETTER_RANGE = re.compile(r"([A-Z])\.\.([A-Z])")
_LARGEST_POOL = 10_000
_VOWELS = "aeiouyàâäéèêëîïôöûüœæ"


@dataclass(frozen=True)
class Symbol:
    """Items of one symbol: literals as they are, patterns as parsed parts, and their cumulated shares."""

    texts: Strings
    cumulated: NDArray[np.float64]
    has_slots: NDArray[np.bool_]
    patterns: Mapping[int, tuple[Part, ...]]


class Grammar:
    """All symbols of some tables. Raises CorpusError for a slot that neither a table nor the bound names define."""

    def __init__(self, tables: Mapping[str, str], *, bound: Sequence[str] = ()) -> None:
        known = {*tables, *bound}
        self.symbols = {name: _parse_symbol(name, text, known) for name, text in tables.items()}

    def items(self, name: str) -> tuple[str, ...]:
        """The written items of a symbol, patterns included, without their weights."""
        return tuple(self.symbols[name].texts)


class Expansion:
    """One batch of rows being written: the random stream and the strings that each row binds."""

    def __init__(self, grammar: Grammar, rng: np.random.Generator, bound: Mapping[str, Strings]) -> None:
        self.grammar, self.rng, self.bound = grammar, rng, bound

    def expand(self, name: str, rows: Rows) -> Strings:
        """One string per row for a symbol; a bound name answers with the row's own value."""
        if name in self.bound:
            return self.bound[name][rows]
        symbol = self.grammar.symbols[name]
        drawn = np.searchsorted(symbol.cumulated, self.rng.random(len(rows)), side="right")
        out = symbol.texts[drawn]
        if symbol.patterns:
            with_slots = np.flatnonzero(symbol.has_slots[drawn])
            for item, members in groups_of(drawn[with_slots]):
                positions = with_slots[members]
                out[positions] = self.join(symbol.patterns[item], rows[positions])
        return out

    def fill(self, name: str, asked: NDArray[np.bool_]) -> Strings:
        """A column with an expansion of the symbol where it is asked for, None elsewhere."""
        column = np.full(len(asked), None, dtype=object)
        rows = np.flatnonzero(asked)
        if len(rows):
            column[rows] = self.expand(name, rows)
        return column

    def join(self, parts: Sequence[Part], rows: Rows) -> Strings:
        """The concatenation of a parsed pattern for these rows."""
        out: Strings | str = ""
        for part in parts:
            out = out + (part if isinstance(part, str) else part(self, rows))
        return out if isinstance(out, np.ndarray) else np.full(len(rows), out, dtype=object)


def groups_of(keys: NDArray[np.int64]) -> list[tuple[int, Rows]]:
    """Each distinct key with the ascending positions that hold it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist()] if len(keys) else []
    return [(int(ordered[start]), order[start:stop]) for start, stop in itertools.pairwise([*starts, len(keys)])]


def load_tables(*names: str) -> dict[str, str]:
    """The symbols of packaged TOML tables. Raises CorpusError when two tables define one symbol."""
    tables: dict[str, str] = {}
    for name in names:
        for symbol, text in tomllib.loads(read_table(f"{name}.toml")).items():
            if symbol in tables:
                raise CorpusError(f"tables/{name}.toml: symbol {symbol!r} is already defined. Rename one of the two.")
            tables[symbol] = text
    return tables


def read_table(file_name: str) -> str:
    """The text of one file of the packaged tables folder."""
    return files("mw_pipeline.sources.builtin").joinpath("tables", file_name).read_text(encoding="utf-8")


def split_items(text: str) -> list[str]:
    """Items of a table text: separated by new lines or semicolons, trimmed, empty ones left out."""
    return [item for raw in re.split(r"[\n;]", text) if (item := raw.strip())]


def parse_pattern(text: str, known: set[str]) -> tuple[Part, ...]:
    """Literal texts and slot functions of one item, in order. Raises CorpusError for an unknown slot."""
    pieces = _SLOT.split(text)
    return tuple(_slot(piece, known) if odd % 2 else piece for odd, piece in enumerate(pieces) if piece)


def _parse_symbol(name: str, text: str, known: set[str]) -> Symbol:
    texts, weights = [], []
    for item in split_items(text):
        weight = _WEIGHT.match(item)
        weights.append(float(weight[1]) if weight else 1.0)
        texts.append(item[weight.end() :] if weight else item)
    if not texts:
        raise CorpusError(f"symbol {name!r} has no items: expected at least one. Write one, or remove the symbol.")
    patterns = {i: parse_pattern(item, known) for i, item in enumerate(texts) if "{" in item}
    has_slots = np.array(["{" in item for item in texts])
    return Symbol(np.array(texts, dtype=object), cumulated(weights), has_slots, patterns)


def _slot(text: str, known: set[str]) -> Part:
    if numbers := _NUMBER_RANGE.fullmatch(text):
        return _number_part(numbers)
    if letters := _LETTER_RANGE.fullmatch(text):
        return _pool_part([chr(code) for code in range(ord(letters[1]), ord(letters[2]) + 1)])
    modifier, _, name = text.rpartition(" ")
    if name not in known or (modifier and modifier not in MODIFIERS):
        raise CorpusError(f"slot {text!r} is not a symbol, a bound name or a range. Define {name!r} in a table.")
    if not modifier:
        return lambda expansion, rows: expansion.expand(name, rows)
    return _modified_part(MODIFIERS[modifier], name)


def _modified_part(modifier: Callable[[str], str], name: str) -> Part:
    modify = np.frompyfunc(modifier, 1, 1)

    def part(expansion: Expansion, rows: Rows) -> Strings:
        return np.asarray(modify(expansion.expand(name, rows)), dtype=object)

    return part


def _number_part(match: re.Match[str]) -> Part:
    low, high = int(match[2]), int(match[3])
    width = len(match[2]) if match[2].startswith("0") else 0
    if high - low > _LARGEST_POOL and not match[1]:
        return _wide_part(low, high, width)
    numbers = [ordinal(n) if match[4] else str(n).zfill(width) for n in range(low, high + 1)]
    if not match[1]:
        return _pool_part(numbers)
    pool = np.array(numbers, dtype=object)
    span = np.log((high + 1) / low)
    return lambda expansion, rows: pool[(low * np.exp(span * expansion.rng.random(len(rows)))).astype(np.int64) - low]


def _wide_part(low: int, high: int, width: int) -> Part:
    """Numbers of a range too wide to keep them all as strings."""

    def part(expansion: Expansion, rows: Rows) -> Strings:
        drawn = expansion.rng.integers(low, high + 1, size=len(rows)).tolist()
        return np.array([f"{number:0{width}d}" for number in drawn], dtype=object)

    return part


def _pool_part(values: Sequence[str]) -> Part:
    pool = np.array(values, dtype=object)
    return lambda expansion, rows: pool[expansion.rng.integers(len(pool), size=len(rows))]


def ordinal(number: int) -> str:
    """English ordinal in digits: 1st, 2nd, 3rd, 4th, 11th, 21st, 112th."""
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def french_of(name: str) -> str:
    """A French name after `de`: du Havre, des Lilas, de la Paix, d'Albi, de Paris."""
    return _contracted(name, preposition="de ", masculine="du ", plural="des ", elide=True)


def french_at(name: str) -> str:
    """A French name after `à`: au Havre, aux Lilas, à la Paix, à Paris."""
    return _contracted(name, preposition="à ", masculine="au ", plural="aux ", elide=False)


def _contracted(name: str, *, preposition: str, masculine: str, plural: str, elide: bool) -> str:
    article, _, rest = name.partition(" ")
    if rest and article in ("le", "Le"):
        return masculine + rest
    if rest and article in ("les", "Les"):
        return plural + rest
    if elide and name[:1].casefold() in _VOWELS:
        return "d'" + name
    return preposition + name


def _capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]


MODIFIERS: Mapping[str, Callable[[str], str]] = {
    "de": french_of,
    "à": french_at,
    "hyphen": lambda name: name.replace(" ", "-"),
    "joined": lambda name: name.replace(" ", ""),
    "caps": _capitalised,
    "upper": str.upper,
}
