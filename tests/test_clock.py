"""The clock of a run: what counts as its time, and when a limit ends it."""

from __future__ import annotations

import pytest

from mw_pipeline.train.clock import RunClock


def test_the_clock_counts_what_earlier_processes_spent():
    clock = RunClock(before_seconds=100.0)
    with clock.step():
        pass

    assert clock.total_seconds == pytest.approx(100.0, abs=1.0)
    assert 0 <= clock.seconds_per_step < 1.0


@pytest.mark.parametrize(
    ("evaluates_next", "limit", "ends"), [(False, 14.0, False), (True, 14.0, True), (False, 11.0, True)]
)
def test_a_run_ends_while_there_is_time_for_what_comes_next(evaluates_next: bool, limit: float, ends: bool) -> None:
    clock = RunClock(step_seconds=[1.0], eval_seconds=5.0, save_seconds=1.0)
    clock.begun -= 10.0

    assert clock.must_end(limit, evaluates_next=evaluates_next) == ends
    assert not clock.must_end(None, evaluates_next=evaluates_next)
