"""The first signal asks a run to end, the second acts as before."""

from __future__ import annotations

import signal
import threading

from mw_pipeline.train.signals import stop_signals


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
