"""The failure rules: one log that each fires on, and a twin that stays below it."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_logs import (
    H0,
    HEALTHY_F1,
    HEALTHY_LOSS,
    SMOKE,
    decide,
    diverging,
    eval_rows,
    line,
    step_rows,
)

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.watchdog import Watchdog


def changed(rows: list[dict[str, JSON]], at: int, **values: JSON) -> list[dict[str, JSON]]:
    return [{**row, **values} if row["step"] == at else row for row in rows]


@pytest.mark.parametrize(
    ("column", "value"), [("loss", math.nan), ("loss", math.inf), ("grad_norm", math.nan), ("loss", None)]
)
def test_a_number_that_is_not_finite_is_fatal_at_its_step(column: str, value: float | None) -> None:
    judged = decide(steps=changed(step_rows(SMOKE, HEALTHY_LOSS), 1230, **{column: value}))

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "nonfinite", 1230)
    assert column in judged.reason


def test_a_nonfinite_validation_loss_is_fatal_too() -> None:
    judged = decide(evals=changed(eval_rows(SMOKE, HEALTHY_F1), 1500, val_loss=math.nan))

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "nonfinite", 1500)


def test_a_weight_that_is_not_finite_is_fatal_though_no_loss_shows_it() -> None:
    evals = eval_rows(SMOKE, HEALTHY_F1)
    judged = decide(evals=changed(evals, 1500, nonfinite_parameters=3))

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "nonfinite", 1500)
    assert "3 weights of the model are not finite" in judged.reason
    assert decide(evals=changed(evals, 1500, nonfinite_parameters=0)).outcome == "pass"


def test_nothing_after_a_nan_is_judged() -> None:
    steps = changed(step_rows(SMOKE, diverging(1500, 2000)), 1230, loss=math.nan)

    assert [finding.rule for finding in decide(steps=steps).findings] == ["nonfinite"]


@pytest.mark.parametrize(("after", "fails"), [(0.62, True), (0.56, False)])
def test_the_median_loss_may_not_double_from_its_floor(after: float, fails: bool) -> None:
    loss = line([(0, 6.5), (1000, 0.3), (2000, 0.3), (2010, after)])

    assert ("rebound" in {f.rule for f in decide(loss=loss).findings}) is fails


@pytest.mark.parametrize(("after", "fails"), [(0.16, True), (0.10, False)])
def test_near_zero_a_rebound_needs_a_tenth_of_a_nat(after: float, fails: bool) -> None:
    loss = line([(0, 6.5), (1000, 0.02), (2000, 0.02), (2010, after)])

    assert ("rebound" in {f.rule for f in decide(loss=loss).findings}) is fails


def test_four_high_medians_running_are_not_yet_a_rebound() -> None:
    watchdog = Watchdog()
    losses = [1.0] * 5 + [3.0] * 6 + [1.0] * 5  # the median is 3.0 for points 8 to 13: six of them
    hits = [watchdog.observe_step({"step": step, "loss": loss}) for step, loss in enumerate(losses)]
    assert [hit.step for hit in hits if hit] == [7]

    quiet = Watchdog()
    losses = [1.0] * 5 + [3.0] * 4 + [1.0] * 5  # 3.0 for four points only
    assert [quiet.observe_step({"step": step, "loss": loss}) for step, loss in enumerate(losses)] == [None] * 14


LOSSES = st.lists(st.sampled_from([0.05, 0.1, 0.14, 0.3, 0.5, 0.7, 3.0]), max_size=40)


@given(LOSSES)
def test_a_rebound_begins_where_a_look_at_all_medians_finds_it(losses: list[float]) -> None:
    medians = {at: statistics.median(losses[at - 4 : at + 1]) for at in range(4, len(losses))}
    floors = {at: min(medians[before] for before in range(4, at + 1)) for at in medians}
    high = [at for at in medians if medians[at] > max(2 * floors[at], floors[at] + 0.10)]
    expected = [at for at in high if set(range(at, at + 5)) <= set(high)][:1]

    watchdog = Watchdog()
    hits = [watchdog.observe_step({"step": step, "loss": loss}) for step, loss in enumerate(losses)]

    assert [hit.step for hit in hits if hit and hit.rule == "rebound"] == expected


@given(st.lists(st.integers(0, 100).map(lambda n: n / 100), max_size=15))
def test_collapse_drift_and_flat_are_what_a_look_at_all_evaluations_finds(scores: list[float]) -> None:
    cents = [round(100 * score) for score in scores]
    low = [at for at in range(len(cents)) if cents[at] <= max(cents[: at + 1]) - 10]
    collapses = [at for at in low if at + 1 in low or at == len(cents) - 1][:1]
    falls = [cents[i] - cents[j] for i in range(len(cents)) for j in range(i + 1, len(cents)) if i >= len(cents) - 5]
    drifts = len(cents) >= 5 and max(falls) >= 10
    flat = len(cents) >= 5 and all(min(pair) < 10 for pair in pairwise(cents))

    watchdog = Watchdog()
    for step, score in enumerate(scores):
        watchdog.observe_eval({"step": step, "val_macro_f1": score})
    found = {finding.rule: finding.step for finding in watchdog.finish()}

    assert [found[rule] for rule in ("collapse",) if rule in found] == collapses
    assert ("drift" in found, "flat" in found) == (drifts, flat)


def test_one_low_evaluation_in_the_middle_is_no_collapse() -> None:
    evals = eval_rows(SMOKE, HEALTHY_F1)

    assert decide(evals=changed(evals, 2000, val_macro_f1=0.1)).rule != "collapse"
    twice = changed(changed(evals, 1500, val_macro_f1=0.1), 1750, val_macro_f1=0.1)
    assert (decide(evals=twice).rule, decide(evals=twice).step) == ("collapse", 1500)


def test_one_low_evaluation_at_the_end_is_a_collapse() -> None:
    judged = decide(evals=changed(eval_rows(SMOKE, lambda step: 0.42), 3000, val_macro_f1=0.32))

    assert (judged.rule, judged.step) == ("collapse", 3000)


@pytest.mark.parametrize(("low", "fails"), [(0.38, True), (0.381, False)])
def test_the_last_five_evaluations_may_not_fall_by_a_tenth(low: float, fails: bool) -> None:
    evals = eval_rows(SMOKE, lambda step: 0.48 if step == 2500 else low)

    assert ("drift" in {f.rule for f in decide(evals=evals).findings}) is fails


def test_a_score_that_still_rises_fast_at_the_end_is_no_drift() -> None:
    rising = eval_rows(SMOKE, line([(0, 0.0), (3000, 0.9)]))
    assert rising[-1]["val_macro_f1"] - rising[-5]["val_macro_f1"] == pytest.approx(0.3)

    assert decide(evals=rising).outcome == "pass"
    assert decide(evals=changed(rising, 2750, val_macro_f1=0.65)).rule == "drift"


@pytest.mark.parametrize(("val_loss", "fails"), [(0.96 * H0, True), (0.94 * H0, False)])
def test_a_validation_loss_near_the_label_entropy_is_flat(val_loss: float, fails: bool) -> None:
    judged = decide(evals=eval_rows(SMOKE, HEALTHY_F1, val_loss=val_loss))

    assert judged.rule == ("flat" if fails else None)


@pytest.mark.parametrize(
    ("high", "at", "fails"),
    [(0.09, (1250, 1500), True), (0.11, (1250,), True), (0.11, (1000, 1500), True), (0.11, (1250, 1500), False)],
)
def test_a_run_that_never_learns_to_decode_is_flat_though_its_loss_falls(
    high: float, at: tuple[int, ...], fails: bool
) -> None:
    judged = decide(evals=eval_rows(SMOKE, lambda step: high if step in at else 0.03, val_loss=0.6 * H0))

    assert judged.rule == ("flat" if fails else None)
    expected = f"no two of 12 evaluations running reach a macro-F1 of 0.10; the best is {high:.4f}"
    assert not fails or expected in judged.reason


def test_a_slow_score_that_has_just_come_off_the_ground_is_not_flat() -> None:
    slow = eval_rows(SMOKE, line([(0, 0.0), (2500, 0.09), (3000, 0.14)]), val_loss=0.6 * H0)

    assert decide(evals=slow).outcome == "pass"


def test_four_low_evaluations_are_too_few_to_call_a_run_flat() -> None:
    assert decide(evals=eval_rows(SMOKE, lambda step: 0.03)[-4:]).findings == ()


@pytest.mark.parametrize(("after", "fails"), [(0.40, True), (0.36, False)])
def test_the_loss_may_not_end_the_window_a_quarter_higher(after: float, fails: bool) -> None:
    judged = decide(loss=line([(0, 6.5), (900, 0.3), (1100, 0.3), (3000, after)]))

    assert judged.rule == ("rising" if fails else None)


def test_a_placeholder_loss_is_unreal() -> None:
    # M25: an exhausted iterator returned 1.0 for thousands of steps.
    steps = [{**row, "loss": 1.0} if row["step"] > 2000 else row for row in step_rows(SMOKE, lambda step: 1.0)]
    judged = decide(steps=steps)

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "unreal", 2010)
    assert "loss is exactly 1.0 from step 2010" in judged.reason
    assert decide(loss=lambda step: 1.0).outcome == "pass"


def test_a_constant_gradient_norm_is_unreal() -> None:
    steps = [{**row, "grad_norm": 0.0} for row in step_rows(SMOKE, HEALTHY_LOSS)]

    assert decide(steps=steps).rule == "unreal"


def test_steps_that_take_no_time_are_unreal() -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    idle = [{**row, "wall_seconds": 400 + (row["step"] - 2000) * 0.005} if row["step"] > 2000 else row for row in steps]

    assert (decide(steps=idle).rule, decide(steps=idle).step) == ("unreal", 2011)


def test_a_clock_that_starts_anew_on_resume_is_no_failure() -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    resumed = [{**row, "wall_seconds": row["wall_seconds"] - 300} if row["step"] > 1500 else row for row in steps]

    assert decide(steps=resumed).outcome == "pass"
