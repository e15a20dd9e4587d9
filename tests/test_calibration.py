from __future__ import annotations

import numpy as np
import pytest

from mw_pipeline.errors import CorpusError
from mw_pipeline.metrics.calibration import Confidences, calibration, compare_calibration


def test_the_error_is_the_mean_gap_and_not_the_distance_to_midpoints():
    # Bucket 0.9–1.0: mean confidence 0.95, 1 of 2 right, gap 0.45. Bucket 0.2–0.3: confidence 0.2, right, gap 0.8.
    found = calibration(Confidences.of([(0.95, True, 0), (0.95, False, 1), (0.2, True, 2)]))

    assert found["ece"] == pytest.approx((2 * 0.45 + 0.8) / 3)
    assert found["buckets"][9] == {
        "from": 0.9, "to": 1.0, "spans": 2, "mean_confidence": pytest.approx(0.95), "share_correct": 0.5,
    }  # fmt: skip
    assert found["buckets"][2]["spans"] == 1


def test_a_confidence_of_one_is_in_the_last_bucket_and_zero_in_the_first():
    found = calibration(Confidences.of([(1.0, True, 0), (0.0, False, 0)]))

    assert [bucket["spans"] for bucket in found["buckets"]] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found["ece"] == 0.0


def test_no_spans_have_no_error():
    found = calibration(Confidences.of([]))

    assert (found["ece"], found["spans"], found["buckets"][0]["mean_confidence"]) == (None, 0, None)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(CorpusError, match="is not a probability: expected 0 to 1"):
        Confidences.of([(value, True, 0)])


def test_a_lower_error_is_better():
    families = np.arange(200)
    sure = Confidences.of([(0.95, True, row) for row in range(200)])
    unsure = Confidences.of([(0.55, True, row) for row in range(200)])

    found = compare_calibration(sure, unsure, families)

    assert found["difference"] == pytest.approx(-0.4)
    assert found["verdict"] == "better"
    assert compare_calibration(unsure, sure, families)["verdict"] == "worse"
    assert compare_calibration(sure, sure, families)["verdict"] == "no difference"
