"""Signals, devices and the clock of a run."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path

import pytest
import torch

from mw_pipeline.errors import RecipeError
from mw_pipeline.train.control import RunClock, device_as_asked, machine_of, memory_by_name, stop_signals


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
    cards(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "1")

    assert device_as_asked("cuda") == device_as_asked("auto") == torch.device("cuda", 1)
    cards(monkeypatch, 1)
    with pytest.raises(RecipeError, match=r"process 1 of this machine would train on 'cuda:1', and torch finds 1 such"):
        device_as_asked("auto")


def cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_a_card_by_its_number_is_that_card_or_an_error_that_says_how_many_there_are(monkeypatch):
    # M80
    monkeypatch.setenv("LOCAL_RANK", "0")
    cards(monkeypatch, 2)

    assert device_as_asked("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(
        RecipeError, match=r"train.device is 'cuda:2', and torch finds 2 such devices here, numbered from 0. Name one"
    ):
        device_as_asked("cuda:2")
    cards(monkeypatch, 0)
    with pytest.raises(RecipeError, match=r"train.device is 'cuda:0' and torch finds no such device here"):
        device_as_asked("cuda:0")


def test_a_machine_is_named_by_its_processor_and_not_by_its_instructions_alone():
    # M80: two makers' processors with the same instructions round differently
    name = machine_of(torch.device("cpu"))
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*:\s*(.+?)\s*$", cpuinfo.read_text(), re.M) if cpuinfo.is_file() else []

    assert name.endswith(torch.backends.cpu.get_cpu_capability())
    assert not models or models[0] in name


def test_the_clock_counts_what_earlier_processes_spent():
    clock = RunClock(before_seconds=100.0)
    with clock.step():
        pass

    assert clock.total_seconds == pytest.approx(100.0, abs=1.0)
    assert 0 <= clock.seconds_per_step < 1.0
