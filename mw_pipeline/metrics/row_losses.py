"""The loss of a model on the rows of a fixed sample, and how sure its mean and a difference of two means are.

Shape letter: N rows. A mean is in nats per piece: Σ nats / Σ pieces, a ratio of two sums, whose standard error is that
of the ratio estimator (Cochran, "Sampling Techniques", 1977, §2.11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURE = 2.0
"""Standard errors beyond which a difference is more than the noise of the sample."""


@dataclass(frozen=True)
class RowLosses:
    """nats (N,) float64, the negative log-likelihood of each row; pieces (N,) int64, its real pieces."""

    nats: NDArray[np.float64]
    pieces: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Nats per piece."""
        return float(self.nats.sum() / self.pieces.sum())

    @property
    def standard_error(self) -> float:
        """Of the mean, in nats per piece; infinite for fewer than two rows, which show no spread."""
        return _ratio_error(self.nats, self.pieces)

    def same_rows(self, other: RowLosses) -> bool:
        """Whether both are of one sample, as far as the lengths of its rows tell."""
        return bool(np.array_equal(self.pieces, other.pieces))

    def gain_over(self, earlier: RowLosses) -> Gain:
        """How much lower these losses are than `earlier` ones on the same rows, row by row."""
        assert self.same_rows(earlier), "losses of different rows cannot be paired"
        difference = earlier.nats - self.nats
        return Gain(float(difference.sum() / self.pieces.sum()), _ratio_error(difference, self.pieces))


@dataclass(frozen=True)
class Gain:
    """A difference of two means over the same rows and its standard error, in nats per piece; above 0 is better."""

    nats: float
    standard_error: float

    @property
    def is_better(self) -> bool:
        """Lower by more than the noise of the sample."""
        return self.nats > SURE * self.standard_error

    @property
    def is_worse(self) -> bool:
        """Higher by more than the noise of the sample."""
        return -self.nats > SURE * self.standard_error

    def excludes(self, nats: float) -> bool:
        """Whether an improvement by as much as `nats` can be ruled out."""
        return self.nats + SURE * self.standard_error < nats


def _ratio_error(amounts: NDArray[np.float64], pieces: NDArray[np.int64]) -> float:
    count = len(amounts)
    if count < 2:
        return float("inf")
    residual = amounts - amounts.sum() / pieces.sum() * pieces
    return float(np.sqrt(count / (count - 1) * np.square(residual).sum()) / pieces.sum())
