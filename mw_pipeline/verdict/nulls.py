"""Which nulls of a loss are NaN: JSON has no other word for it (M71), and a wide table none for what was not logged."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import pairwise

from mw_pipeline.digest import JSON

_LAST_POINTS = 6  # the usual interval is the widest of the last five


class Nulls:
    """The records of a log whose loss is null, and which of these have lost it.

    A run that is NaN never comes back, so a null before the last number was not logged. After it, a training loss is
    lost at its usual interval or later, in a record of what has stood beside a loss; an evaluation's in a record that
    holds what no other record held than those of evaluations."""

    def __init__(self, loss: str | None, *, score: str | None, of_evaluations: bool) -> None:
        self._loss = loss
        self._score = score
        self._of_evaluations = of_evaluations
        self._with_loss: set[str] = set()
        self._steps: set[float] = set()
        self._first_without: dict[frozenset[str], float] = {}
        self._null: list[tuple[JSON, Mapping[str, JSON], str]] = []

    def observe(self, step: JSON, record: Mapping[str, JSON], location: str) -> None:
        """Takes in a record."""
        columns = frozenset(name for name, value in record.items() if value is not None)
        at = float(step) if _is_number(step) else math.nan
        if self._loss in columns:
            self._with_loss |= columns
            self._steps.add(at)
            return
        self._first_without[columns] = min(at, self._first_without.get(columns, math.inf))
        if self._loss in record:
            self._null.append((step, record, location))

    def lost(self) -> Iterator[tuple[JSON, Mapping[str, JSON], str]]:
        """(step, record, place) of each that has lost its loss."""
        steps = sorted(step for step in self._steps if math.isfinite(step))
        if not steps:
            return
        last, only = steps[-1], self._evaluation_columns(steps[-1])
        recent = deque(steps, _LAST_POINTS)
        interval = max((after - before for before, after in pairwise(recent)), default=0.0)
        for step, record, location in self._null:
            if not _is_number(step) or step <= last:
                continue
            columns = {name for name, value in record.items() if value is not None}
            if columns & only if self._of_evaluations else step >= last + interval and columns <= self._with_loss:
                yield step, record, location

    def _evaluation_columns(self, last: float) -> set[str]:
        others = {name for columns, first in self._first_without.items() if first <= last for name in columns}
        only = self._with_loss - others
        return only if len(self._steps) > 1 else only & {self._score or ""}


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1 < value < 10**13
