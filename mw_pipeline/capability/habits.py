"""What rows are made of in each country, and where its street types stand: read from `tables/habits.toml`."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from mw_pipeline.corpus.closed_words import ClosedWord, closed_words
from mw_pipeline.errors import ArtifactError
from mw_pipeline.sources.builtin.grammar import Expansion, Grammar, load_tables
from mw_pipeline.sources.builtin.kinds import LATIN_TABLES
from mw_pipeline.sources.builtin.row_values import BOUND

STREET_TYPE = "street type"
_NO_WORD = re.compile(r"[\W_]+")
_OWN, _MILITARY = "matrix_", "matrix_military_"


def folded(text: str) -> str:
    """A text as words are compared: in lower case, what is no letter or digit as one space, accents kept."""
    return _NO_WORD.sub(" ", text.lower()).strip()


@dataclass(frozen=True)
class Habits:
    """What a locale's rows are drawn from.

    plain         the components of a plain row
    words         its closed words
    military      the regions of military mail; their postcodes are the patterns `military_AA`, …
    types_behind  the type is the last word of a street, as in `Oak Street`; else the first, as in `rue Haute`
    """

    country: str
    language: str
    plain: tuple[str, ...]
    words: tuple[ClosedWord, ...]
    military: tuple[str, ...]
    types_behind: bool
    patterns: Grammar

    def drawn(self, name: str, rng: np.random.Generator, count: int) -> list[str]:
        """That many expansions of a pattern, none where the country has no such pattern."""
        if f"{_OWN}{name}" not in self.patterns.symbols:
            return []
        found: list[str] = Expansion(self.patterns, rng, {}).expand(f"{_OWN}{name}", np.arange(count)).tolist()
        return found

    def of_kind(self, *kinds: str) -> list[ClosedWord]:
        """The closed words of these kinds, in their order."""
        return [word for word in self.words if word.kind in kinds]

    def street(self, name: str, kind: str) -> str:
        """A street of that name and type: `Brook Hollow Dr`, `rue Marie Dupont`."""
        return f"{name} {kind.title() if kind.islower() else kind}" if self.types_behind else f"{kind} {name}"


@functools.cache
def _tables() -> Mapping[str, Any]:
    """The habits of every country that has some, by its code."""
    return tomllib.loads(files("mw_pipeline.capability").joinpath("tables", "habits.toml").read_text("utf-8"))


def locale_problem(locale: str) -> str:
    """What keeps rows of a locale from being made, and what to do; nothing where its country has habits."""
    known = _tables()
    if locale.rpartition("-")[2].upper() in known:
        return ""
    return (
        f"locale {locale!r}: the capability matrix has rows of {' and '.join(known)} only. "
        "Write the habits of its country into capability/tables/habits.toml."
    )


@functools.cache
def habits_of(locale: str) -> Habits:
    """What rows of a locale such as `en-us` are made of. Raises ArtifactError for a country that no table knows."""
    if problem := locale_problem(locale):
        raise ArtifactError(problem)
    country = locale.rpartition("-")[2].upper()
    table = dict(_tables()[country])
    military = table.pop("military", {})
    plain = tuple(table.pop("plain").split())
    own = {f"{_OWN}{name}": text for name, text in table.items()}
    own |= {f"{_MILITARY}{region}": text for region, text in military.items()}
    words = closed_words(locale)
    return Habits(
        country=country,
        language=locale.partition("-")[0],
        plain=plain,
        words=words,
        military=tuple(military),
        types_behind=any(word.where == "last" for word in words if word.kind == STREET_TYPE),
        patterns=Grammar({**load_tables(*LATIN_TABLES), **own}, bound=BOUND),
    )
