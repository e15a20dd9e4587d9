"""How a source's draws are shared out over its places, when none of them may be drawn more than so often.

A source that is drawn N times, and whose places may each be drawn C times at most, is drawn in T rounds of X = ⌈N/T⌉
slots. In a round place p has x_p = min(c, μ·r_p) slots, where r_p are its rows, c = ⌊C/T⌋, and μ ≤ 1 is such that the
slots add up to X: places below the cap keep their proportions, and share among them what the others may not take. The
slots lie end to end on a line whose whole numbers are the draws, so a place gets ⌊x_p⌋ or ⌈x_p⌉ of them: never more
than c in a round, nor than C in the run. T is the least number of rounds that gives the source all its draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.draws import splitmix64

_UNIT = 1 << 20  # parts of a slot: whole numbers, since sums of floats would let a place over its cap by one


@dataclass(frozen=True)
class Places:
    """The P places of a source. A row without a place is a place of its own.

    counts  (P,) int64          rows of each place
    order   (R,) int64 or None  row numbers, those of one place side by side, places in the order of `counts`; None
                                where the rows are only counted, and then they are numbered like that
    commonest                   the place of most rows, for a person
    """

    counts: NDArray[np.int64]
    order: NDArray[np.int64] | None = None
    commonest: str = ""

    @classmethod
    def of(cls, ids: NDArray[np.uint64]) -> Places:
        """The places of rows (R,) by the id of their place; 0 is none."""
        order = np.argsort(ids, kind="stable")
        _, counts = np.unique(ids, return_counts=True)
        placeless = int((ids == 0).sum())
        if placeless:
            counts = np.concatenate([np.ones(placeless, np.int64), counts[1:]])
        return cls(counts.astype(np.int64), order)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """(P,) position of the first row of each place in `order`."""
        return np.cumsum(self.counts) - self.counts

    def most(self) -> int:
        """Rows of the commonest place; 0 without any."""
        return int(self.counts.max(initial=0))

    def of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place number of each of these positions in `order`."""
        return np.asarray(np.searchsorted(self.first, rows, side="right") - 1, np.int64)


@dataclass(frozen=True)
class Rounds:
    """The rounds in which a source is drawn under a cap: `slots` draws each, of which a place gets its width.

    widths  (P,) int64  slots of each place in a round, in units of 1 / 2^20
    """

    places: Places
    slots: int
    per_round: int
    rounds: int
    widths: NDArray[np.int64]
    _ends: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", np.cumsum(self.widths))
        assert self._ends[-1] == self.slots * _UNIT

    def rows(self, slot: NDArray[np.int64], rounds: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The row that each slot of a round draws; all (N,).

        No row comes twice in a round. A place at its cap moves on by its slots each round, so that all its rows are
        seen in turn; `key` names the round, and turns the others by chance."""
        phase = (splitmix64(key) & np.uint64(_UNIT - 1)).astype(np.int64)
        at = slot * _UNIT + phase
        place = np.searchsorted(self._ends, at, side="right")
        begin = self._ends[place] - self.widths[place]
        rank = slot - -((phase - begin) // _UNIT)  # slots of the place that come before it in this round
        by_chance = splitmix64(key ^ splitmix64(place.astype(np.uint64))) >> np.uint64(1)
        capped = self.widths[place] == self.per_round * _UNIT
        moved = np.where(capped, rounds * self.per_round, by_chance.astype(np.int64))
        position = self.places.first[place] + (rank + moved) % self.places.counts[place]
        order = self.places.order
        found: NDArray[np.int64] = position if order is None else order[position]
        return found

    def most_drawn(self) -> float:
        """How often the run draws the place that it draws most."""
        return float(self.widths.max()) / _UNIT * self.rounds


class TooManyDrawsError(Exception):
    """A source is drawn more often than its places may be."""

    def __init__(self, allowed: int) -> None:
        super().__init__(f"allowed {allowed}")
        self.allowed = allowed


def capped_rounds(places: Places, *, draws: int, cap: int) -> Rounds | None:
    """The rounds that draw a source `draws` times and none of its places more than `cap` times.

    None where its plain passes do that. Raises TooManyDrawsError when these are more than the cap allows."""
    counts, rows = places.counts, int(places.counts.sum())
    if not draws or places.most() * -(-draws // rows) <= cap:
        return None
    rising = np.sort(counts)
    ahead = np.concatenate([[0], np.cumsum(rising)])
    tries = np.arange(1, cap + 1)
    each = cap // tries
    below = np.searchsorted(rising, each, side="right")
    room = ahead[below] + (len(counts) - below) * each
    enough = np.flatnonzero(room >= -(-draws // tries))
    if not len(enough):
        raise TooManyDrawsError(int((room * tries).max()))
    rounds, per_round = int(tries[enough[0]]), int(each[enough[0]])
    slots = -(-draws // rounds)
    return Rounds(places, slots, per_round, rounds, _widths(counts, slots, per_round))


def _widths(counts: NDArray[np.int64], slots: int, per_round: int) -> NDArray[np.int64]:
    """(P,) slots of each place in units: min(per_round, μ × its rows), adding up to `slots`."""
    falling = np.sort(counts)[::-1]
    ahead = np.cumsum(falling) - falling
    # With the k largest places at their cap, the rest share what is left; the first k under which none is over it.
    left = slots - per_round * np.arange(len(counts), dtype=np.float64)
    rate = left / (falling.sum() - ahead)
    fits = np.flatnonzero(rate * falling <= per_round)
    most = np.minimum(counts, per_round) * _UNIT
    if not len(fits):
        return most
    widths: NDArray[np.int64] = np.minimum(most, np.floor(rate[fits[0]] * counts * _UNIT).astype(np.int64))
    missing = slots * _UNIT - int(widths.sum())
    while missing > 0:
        free = np.flatnonzero(widths < most)[:missing]
        widths[free] += 1
        missing -= len(free)
    if missing < 0:
        given = np.flatnonzero((widths > 0) & (widths < most))[:-missing]
        widths[given] -= 1
    return widths
