"""Thresholds from score quantiles: against every possible threshold, on rare tags, and judged on other rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.metrics.thresholds import ThresholdScore, candidate_thresholds, choose_threshold


def f1(scores: np.ndarray, positives: np.ndarray, threshold: float) -> float:
    predicted = scores > threshold
    return 2 * (predicted & positives).sum() / max(1, predicted.sum() + positives.sum())


@given(st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=1, max_size=120))
def test_the_choice_is_the_best_candidate_and_as_good_as_any_threshold(rows):
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    positives = np.array([positive for _, positive in rows])

    chosen = choose_threshold(scores, positives)

    # the lowest score is a candidate: only "everything" lies below it, and that is the baseline beside
    every = [f1(scores, positives, value) for value in np.unique(scores)]
    if positives.any():
        assert f1(scores, positives, chosen) == pytest.approx(max(every))
    else:
        assert not (scores > chosen).any()


def test_scores_that_all_lie_below_one_third_still_find_their_threshold():
    """A sweep from 0.30 to 0.70 at a mean probability of 0.09 says yes to nothing, whatever it picks (M60)."""
    rng = np.random.default_rng(0)
    positives = rng.random(20_000) < 0.02
    scores = np.where(positives, 0.2, 0.08) + rng.normal(0, 0.02, 20_000)

    chosen = choose_threshold(scores, positives)

    assert scores.mean() == pytest.approx(0.08, abs=0.01)
    assert max(f1(scores, positives, fixed) for fixed in np.arange(0.30, 0.71, 0.05)) < 0.05
    assert f1(scores, positives, chosen) > 0.95


def test_scores_that_reach_everywhere_are_served_as_well():
    rng = np.random.default_rng(0)
    positives = rng.random(5_000) < 0.5
    scores = np.where(positives, 0.8, 0.2) + rng.normal(0, 0.05, 5_000)

    assert f1(scores, positives, choose_threshold(scores, positives)) > 0.99


def test_a_tag_in_one_piece_of_ten_thousand_has_candidates_of_its_own():
    scores = np.arange(100_000, dtype=np.float64)

    near = [value for value in candidate_thresholds(scores, 1e-4) if value > 99_970]

    assert len(near) > 60


def test_a_threshold_is_judged_on_other_rows_beside_saying_yes_to_everything():
    scores, positives = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])

    found = ThresholdScore.of(scores, positives, 0.5)

    # one of two found, one of two wrong; everything: 2 right of 4, none missed
    assert found.as_json() == {
        "pieces": 4,
        "base_rate": 0.5,
        "f1": pytest.approx(0.5),
        "all_positive_f1": pytest.approx(2 / 3),
    }


def test_nothing_to_find_and_nothing_found_scores_zero():
    assert ThresholdScore.of(np.zeros(3), np.zeros(3, dtype=bool), 1.0).f1 == 0.0
