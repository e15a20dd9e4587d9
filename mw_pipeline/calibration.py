"""Calibration: how far span confidences are from the share of spans that are right. Pure, numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.artifact import JSON
from mw_pipeline.errors import CorpusError

Floats = NDArray[np.float64]


def expected_calibration_error(
    confidences: Sequence[float], correct: Sequence[bool], *, buckets: int = 10
) -> dict[str, JSON]:
    """The mean gap between confidence and accuracy over equal-width buckets, weighted by their spans.

    The gap of a bucket is |mean confidence − share correct|, never its midpoint's (Guo et al., 2017, eq. 3). `ece` is
    None without spans. Raises CorpusError for a confidence that is no probability.
    """
    values, hits = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        raise CorpusError(
            f"confidence {values[bad][0]!r} is not a probability: expected 0 to 1. Write probabilities, not scores."
        )
    bucket = np.minimum((values * buckets).astype(np.int64), buckets - 1)
    rows = [_bucket(values[bucket == i], hits[bucket == i], i / buckets, (i + 1) / buckets) for i in range(buckets)]
    gaps = [row["spans"] * abs(row["mean_confidence"] - row["share_correct"]) for row in rows if row["spans"]]
    return {"ece": sum(gaps) / len(values) if len(values) else None, "spans": len(values), "buckets": rows}


def _bucket(confidences: Floats, hits: Floats, lower: float, upper: float) -> dict[str, JSON]:
    return {
        "from": lower,
        "to": upper,
        "spans": len(confidences),
        "mean_confidence": float(confidences.mean()) if len(confidences) else None,
        "share_correct": float(hits.mean()) if len(hits) else None,
    }
