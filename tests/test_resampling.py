from __future__ import annotations

import numpy as np
import pytest

from mw_pipeline.metrics import resampling
from mw_pipeline.metrics.resampling import direction, interval, number, resampled_sums


def test_each_draw_takes_as_many_families_as_there_are():
    sums = resampled_sums(np.ones((7, 2), dtype=np.int64), resamples=50, seed=1)

    assert sums.shape == (50, 2)
    assert (sums == 7).all()


def test_two_tables_of_the_same_families_are_drawn_in_pairs():
    table = np.arange(20).reshape(10, 2)

    assert (resampled_sums(3 * table, resamples=40, seed=5) == 3 * resampled_sums(table, resamples=40, seed=5)).all()


def test_another_seed_draws_other_families():
    table = np.arange(20).reshape(10, 2)

    assert not np.array_equal(resampled_sums(table, resamples=40, seed=5), resampled_sums(table, resamples=40, seed=6))


def test_drawing_in_chunks_holds_every_resample(monkeypatch):
    monkeypatch.setattr(resampling, "_CHUNK_NUMBERS", 30)

    sums = resampled_sums(np.ones((10, 1), dtype=np.int64), resamples=7, seed=0)

    assert sums.shape == (7, 1)
    assert (sums == 10).all()


def test_nothing_to_draw_from_gives_no_sample():
    assert resampled_sums(np.zeros((0, 3), dtype=np.int64), resamples=9, seed=0).shape == (0, 3)
    assert interval(np.array([np.nan])) is None


def test_an_interval_is_the_middle_of_what_is_known():
    sample = np.concatenate([np.arange(101) / 100, [np.nan]])

    assert interval(sample) == pytest.approx([0.025, 0.975])


def test_a_direction_needs_an_interval_without_zero():
    assert [direction(b) for b in ([0.1, 0.2], [-0.2, -0.1], [-0.1, 0.1], [0.0, 0.3], None)] == [
        "up", "down", "no difference", "no difference", "no difference",
    ]  # fmt: skip


def test_json_has_none_for_nan():
    assert (number(float("nan")), number(0.5)) == (None, 0.5)
