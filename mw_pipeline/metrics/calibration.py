"""Calibration: how far span confidences are from the share of spans that are right. Pure, numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError
from mw_pipeline.metrics.resampling import RESAMPLES, Floats, direction, interval, number, resampled_sums

BUCKETS = 10


@dataclass(frozen=True)
class Confidences:
    """Predicted spans S with what the model gave them and whether they are right.

    confidence (S,) float64 in 0..1; correct (S,) bool; row (S,) int64 the gold row of each span
    """

    confidence: Floats
    correct: NDArray[np.bool_]
    row: NDArray[np.int64]

    @classmethod
    def of(cls, spans: Sequence[tuple[float, bool, int]]) -> Confidences:
        """From (confidence, correct, row) triples. Raises CorpusError for a confidence that is no probability."""
        confidence = np.array([span[0] for span in spans], dtype=np.float64)
        bad = ~((confidence >= 0) & (confidence <= 1))
        if bad.any():
            raise CorpusError(
                f"confidence {float(confidence[bad][0])!r} is not a probability: expected 0 to 1. "
                "Write probabilities, not scores."
            )
        correct = np.array([span[1] for span in spans], dtype=np.bool_)
        return cls(confidence, correct, np.array([span[2] for span in spans], dtype=np.int64))

    def only(self, rows: NDArray[np.bool_]) -> Confidences:
        """The spans of the gold rows where the mask (R,) holds; rows keep their numbers."""
        kept = rows[self.row]
        return Confidences(self.confidence[kept], self.correct[kept], self.row[kept])

    def sums(self, families: NDArray[np.int64], count: int) -> Floats:
        """(count, 3 · BUCKETS): spans, summed confidence and right spans, per bucket and family of the row."""
        bucket = np.minimum((self.confidence * BUCKETS).astype(np.int64), BUCKETS - 1)
        table = np.zeros((count, 3, BUCKETS))
        where = families[self.row], bucket
        np.add.at(table[:, 0], where, 1.0)
        np.add.at(table[:, 1], where, self.confidence)
        np.add.at(table[:, 2], where, self.correct)
        return table.reshape(count, 3 * BUCKETS)


def expected_calibration_error(sums: Floats) -> Floats:
    """(N,) the ECE of N sets of bucket sums (N, 3 · BUCKETS); NaN without spans.

    The gap of a bucket is |mean confidence − share right|, not its midpoint's (Guo et al., 2017, eq. 3); weighted by
    the bucket's spans it is |summed confidence − right spans|."""
    spans, confidence, right = np.moveaxis(sums.reshape(-1, 3, BUCKETS), 1, 0)
    gaps, total = np.abs(confidence - right).sum(axis=1), spans.sum(axis=1)
    ece: Floats = np.divide(gaps, total, out=np.full(len(total), np.nan), where=total > 0)
    return ece


def calibration(confidences: Confidences) -> dict[str, JSON]:
    """ECE over ten equal-width buckets, and each bucket's spans; `ece` is None without spans."""
    sums = confidences.sums(np.zeros(int(confidences.row.max(initial=-1)) + 1, dtype=np.int64), 1)
    spans, confidence, right = sums.reshape(3, BUCKETS)
    return {
        "ece": number(expected_calibration_error(sums)[0]),
        "spans": len(confidences.confidence),
        "buckets": [
            {
                "from": i / BUCKETS,
                "to": (i + 1) / BUCKETS,
                "spans": int(spans[i]),
                "mean_confidence": float(confidence[i] / spans[i]) if spans[i] else None,
                "share_correct": float(right[i] / spans[i]) if spans[i] else None,
            }
            for i in range(BUCKETS)
        ],
    }


def compare_calibration(
    candidate: Confidences,
    baseline: Confidences,
    families: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, JSON]:
    """Candidate minus baseline ECE, with a paired interval over families (R,); lower is better."""
    count = int(families.max(initial=-1)) + 1
    tables = [found.sums(families, count) for found in (candidate, baseline)]
    first, second = (expected_calibration_error(table.sum(axis=0, keepdims=True))[0] for table in tables)
    samples = [expected_calibration_error(resampled_sums(table, resamples=resamples, seed=seed)) for table in tables]
    bounds = interval(samples[0] - samples[1]) if count > 1 else None
    return {
        "candidate": number(first),
        "baseline": number(second),
        "difference": number(first - second),
        "interval": bounds,
        "verdict": {"up": "worse", "down": "better"}.get(direction(bounds), "no difference"),
    }
