"""What draws are made of: weights as shares, and the hash that stands for a random number. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def cumulated(weights: ArrayLike) -> NDArray[np.float64]:
    """Cumulated shares of some weights, the last one 1 to the bit: every number below 1 falls on one of them.

    Whoever reads weights has refused those with a sum of 0 or beyond any number."""
    sums = np.cumsum(weights)  # a sum of its own could differ in the last bit, and a draw fall behind them all
    shares: NDArray[np.float64] = sums / sums[-1]
    return shares


def splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit hash of each value: the finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), modulo 2^64."""
    mixed = (values + GOLDEN_GAMMA).astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
