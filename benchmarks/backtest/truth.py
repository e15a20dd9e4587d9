"""How a full run ended, in words that were fixed before any verdict was looked at, and without the verdict's code.

A full run **failed** when

- a number in its log is not finite (`nonfinite`), or
- it never beats a constant: no evaluation decodes a macro-F1 of 0.05, or its validation loss is never below the entropy
  of the training labels (`useless`), or
- it collapses and stays down: the mean macro-F1 of its last three evaluations is 0.10 or more below its best evaluation
  (`collapsed`).

A run that has not failed is **poor** when the mean macro-F1 of its last three evaluations is below 0.45, half of what
the untouched recipe ends with on this corpus. Nobody would ship it, and nothing in its log broke: it counts neither as
a failure nor as healthy. (This class came after the first runs: at 67 times the tame rate one ended with 0.13.)

Every other full run is **healthy**, however mediocre: a gate that stops it has cost its owner a usable model.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Ending = Literal["healthy", "poor", "nonfinite", "useless", "collapsed"]
FAILURES: tuple[Ending, ...] = ("nonfinite", "useless", "collapsed")

USELESS_F1 = 0.05
LOST_F1 = 0.10
POOR_F1 = 0.45
LAST_EVALS = 3


def end_f1(evals: Sequence[Mapping[str, Any]]) -> float:
    """The mean macro-F1 of the last three evaluations; NaN where there is none."""
    scores = [float(row["val_macro_f1"]) for row in evals[-LAST_EVALS:]]
    return statistics.fmean(scores) if scores else math.nan


def ending_of(steps: Sequence[Mapping[str, Any]], evals: Sequence[Mapping[str, Any]], label_entropy: float) -> Ending:
    """The ending of a full run by its own log; `label_entropy` in nats per piece."""
    logged = [row[name] for row in steps for name in ("loss", "grad_norm")]
    losses = [row["val_loss"] for row in evals]
    if not all(map(math.isfinite, [*logged, *losses])) or not evals:
        return "nonfinite"
    scores = [row["val_macro_f1"] for row in evals]
    if max(scores) < USELESS_F1 or min(losses) >= label_entropy:
        return "useless"
    end = end_f1(evals)
    if end <= max(scores) - LOST_F1:
        return "collapsed"
    return "poor" if end < POOR_F1 else "healthy"
