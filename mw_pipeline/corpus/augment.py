"""The named ways in which people write one address differently, each on whole columns, each with a dose.

A method gets a draft, the rows asked for and a generator; it returns the new draft and the rows that it really changed.
What it could not change counts as failed, never as applied: the waterfall shows both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.corpus.compose import Draft
from mw_pipeline.corpus.contents import (
    add_direction,
    add_zip4,
    cross_streets,
    lead_in,
    write_cedex,
    write_country,
    write_person,
    write_po_box,
    write_unit,
)
from mw_pipeline.corpus.layouts import bracket, break_lines, reorder, run_on, separate
from mw_pipeline.corpus.recasing import recase
from mw_pipeline.corpus.spellings import abbreviate, change_case, expand, mistype, strip_accents, transliterate
from mw_pipeline.corpus.subsets import as_mailed, cut_down
from mw_pipeline.records.text import Mask

Method = Callable[[Draft, Mask, np.random.Generator], tuple[Draft, Mask]]

# In this order: what is written, then how it is spelled, then where it stands, and at last who hands it on.
METHODS: dict[str, Method] = {
    "partial": cut_down,
    "intersection": cross_streets,
    "corner": lead_in,
    "po_box": write_po_box,
    "cedex": write_cedex,
    "unit": write_unit,
    "direction": add_direction,
    "person": write_person,
    "country_name": write_country,
    "zip4": add_zip4,
    "transliteration": transliterate,
    "abbreviation": abbreviate,
    "expansion": expand,
    "accents": strip_accents,
    "typos": mistype,
    "case": change_case,
    "order": reorder,
    "run_on": run_on,
    "brackets": bracket,
    "separators": separate,
    "multi_line": break_lines,
    "client_case": recase,
}

# What hurts a text rather than writing it another way: no default asks for it.
DAMAGE = frozenset({"typos"})


@dataclass(frozen=True)
class Tally:
    """What became of one method: rows that were asked to take it, and rows that it changed."""

    asked: int
    applied: int

    @property
    def failed(self) -> int:
        """Rows that were asked and could not be changed."""
        return self.asked - self.applied


def augment(
    draft: Draft, doses: Mapping[str, float], rng: np.random.Generator
) -> tuple[Draft, pa.StringArray, dict[str, Tally]]:
    """The draft with every dosed method applied to its share of rows.

    Returns the draft, the names of the methods that changed each row joined by "+" (null where none did), and a tally
    per method. A dose is the probability that a row is asked; the methods are independent of each other. A row that is
    not asked for a subset says what the mail of its country says.
    """
    marks = np.zeros(draft.rows, np.int64)
    tallies: dict[str, Tally] = {}
    for number, (name, method) in enumerate(METHODS.items()):
        asked = rng.random(draft.rows) < doses.get(name, 0.0)
        if name == "partial":
            draft = as_mailed(draft, ~asked, rng)
        if not asked.any():
            continue
        draft, applied = method(draft, asked, rng)
        marks |= applied.astype(np.int64) << number
        tallies[name] = Tally(int(asked.sum()), int(applied.sum()))
    return draft, _names_of(marks), tallies


def _names_of(marks: npt.NDArray[np.int64]) -> pa.StringArray:
    """(N,): the methods whose bits are set, joined by "+"; null for none."""
    distinct, index = np.unique(marks, return_inverse=True)
    return pa.array([_joined(mark) for mark in distinct.tolist()], pa.string()).take(pa.array(index.ravel()))


@functools.lru_cache(maxsize=65_536)
def _joined(mark: int) -> str | None:
    return "+".join(name for number, name in enumerate(METHODS) if mark >> number & 1) or None
