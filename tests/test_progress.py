"""The lines that training prints."""

from __future__ import annotations

import pytest

from mw_pipeline.train.progress import clock_time, line_of

STEP = {
    "event": "step",
    "step": 120,
    "steps": 4000,
    "loss": 0.5123456,
    "lr": 0.003,
    "tokens_per_second": 70123.4,
    "eta_seconds": 201.2,
    "val_macro_f1": 0.81234,
}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (200, "3m20s"), (3900, "1h05m"), (3599.7, "1h00m")],
)
def test_seconds_read_as_people_say_them(seconds, text):
    assert clock_time(seconds) == text


def test_a_step_is_one_line():
    assert line_of(STEP) == ("step    120/4000  loss 0.5123  lr 3.00e-03  70,123 pieces/s  ETA 3m21s  F1 0.8123")
    assert "F1" not in line_of(STEP | {"val_macro_f1": None})


def test_compiling_is_one_line():
    assert line_of({"event": "compiled", "seconds": 75.2}) == "compiled the network in 1m15s"


def test_the_preflight_line_warns_when_the_time_will_not_do():
    event = {"event": "preflight", "seconds_per_step": 0.05, "steps_left": 4000, "expected_seconds": 220.0}
    event |= {"evals_left": 10, "seconds_per_eval": 2.0}

    assert line_of(event | {"seconds_left": None, "fits": True}) == (
        "measured 50 ms a step × 4000 steps + 10 evaluations of 2s = 3m40s"
    )
    assert line_of(event | {"seconds_left": 300, "fits": True}).endswith("3m40s, 5m00s left")
    assert line_of(event | {"seconds_left": 60, "fits": False}).endswith("1m00s left: IT WILL NOT FIT")


def test_the_last_line_names_status_reason_and_best():
    ended = {"event": "ended", "step": 900, "steps": 4000, "best_val_macro_f1": 0.5, "best_step": 700, "finding": None}

    assert (
        line_of(ended | {"status": "INTERRUPTED"}) == "INTERRUPTED at step 900/4000: best macro-F1 0.5000 at step 700"
    )
    finding = {"rule": "rebound", "step": 880, "reason": "median loss 3 is above 1"}
    assert line_of(ended | {"status": "DIVERGED", "finding": finding}).startswith(
        "DIVERGED at step 900/4000 (rebound: median loss 3 is above 1)"
    )
    assert line_of(ended | {"status": "INTERRUPTED", "best_val_macro_f1": None}).endswith("no evaluation")
