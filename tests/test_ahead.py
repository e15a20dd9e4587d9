"""Pools of batches made ahead: the same ones, in a thread that fails where it is asked and holds nobody up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import torch
from toy_run import toy_plan

from mw_pipeline.dataset.ahead import Ahead
from mw_pipeline.dataset.batches import BatchStream
from mw_pipeline.errors import CorpusError
from mw_pipeline.train.loop import Run
from mw_pipeline.train.processes import ALONE

ENDLESS = """
import threading
from mw_pipeline.dataset.ahead import Ahead
Ahead().begin(lambda number: threading.Event().wait(), 1)
print("done")
"""


def test_a_value_that_was_begun_is_made_in_a_thread_and_any_other_where_it_is_asked_for():
    made: list[tuple[int, bool]] = []

    def make(number: int) -> int:
        made.append((number, threading.current_thread() is threading.main_thread()))
        return number**2

    values: Ahead[int] = Ahead()
    first = values.take(make, 0)
    values.begin(make, 1)
    values.begin(make, 1)
    second = values.take(make, 1)
    values.begin(make, 2)
    jumped = values.take(make, 7)

    assert (first, second, jumped) == (0, 1, 49)
    assert made == [(0, True), (1, False), (2, False), (7, True)]


def test_what_goes_wrong_in_the_thread_is_raised_by_the_step_that_needs_it_and_no_sooner(toy, tmp_path, monkeypatch):
    batches_of = BatchStream._batches_of

    def dry(self: BatchStream, pool: int) -> list[object]:
        if pool:
            raise CorpusError("ran dry")
        return batches_of(self, pool)

    monkeypatch.setattr(BatchStream, "_batches_of", dry)
    run = Run(toy_plan(toy, tmp_path), torch.device("cpu"), ALONE, lambda event: None)
    for step in (1, 128):
        run.stepper.take(step)

    with pytest.raises(CorpusError, match="ran dry"):
        run.stepper.take(129)


def test_the_thread_of_a_run_ends_and_leaves_none_behind(toy, tmp_path):
    run = Run(toy_plan(toy, tmp_path), torch.device("cpu"), ALONE, lambda event: None)

    run.stepper.take(1)
    run.stepper.take(129)
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("ahead-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_does_not_wait_for_a_value_that_nobody_asks_for():
    child = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60)

    assert (child.returncode, child.stdout, child.stderr) == (0, "done\n", "")
