"""Thresholds of yes-or-no scores: chosen on one set of rows, judged on another, beside saying yes to everything (M60).

Shape letters: N pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

EVEN_LEVELS = 256
BASE_RATE_LEVELS = 64
_MOST_OF_BASE_RATE = 2.0


def candidate_thresholds(scores: Floats, base_rate: float) -> Floats:
    """Quantiles of the scores, ascending: even ones, and many where they cut off up to twice the base rate.

    A sweep over fixed values misses scores that all lie below it: at a mean probability of 0.09 nothing happens between
    0.30 and 0.70."""
    even = np.linspace(0.0, 1.0, EVEN_LEVELS + 1)
    near = 1.0 - base_rate * np.linspace(0.0, _MOST_OF_BASE_RATE, BASE_RATE_LEVELS + 1)
    levels = np.union1d(even, near[near >= 0.0])
    found: Floats = np.unique(np.quantile(scores.astype(np.float64), levels))
    return found


def choose_threshold(scores: Floats, positives: Flags) -> float:
    """The candidate with the highest F1 of `score > threshold`; of equals the lowest.

    scores (N,), positives (N,) bool, N ≥ 1. Without positives it is the highest score, which says yes to nothing."""
    total = int(positives.sum())
    if total == 0:
        return float(scores.max())
    thresholds = candidate_thresholds(scores, total / len(scores))
    order = np.argsort(scores, kind="stable")
    at_or_below = np.searchsorted(scores[order], thresholds, side="right")
    positives_below = np.concatenate(([0], np.cumsum(positives[order])))[at_or_below]
    predicted, correct = len(scores) - at_or_below, total - positives_below
    return float(thresholds[np.argmax(2 * correct / (predicted + total))])


@dataclass(frozen=True)
class ThresholdScore:
    """What a threshold does on rows that did not choose it; F1 is over pieces.

    `all_positive_f1` is that of saying yes everywhere: 2p / (1 + p) at a base rate of p."""

    pieces: int
    base_rate: float
    f1: float
    all_positive_f1: float

    @classmethod
    def of(cls, scores: Floats, positives: Flags, threshold: float) -> ThresholdScore:
        """scores (N,), positives (N,) bool, N ≥ 1."""
        predicted = scores > threshold
        total = int(positives.sum())
        known = total + int(predicted.sum())
        f1 = 2 * int((predicted & positives).sum()) / known if known else 0.0
        return cls(len(scores), total / len(scores), f1, 2 * total / (len(scores) + total))

    def as_json(self) -> dict[str, JSON]:
        """The fields by name."""
        return dict(vars(self))
