"""The failure rules of a training run, each a small observer that is fed one logged point at a time.

A hit is (step, detail): where the failure began and the numbers that show it. Every rule costs the same at step one
and at step one million, apart from the median pace, which keeps one float a logged row.
"""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections import deque
from collections.abc import Collection

from mw_pipeline.verdict.resolution import EXACT, Rounding
from mw_pipeline.verdict.runlog import Row

Hit = tuple[int, str]

MEDIAN_POINTS = 5
REBOUND_FACTOR = 2.0
REBOUND_NATS = 0.10
REBOUND_POINTS = 5
F1_DROP = 0.10
SWING_EVALS = 5
FLAT_SHARE_OF_ENTROPY = 0.95
FLAT_F1 = 0.10  # below it a fall of F1_DROP cannot happen, so `collapse` would watch nothing
FLAT_EVALS = 5
RISING_FACTOR = 1.25
CONSTANT_STEPS = 20
PACE_SHARE_OF_MEDIAN = 0.05
_ENOUGH_POINTS = 5  # a sparse log covers 20 steps with two points, and two equal numbers prove nothing
_CLOCK_BEGAN_ANEW = 0.5  # of what it showed before: a clock that was set is turned back by less
_ROUNDING = 1e-9  # 0.42 − 0.10 is below 0.32 in binary


def nonfinite_number(row: Row, names: tuple[str, ...]) -> str | None:
    """The first of the named columns that holds NaN, Inf or (for a loss) null, as text; None when all are finite."""
    for name in names:
        value = row.get(name)
        if value is None and name in row and name in ("loss", "val_loss"):
            return f"{name} is null"
        if value is not None and not math.isfinite(value):
            return f"{name} is {value}"
    return None


def nonfinite_weights(row: Row) -> str | None:
    """How many weights of the model are NaN or Inf, as text; None when all are finite or nobody counted."""
    broken = row.get("nonfinite_parameters")
    if broken and not math.isfinite(broken):
        return f"the count of weights that are not finite is {broken}"
    return f"{int(broken)} weights of the model are not finite" if broken else None


class LossTrend:
    """The running median m of the last five train losses, its floor so far, and the rule `rebound`."""

    def __init__(self) -> None:
        self.median: float | None = None
        self.floor: float | None = None
        self._last: deque[float] = deque(maxlen=MEDIAN_POINTS)
        self._above = 0
        self._above_since = 0

    def observe(self, step: int, loss: float) -> Hit | None:
        """A hit when m has stayed above max(2 × floor, floor + 0.10) for five points; its step is the first of them."""
        self._last.append(loss)
        if len(self._last) < MEDIAN_POINTS:
            return None
        self.median = statistics.median(self._last)
        self.floor = self.median if self.floor is None else min(self.floor, self.median)
        limit = max(REBOUND_FACTOR * self.floor, self.floor + REBOUND_NATS)
        if self.median <= limit:
            self._above = 0
            return None
        if self._above == 0:
            self._above_since = step
        self._above += 1
        if self._above < REBOUND_POINTS:
            return None
        return (
            self._above_since,
            f"median loss {self.median:.4g} is above {limit:.4g} after a floor of {self.floor:.4g}",
        )


class Window:
    """First and last m inside the near-peak window, and the rule `rising`, which is known at the end only."""

    def __init__(self, first: int, end: int) -> None:
        self._range = range(first, end)
        self._first: float | None = None
        self._last: tuple[int, float] | None = None

    def observe(self, step: int, median: float | None) -> None:
        """Takes in m at a step."""
        if median is None or step not in self._range:
            return
        self._first = median if self._first is None else self._first
        self._last = (step, median)

    def hit(self) -> Hit | None:
        """A hit when the last m exceeds 1.25 × the first."""
        if self._first is None or self._last is None or self._last[1] <= RISING_FACTOR * self._first:
            return None
        step, median = self._last
        return step, f"median loss rose from {self._first:.4g} to {median:.4g} over the near-peak window"


class Standstill:
    """The half of `unreal` that a placeholder gives away (M25): a number that is exactly constant.

    Where the column was rounded to a step larger than 1 % of the value, equal numbers say nothing (M81)."""

    def __init__(self, name: str, rounding: Rounding = EXACT) -> None:
        self._name = name
        self._rounding = rounding
        self._value: float | None = None
        self._since = 0
        self._points = 0

    def observe(self, step: int, value: float, *, others_moved: bool = False) -> Hit | None:
        """A hit when the value has not changed by one bit for twenty steps, nor what it depends on moved."""
        if value != self._value or others_moved:
            self._value, self._since, self._points = value, step, 0
        self._points += 1
        if self._points < _ENOUGH_POINTS or step - self._since + 1 < CONSTANT_STEPS or not self._rounding.tells(value):
            return None
        return self._since, f"{self._name} is exactly {value!r} from step {self._since} to {step}: this is no training"


class Pace:
    """The other half of `unreal`: steps that take under 5 % of the median time for twenty steps.

    The median begins anew after each step of `resumed_from`: another machine may have gone on."""

    def __init__(self, resumed_from: Collection[int] = ()) -> None:
        self._resumed_from = sorted(resumed_from)
        self._previous: tuple[int, float] | None = None
        self._sorted: list[float] = []
        self._since: int | None = None
        self._points = 0

    def observe(self, step: int, wall_seconds: float) -> Hit | None:
        """`wall_seconds` counts from the start; where it begins anew the run was resumed too."""
        previous, self._previous = self._previous, (step, wall_seconds)
        if previous is None:
            return None
        resumed = self._resumed(previous, step, wall_seconds)
        if resumed or step <= previous[0] or wall_seconds < previous[1]:
            self._sorted = [] if resumed else self._sorted
            self._since, self._points = None, 0
            return None
        seconds = (wall_seconds - previous[1]) / (step - previous[0])
        bisect.insort(self._sorted, seconds)
        median = self._sorted[len(self._sorted) // 2]
        if len(self._sorted) < CONSTANT_STEPS or seconds >= PACE_SHARE_OF_MEDIAN * median:
            self._since, self._points = None, 0
            return None
        self._since = previous[0] + 1 if self._since is None else self._since
        self._points += 1
        if self._points < _ENOUGH_POINTS or step - self._since + 1 < CONSTANT_STEPS:
            return None
        return self._since, f"steps take {seconds:.2g} s where the median is {median:.2g} s: this is no training"

    def _resumed(self, previous: tuple[int, float], step: int, wall_seconds: float) -> bool:
        first = bisect.bisect_left(self._resumed_from, previous[0])
        began_anew = wall_seconds < _CLOCK_BEGAN_ANEW * previous[1]
        return began_anew or any(at < step for at in self._resumed_from[first : first + 1])


class F1Trend:
    """Validation macro-F1 on one set: the rule `collapse`, the warning `swinging`, and the half of `flat` that decodes.

    `name` is the set's, where there are several."""

    def __init__(self, name: str = "") -> None:
        self._called = f"macro-F1 of {name}" if name else "macro-F1"
        self.peak: float | None = None
        self.last: float | None = None
        self._recent: deque[float] = deque(maxlen=SWING_EVALS)
        self._below_since: int | None = None
        self._held: float | None = None  # the most that two evaluations running have both reached
        self._step = 0
        self._evals = 0

    def observe(self, step: int, f1: float) -> Hit | None:
        """A hit when F1 is 0.10 or more below its running peak on two evaluations running."""
        if self.last is not None:
            both = min(self.last, f1)
            self._held = both if self._held is None else max(self._held, both)
        self._step, self.last = step, f1
        self._evals += 1
        self._recent.append(f1)
        self.peak = f1 if self.peak is None else max(self.peak, f1)
        if f1 > self.peak - F1_DROP + _ROUNDING:
            self._below_since = None
            return None
        if self._below_since is not None:
            return self._below_since, self._fall()
        self._below_since = step
        return None

    def fallen_at_the_end(self) -> Hit | None:
        """A hit when the last evaluation is below, even if it is the first that is."""
        return None if self._below_since is None else (self._below_since, self._fall())

    def recent_fall(self) -> tuple[float, float] | None:
        """(from, to): the largest fall from any of the last five evaluations to a later one; None where all rise."""
        pairs = [pair for pair in itertools.combinations(self._recent, 2) if pair[0] > pair[1]]
        return max(pairs, key=lambda pair: pair[0] - pair[1], default=None)

    def swinging(self) -> Hit | None:
        """A warning when that fall is 0.10 or more: the score has not settled, as in many a healthy run."""
        fall = self.recent_fall()
        if fall is None or fall[0] - fall[1] < F1_DROP - _ROUNDING:
            return None
        within = f"within the last {SWING_EVALS} evaluations"
        return self._step, f"{within} {self._called} fell from {fall[0]:.4f} to {fall[1]:.4f}"

    def flat(self) -> Hit | None:
        """A hit when of five evaluations or more no two running have decoded a macro-F1 of 0.10."""
        if self._held is None or self._held >= FLAT_F1 or self._evals < FLAT_EVALS:
            return None
        low = f"no two of {self._evals} evaluations running reach a {self._called} of {FLAT_F1:.2f}"
        return self._step, f"{low}; the best is {self.peak:.4f}"

    def _fall(self) -> str:
        return f"{self._called} fell from its peak {self.peak:.4f} to {self.last:.4f}"
