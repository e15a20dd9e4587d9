"""The four axes of a release against its baseline: coarse F1, fine F1, calibration and training stability.

Pure functions of two evaluations of the same rows. Each axis can move either way on its own (M79).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.evaluation import Evaluation
from mw_pipeline.metrics.calibration import compare_calibration
from mw_pipeline.metrics.scores import Flags, Scored, compare, demand_comparable
from mw_pipeline.metrics.stability import compare_stability

AXES = ("coarse_f1", "fine_f1", "calibration", "training_stability")
WITH, WITHOUT = "with_adversarial", "without_adversarial"

Axes = Mapping[str, Mapping[str, JSON]]
"""Axis → candidate, baseline, difference, interval, verdict."""


def release_axes(
    candidate: Evaluation, baseline: Evaluation, *, falls: tuple[float | None, float | None]
) -> dict[str, JSON]:
    """Candidate against baseline on four axes, with the adversarial rows in and out, and how many improved.

    `falls` are the largest falls of both trainings as their cards say them, the candidate's first. An axis is better or
    worse when the interval of its difference excludes 0. Raises GateError for unlike hashes (M44)."""
    demand_comparable(candidate.scored.hashes, baseline.scored.hashes)
    all_rows = np.ones(len(candidate.golden.rows), dtype=np.bool_)
    easy = np.array([not row.is_adversarial for row in candidate.golden.rows], dtype=np.bool_)
    axes = {
        name: {**_compared_axes(candidate, baseline, rows), "training_stability": compare_stability(*falls)}
        for name, rows in ((WITH, all_rows), (WITHOUT, easy))
    }
    improved = {name: len(_axes_that_are(found, "better")) for name, found in axes.items()}
    return {
        "rows": {WITH: len(all_rows), WITHOUT: int(easy.sum())},
        "headline": headline(improved),
        "improved": improved,
        "worsened": _axes_that_are(axes[WITH], "worse"),
        **axes,
    }


def headline(improved: Mapping[str, int]) -> str:
    """How many axes improved, with the adversarial rows in and out, as a sentence without its full stop."""
    return f"{improved[WITH]} of 4 axes improved with the adversarial rows, {improved[WITHOUT]} of 4 without"


def _axes_that_are(axes: Axes, verdict: str) -> list[str]:
    return [name for name in AXES if axes[name]["verdict"] == verdict]


def _compared_axes(candidate: Evaluation, baseline: Evaluation, rows: Flags) -> dict[str, dict[str, JSON]]:
    parts = [Scored(side.scored.outcomes.only(rows), side.scored.hashes) for side in (candidate, baseline)]
    difference = compare(*parts)
    family = np.zeros(len(rows), dtype=np.int64)
    family[rows] = parts[0].outcomes.family
    sides = (candidate.confidences.only(rows), baseline.confidences.only(rows))
    return {
        "coarse_f1": difference["coarse_f1"],
        "fine_f1": difference["fine_f1"],
        "calibration": compare_calibration(*sides, family),
    }
