"""The rows of a locale's matrix: made from places and streets that training never saw, the same for the same seed."""

from __future__ import annotations

import contextlib
import gc
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mw_pipeline.capability.addresses import Address, distinct, write_rows
from mw_pipeline.capability.cells import ROWS_PER_CELL, CellKey, MatrixRow
from mw_pipeline.capability.closed_lists import CellPlan, closed_list_plans
from mw_pipeline.capability.compositions import composition_plans
from mw_pipeline.capability.scripts import script_plans
from mw_pipeline.capability.stock import Stock, stock_of

HELD_OUT_SHARE = 0.02
"""The share of places that the corpora of this project hold out, where nothing else is known of a parser's corpus."""
# Made for every cell, so that enough are left when repeats and what training has met are taken out.
_CANDIDATES = 2 * ROWS_PER_CELL

Unseen = Callable[[Sequence[MatrixRow]], npt.NDArray[np.bool_]]
"""(R,): which rows training has met neither as a text nor by one of their streets."""


@dataclass(frozen=True)
class MatrixRows:
    """What a parser is asked.

    rows      at most ROWS_PER_CELL for each cell that rows were made for
    keys      of all cells that rows were made for, whether any is left or not
    not_asked cells that a person could not read either, and why
    left_out  rows that stood in training, or had a street that does
    share     the share of all places of which theirs are, as a corpus holds it out
    """

    rows: tuple[MatrixRow, ...]
    keys: tuple[CellKey, ...]
    not_asked: dict[str, str]
    left_out: int
    share: float


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Without looking for cycles: gazetteers and rows are millions of objects that have none, and looking through them
    again and again takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@nothing_collected()
def matrix_rows(
    locale: str, *, seed: int = 0, share: float = HELD_OUT_SHARE, unseen: Unseen | None = None
) -> MatrixRows:
    """The rows of every cell of a locale.

    share   the share of places that the corpus holds out: a larger one holds out what a smaller does, and more
    unseen  looks rows up in the training rows; without it none is left out
    Raises ArtifactError for a locale that there is no table for."""
    stock = stock_of(locale, seed=seed, share=share)
    plans = _plans(stock, share)
    made = _makeable(plans)
    candidates = list(distinct(_matrix_rows(stock.habits.country, made, seed)))
    fresh = np.ones(len(candidates), np.bool_) if unseen is None else unseen(candidates)
    kept = [row for row, is_fresh in zip(candidates, fresh, strict=True) if is_fresh]
    return MatrixRows(
        rows=tuple(_first_rows(kept)),
        keys=tuple(dict.fromkeys(plan.key for plan in made)),
        not_asked={plan.key.name: plan.why_not for plan in plans if plan.make is None},
        left_out=int((~fresh).sum()),
        share=share,
    )


@nothing_collected()
def cells_always_asked(locale: str, tags: tuple[str, ...], *, seed: int = 0, share: float) -> tuple[CellKey, ...]:
    """The cells that the matrix of a locale has whoever was asked, and whatever their training had met.

    tags  those of the parser's labels: a cell some of whose rows have none of them may be left out, and is not here
    Raises ArtifactError for a locale that there is no table for."""
    stock = stock_of(locale, seed=seed, share=share)
    candidates = (list(_candidates(plan, seed)) for plan in _makeable(_plans(stock, share)))
    rows_of_cells = (rows for rows in candidates if all(set(tags) & set(one.values) for one in rows))
    return tuple(dict.fromkeys(key for rows in rows_of_cells for one in rows for key in (one.key, *one.also)))


def _plans(stock: Stock, share: float) -> list[CellPlan]:
    return [*closed_list_plans(stock), *composition_plans(stock), *script_plans(stock, share)]


def _makeable(plans: Sequence[CellPlan]) -> list[CellPlan]:
    """Those of which rows can be made."""
    return [plan for plan in _first_of_each(plans) if plan.make is not None]


def _matrix_rows(country: str, plans: Sequence[CellPlan], seed: int) -> Iterator[MatrixRow]:
    """The candidates of all cells; a script writes its rows in an order of its own, drawn cell by cell."""
    batches: dict[CellKey | None, list[Address]] = defaultdict(list)
    for plan in plans:
        for one in _candidates(plan, seed):
            batches[plan.key if one.order is None else None].append(one)
    for batch in batches.values():
        yield from write_rows(country, batch)


def _first_of_each(plans: Sequence[CellPlan]) -> Iterator[CellPlan]:
    """One plan for each cell: a word may stand in a list twice."""
    first: dict[CellKey, CellPlan] = {}
    for plan in plans:
        first.setdefault(plan.key, plan)
    return iter(first.values())


def _candidates(plan: CellPlan, seed: int) -> Iterator[Address]:
    """More rows than a cell needs; they depend on seed and cell alone, whatever other cells there are."""
    rng = random.Random(f"{seed}/{plan.key.name}")  # noqa: S311  rows, not secrets
    assert plan.make is not None
    return (plan.make(rng) for _ in range(_CANDIDATES))


def _first_rows(rows: Sequence[MatrixRow]) -> Iterator[MatrixRow]:
    """The first rows of every cell that rows were made for, as many as it needs."""
    counts: Counter[CellKey] = Counter()
    for row in rows:
        counts[row.keys[0]] += 1
        if counts[row.keys[0]] <= ROWS_PER_CELL:
            yield row
