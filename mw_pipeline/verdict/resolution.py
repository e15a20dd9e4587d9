"""What the numbers of a log can show: how they were rounded, which are placeholders, and which a loss scaler left.

Equal numbers are proof of a loop that does not train only where a log that trains would have written different ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from mw_pipeline.verdict.runlog import Row

COARSE_SHARE = 0.01
SCALER_ROWS = 100
_PLACEHOLDER_POINTS = 5
_LEAST = 1e-6  # nats: a loss below it counts as one of this size, for no step is a share of zero
_FINE = (9, 7)  # decimals and digits from which on no loss is rounded coarsely, and no further row need be looked at


@dataclass(frozen=True)
class Rounding:
    """The decimals and the significant digits of a column, the most that any of its values shows."""

    decimals: int
    digits: int

    def step_at(self, value: float) -> float:
        """The distance from a value to the next one that this column could have written."""
        exponent = math.floor(math.log10(max(abs(value), _LEAST)))
        return max(10.0**-self.decimals, 10.0 ** (exponent + 1 - self.digits))

    def tells(self, value: float) -> bool:
        """Whether two values near this one would be written as different ones: the step is at most 1 % of it."""
        return self.step_at(value) <= COARSE_SHARE * max(abs(value), _LEAST) * (1 + 1e-9)


EXACT = Rounding(decimals=17, digits=17)


def rounding_of(values: Sequence[float]) -> Rounding:
    """How a column was rounded. One that holds a single value throughout never moved, however it was rounded: EXACT."""
    finite = [value for value in values if math.isfinite(value)]
    if len(set(finite)) < 2:
        return EXACT
    decimals = digits = 0
    for value in finite:
        number = _shortest(value)
        decimals, digits = max(decimals, number.decimals), max(digits, number.digits)
        if decimals >= _FINE[0] and digits >= _FINE[1]:
            return EXACT
    return Rounding(decimals, digits)


def _shortest(value: float) -> Rounding:
    """Decimals and digits of the shortest number that is this value, in single precision where it was stored so."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    text = str(single) if float(single) == value else repr(float(value))
    _, digits, exponent = Decimal(text).normalize().as_tuple()
    assert isinstance(exponent, int)
    return Rounding(max(0, -exponent), len(digits))


@dataclass(frozen=True)
class Resolution:
    """What the columns of a finished log can show: how loss and gradient norm were rounded, and the norm that stands in
    every row, where one does. A run that trains logs what it computed."""

    loss: Rounding = EXACT
    grad_norm: Rounding = EXACT
    placeholder_norm: float | None = None

    @classmethod
    def of(cls, steps: Sequence[Row]) -> Resolution:
        """Of the rows of a log."""
        return cls(rounding_of(_column(steps, "loss")), rounding_of(_column(steps, "grad_norm")), _placeholder(steps))

    def blind_below(self, losses: Sequence[float]) -> float | None:
        """The loss below which equal numbers prove nothing; None where the log holds no such loss."""
        unclear = [loss for loss in losses if math.isfinite(loss) and not self.loss.tells(loss)]
        return max(unclear, default=None)


def _column(steps: Sequence[Row], name: str) -> list[float]:
    return [float(row[name]) for row in steps if row.get(name) is not None]


def _placeholder(steps: Sequence[Row]) -> float | None:
    """The gradient norm that stands in every row, as 0 or the clipping norm does where none was logged; else None."""
    norms = _column(steps, "grad_norm")
    return norms[0] if len(norms) >= _PLACEHOLDER_POINTS and len(set(norms)) == 1 and math.isfinite(norms[0]) else None


def skipped_steps(steps: Sequence[Row]) -> tuple[int, ...]:
    """The steps that a loss scaler skipped while it looked for its scale.

    Their gradient norms are not finite; they lie within the first hundred rows, their losses are finite, and so are all
    norms after them, of which there is one at least. Any other norm that is not finite is a failure."""
    norms = [(at, row) for at, row in enumerate(steps) if row.get("grad_norm") is not None]
    broken = [(at, row) for at, row in norms if not math.isfinite(row["grad_norm"])]
    if not broken or broken[-1][0] >= SCALER_ROWS or broken[-1][0] == norms[-1][0]:
        return ()
    if any(row.get("loss") is None or not math.isfinite(row["loss"]) for _, row in broken):
        return ()
    return tuple(int(row["step"]) for _, row in broken)
