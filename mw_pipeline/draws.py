"""Weights as shares to draw by. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cumulated(weights: ArrayLike) -> NDArray[np.float64]:
    """Cumulated shares of some weights, the last one 1 to the bit: every number below 1 falls on one of them."""
    sums = np.cumsum(weights)  # a sum of its own could differ in the last bit, and a draw fall behind them all
    shares: NDArray[np.float64] = sums / sums[-1]
    return shares
