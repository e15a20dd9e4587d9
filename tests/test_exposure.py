"""Peak exposure: a smoke that could not have seen what the full run will meet is invalid, for each of its reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from run_logs import (
    FULL,
    HEALTHY_F1,
    HEALTHY_LOSS,
    SMOKE,
    course,
    decide,
    eval_rows,
    run_json,
    step_rows,
)

from mw_pipeline.verdict.exposure import facts_of_run


def test_a_smoke_at_another_effective_batch_is_invalid() -> None:
    # M02
    run = facts_of_run({**run_json(SMOKE), "batch_size": 8, "accumulation": 1})
    full = facts_of_run({**run_json(FULL), "batch_size": 16, "accumulation": 8})
    judged = decide(run, full)

    assert (judged.outcome, judged.rule) == ("invalid", "effective_batch")
    assert "effective batch 8 ≠ 128" in judged.reason
    assert decide(replace(run, effective_batch=128), full).outcome == "pass"


@pytest.mark.parametrize("name", ["loss", "model", "mix", "tokenizer", "labels", "data"])
def test_a_smoke_of_another_recipe_tokenizer_or_data_is_invalid(name: str) -> None:
    # M04
    digests = {key: f"of-{key}" for key in ("loss", "model", "mix", "tokenizer", "labels", "data")}
    full = replace(FULL, digests=digests)
    assert decide(replace(SMOKE, digests=digests), full).not_checked == ()

    judged = decide(replace(SMOKE, digests={**digests, name: "other"}), full)

    assert (judged.outcome, judged.rule) == ("invalid", "digests")
    assert f"{name} digest other ≠ of-{name}" in judged.reason


def test_a_run_that_names_only_its_recipe_is_compared_by_that() -> None:
    full = replace(FULL, digests={"recipe": "aaa", "loss": "l"})

    assert decide(replace(SMOKE, digests={"recipe": "bbb"}), full).rule == "digests"
    assert decide(replace(SMOKE, digests={"recipe": "aaa"}), full).outcome == "pass"
    assert decide(replace(SMOKE, digests={"recipe": "bbb", "loss": "l"}), full).outcome == "pass"


def test_a_smoke_at_a_lower_peak_rate_is_invalid() -> None:
    judged = decide(replace(SMOKE, peak_lr=1e-4))

    assert (judged.outcome, judged.rule) == ("invalid", "peak_lr")


def test_fewer_than_five_evaluations_near_the_peak_are_too_few() -> None:
    judged = decide(evals=eval_rows(SMOKE, HEALTHY_F1, every=500)[-4:])

    assert (judged.outcome, judged.rule) == ("invalid", "evals")
    assert "4 evaluations near the peak rate, 5 required" in judged.reason


def test_an_evaluation_at_the_very_end_of_the_window_counts() -> None:
    assert decide(evals=eval_rows(SMOKE, HEALTHY_F1, every=500)).evidence["evals_in_window"] == 5


def test_a_log_without_steps_is_incomplete() -> None:
    judged = decide(steps=[], evals=[])

    assert (judged.outcome, judged.rule) == ("invalid", "log_incomplete")
    assert "log incomplete: it has no steps" in judged.reason


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [(0, 2500, "it ends at step 2500 of 3000"), (1500, 3000, "it begins at step 1510, after the warmup")],
)
def test_a_log_that_does_not_cover_the_run_is_incomplete(first: int, last: int, reason: str) -> None:
    judged = decide(steps=[row for row in step_rows(SMOKE, HEALTHY_LOSS) if first < row["step"] <= last])

    assert (judged.outcome, judged.rule) == ("invalid", "log_incomplete")
    assert reason in judged.reason


def test_a_log_with_a_hole_is_incomplete() -> None:
    judged = decide(steps=[row for row in step_rows(SMOKE, HEALTHY_LOSS) if not 1200 < row["step"] < 1800])

    assert "log incomplete: nothing between steps 1200 and 1800" in judged.reason


def test_logged_rates_that_are_not_those_of_the_schedule_are_found_out() -> None:
    # A run.json that claims `constant` over the log of a cosine run (M01).
    judged = decide(steps=step_rows(course("cosine", 3000), HEALTHY_LOSS))

    assert (judged.outcome, judged.rule) == ("invalid", "schedule")
    assert "its schedule says 0.0005" in judged.reason
