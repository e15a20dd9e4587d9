"""The bootstrap over families behind every interval: seeded, paired by construction. Pure, numpy only.

Shape letters: N resamples, F families, C columns of counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95

_CHUNK_NUMBERS = 4_000_000  # random numbers held at once while resampling: 32 MB


def resampled_sums(by_family: Counts | Floats, *, resamples: int, seed: int) -> Floats:
    """(N, C): column sums of (F, C) over N draws of F families with replacement (Efron, 1979).

    The draws depend on F, resamples and seed alone: two tables of the same families are resampled in pairs."""
    table = by_family.astype(np.float64)  # holds every count exactly, and multiplies in BLAS
    chunks = [weights @ table for weights in _family_weights(len(table), resamples, seed)]
    return np.concatenate(chunks) if chunks else np.zeros((0, table.shape[1]))


def _family_weights(families: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Chunks of (n, F): how often each family was drawn."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_NUMBERS // max(families, 1))
    for first in range(0, resamples if families else 0, step):
        count = min(step, resamples - first)
        drawn = rng.integers(0, families, size=(count, families)) + np.arange(count)[:, None] * families
        weights = np.bincount(drawn.ravel(), minlength=count * families).reshape(count, families)
        yield weights.astype(np.float64)


def interval(sample: Floats) -> list[float] | None:
    """The middle 95 % of a bootstrap sample, [low, high]; None when no resample has the score."""
    known = sample[~np.isnan(sample)]
    if not len(known):
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return [float(low), float(high)]


def direction(bounds: list[float] | None) -> str:
    """ "up" or "down" for the interval of a difference; "no difference" when it holds 0 or there is none."""
    if bounds is None or bounds[0] <= 0 <= bounds[1]:
        return "no difference"
    return "up" if bounds[0] > 0 else "down"


def number(value: float) -> float | None:
    """The value for JSON: None for NaN."""
    return None if np.isnan(value) else float(value)
