"""How a full run ended, in words that were fixed before any verdict was looked at, and without the verdict's code.

A full run **failed** when

- a number in its log is not finite (`nonfinite`), or
- it never beats a constant: no evaluation decodes a macro-F1 of 0.05, or its validation loss is never below the entropy
  of the training labels (`useless`), or
- it collapses and stays down: the mean macro-F1 of its last three evaluations is 0.10 or more below its best evaluation
  (`collapsed`).

Every other full run is **healthy**, however mediocre: a gate that stops it has cost its owner a usable model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Ending = Literal["healthy", "nonfinite", "useless", "collapsed"]

USELESS_F1 = 0.05
LOST_F1 = 0.10
LAST_EVALS = 3


def ending_of(steps: Sequence[Mapping[str, Any]], evals: Sequence[Mapping[str, Any]], label_entropy: float) -> Ending:
    """The ending of a full run by its own log; `label_entropy` in nats per piece."""
    logged = [row[name] for row in steps for name in ("loss", "grad_norm")]
    losses = [row["val_loss"] for row in evals]
    if not all(map(math.isfinite, [*logged, *losses])) or not evals:
        return "nonfinite"
    scores = [row["val_macro_f1"] for row in evals]
    if max(scores) < USELESS_F1 or min(losses) >= label_entropy:
        return "useless"
    last = scores[-LAST_EVALS:]
    return "collapsed" if sum(last) / len(last) <= max(scores) - LOST_F1 else "healthy"
