"""Signals, devices and the clock of a run."""

from __future__ import annotations

import signal
import threading

import pytest
import torch

from mw_pipeline.errors import RecipeError
from mw_pipeline.train.control import RunClock, device_as_asked, memory_by_name, stop_signals


def test_the_first_signal_asks_and_the_second_acts_as_before():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.is_set() and seen == []
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)

    with stop_signals():
        assert signal.getsignal(signal.SIGINT) is not before

    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone():
    stopped = []

    def work() -> None:
        with stop_signals() as stop:
            stopped.append(stop.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert stopped == [False]


def test_a_missing_device_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert device_as_asked("cpu") == torch.device("cpu")
    with pytest.raises(RecipeError, match=r"train.device is 'cuda' and torch finds no such device here"):
        device_as_asked("cuda")


def test_memory_that_torch_does_not_find_is_a_memory_error():
    with pytest.raises(MemoryError, match="tried to allocate"), memory_by_name():
        torch.empty(1 << 55, dtype=torch.uint8)


def test_a_full_gpu_is_a_memory_error_too_and_other_errors_stay_what_they_are():
    with pytest.raises(MemoryError, match="2 GiB"), memory_by_name():
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="size mismatch"), memory_by_name():
        raise RuntimeError("size mismatch")


def test_each_process_of_torchrun_has_its_own_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")

    assert device_as_asked("cuda") == torch.device("cuda", 1)


def test_the_clock_counts_what_earlier_processes_spent():
    clock = RunClock(before_seconds=100.0)
    with clock.step():
        pass

    assert clock.total_seconds == pytest.approx(100.0, abs=1.0)
    assert 0 <= clock.seconds_per_step < 1.0
