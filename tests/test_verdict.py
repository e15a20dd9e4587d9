"""The verdict: the reference campaign, the watchdog, the evidence, and bare folders of logs."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from run_logs import (
    FULL,
    H0,
    HEALTHY_F1,
    HEALTHY_LOSS,
    SMOKE,
    Curve,
    course,
    decide,
    diverging,
    eval_rows,
    line,
    step_rows,
)

from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import verdict
from mw_pipeline.verdict.watchdog import Watchdog


def slow_sag(step: int) -> float:
    return line([(0, 0.0), (2200, 0.42), (50_000, 0.36)])(step)


FAILED = [
    pytest.param(5e-4, diverging(700, 1000), line([(0, 0), (700, 0.36), (1000, 0.11)]), 750, id="1"),
    pytest.param(3e-4, diverging(940, 1300), line([(0, 0), (950, 0.37), (1300, 0.11)]), 1000, id="2"),
    pytest.param(1.5e-4, diverging(1900, 2600), line([(0, 0), (1900, 0.39), (2600, 0.11)]), 2000, id="3"),
    pytest.param(5e-4, diverging(940, 1300), line([(0, 0), (950, 0.36), (1300, 0.11)]), 1000, id="4"),
    pytest.param(5e-4, diverging(930, 1250), line([(0, 0), (950, 0.35), (1250, 0.10)]), 1000, id="5"),
]


@pytest.mark.parametrize(("rate", "loss", "f1", "step"), FAILED)
def test_a_run_that_diverged_fails_where_its_loss_turned(rate: float, loss: Curve, f1: Curve, step: int) -> None:
    full = replace(FULL, peak_lr=rate)
    judged = decide(full, full, steps=step_rows(full, loss, until=4000), evals=eval_rows(full, f1)[:16])

    assert (judged.outcome, judged.rule) == ("fail", "rebound")
    assert judged.step == pytest.approx(step, abs=60)
    assert "collapse" in {finding.rule for finding in judged.findings}


@pytest.mark.parametrize("peak_f1", [0.4190, 0.4279])
def test_a_cosine_smoke_is_invalid_because_its_rate_had_decayed(peak_f1: float) -> None:
    # M01, campaign runs 6 and 7: nothing went wrong in 3000 steps, and nothing could have.
    smoke = course("cosine", 3000, peak_lr=1.5e-4)
    judged = decide(
        smoke,
        replace(FULL, peak_lr=1.5e-4),
        f1=line([(0, 0), (1000, peak_f1 - 0.005), (2000, peak_f1), (3000, peak_f1)]),
    )

    assert (judged.outcome, judged.rule, judged.step) == ("invalid", "exposure", None)
    assert "872 near-peak steps, 2000 required" in judged.reason
    assert judged.exposure_ratio == pytest.approx(872 / 21_360)


def test_the_clean_twin_at_a_constant_rate_passes() -> None:
    judged = decide()

    assert (judged.outcome, judged.rule, judged.not_checked) == (
        "pass",
        None,
        ("digests of loss, model, mix, tokenizer, labels, data: not on both sides",),
    )
    assert "2000 near-peak steps (2000 required) with 9 evaluations" in judged.reason


def test_a_failure_in_the_log_outranks_an_invalid_smoke() -> None:
    # Campaign run 8: a cosine smoke, too short to license anything, whose loss is 1.24 at its end.
    smoke = course("cosine", 3000, peak_lr=1.5e-4)
    judged = decide(smoke, replace(FULL, peak_lr=1.5e-4), loss=line([(0, 6.5), (1500, 0.3), (3000, 1.24)]))

    assert (judged.outcome, judged.rule) == ("fail", "rebound")
    assert judged.problems[0].rule == "exposure"


def test_a_full_run_whose_f1_falls_fails_at_that_evaluation() -> None:
    # Campaign run 9: the promoted run 7.
    full = replace(FULL, peak_lr=1.5e-4)
    judged = decide(
        full, full, steps=step_rows(full, HEALTHY_LOSS, until=2500), evals=eval_rows(full, fall_at(2250))[:10]
    )

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "collapse", 2250)
    assert "0.4100 to 0.2900" in judged.reason


def fall_at(step: int) -> Curve:
    return lambda at: 0.29 if at >= step else min(0.41, at / 2000 * 0.41)


def test_a_full_run_whose_f1_sags_slowly_with_the_cosine_is_sound() -> None:
    # Campaign run 10.
    full = replace(FULL, peak_lr=1.5e-4)
    judged = decide(full, full, f1=slow_sag)

    assert judged.outcome == "pass"
    assert judged.exposure_ratio == 1.0


def test_the_watchdog_stops_a_run_at_the_step_that_the_verdict_names() -> None:
    steps = step_rows(SMOKE, diverging(1500, 2000))
    watchdog = Watchdog()
    found = next((row["step"], finding) for row in steps if (finding := watchdog.observe_step(row)))

    judged = decide(steps=steps)
    assert (found[1].rule, found[1].step) == ("rebound", judged.step)
    assert found[0] == found[1].step + 40  # five logged points, ten steps apart


def test_the_watchdog_leaves_a_healthy_run_alone_while_its_f1_rises_fast() -> None:
    watchdog = Watchdog(window=(1000, 3000), label_entropy=H0)

    assert all(watchdog.observe_eval(row) is None for row in eval_rows(SMOKE, line([(0, 0), (3000, 0.9)]), every=100))
    assert all(watchdog.observe_step(row) is None for row in step_rows(SMOKE, HEALTHY_LOSS, every=1))


def test_a_failed_verdict_shows_its_evidence() -> None:
    steps = step_rows(SMOKE, diverging(1500, 2000))
    judged = decide(steps=steps, f1=line([(0, 0), (1500, 0.4), (2000, 0.1)]))
    evidence = judged.evidence

    assert evidence["learning_rate"] == 5e-4
    assert evidence["loss_floor"] == pytest.approx(0.3, rel=0.3)
    assert evidence["loss_after"] == pytest.approx(3.3, rel=0.05)
    assert (evidence["peak_f1"], evidence["f1_after"]) == pytest.approx((0.4, 0.1))
    assert "lower train.peak_lr" in judged.reason
    assert judged.one_line().startswith(f"fail: rebound at step {judged.step}: median loss")


def test_a_verdict_survives_a_round_trip_through_json_even_with_nan() -> None:
    evals = [*eval_rows(SMOKE, HEALTHY_F1)[:-1], {"step": 3000, "val_loss": math.nan, "val_macro_f1": math.nan}]
    value = decide(evals=evals).to_json()

    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_bare_log_is_judged_by_its_logged_rates() -> None:
    smoke = course("cosine", 3000)
    judged = verdict(RunFacts(), FULL, step_rows(smoke, HEALTHY_LOSS), eval_rows(smoke, HEALTHY_F1))

    assert (judged.outcome, judged.rule) == ("invalid", "exposure")
    assert judged.evidence["near_peak_steps"] == pytest.approx(872, abs=11)
    assert "effective batch: run.json does not say it" in judged.not_checked
    assert "flat: the label entropy is not known" in judged.not_checked


def test_a_bare_log_at_a_constant_rate_passes_with_a_list_of_what_was_not_checked() -> None:
    judged = verdict(RunFacts(), FULL, step_rows(SMOKE, HEALTHY_LOSS), eval_rows(SMOKE, HEALTHY_F1))

    assert judged.outcome == "pass"
    assert any("log complete: run.json does not say max_steps" in text for text in judged.not_checked)


def test_a_bare_log_without_rates_is_invalid_for_it_could_not_have_shown() -> None:
    # M70
    steps = [{"step": row["step"], "loss": row["loss"]} for row in step_rows(SMOKE, HEALTHY_LOSS)]
    judged = verdict(RunFacts(), FULL, steps, [])

    assert (judged.outcome, judged.rule, judged.exposure_ratio) == ("invalid", "learning_rate", None)
    assert "no learning rate was logged" in judged.reason
    assert "unreal gradients: steps.jsonl has no grad_norm" in judged.not_checked
    assert "collapse: evals.jsonl has no val_macro_f1" in judged.not_checked
    assert "rising: the near-peak window is not known" in judged.not_checked
