"""The failure rules: one log that each fires on, and a twin that stays below it."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_logs import (
    H0,
    HEALTHY_F1,
    HEALTHY_LOSS,
    SMOKE,
    Curve,
    decide,
    diverging,
    eval_rows,
    line,
    step_rows,
)

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.resolution import rounding_of
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


@pytest.mark.parametrize("count", [math.nan, math.inf])
def test_a_count_of_broken_weights_that_is_not_finite_is_fatal(count: float) -> None:
    judged = decide(evals=changed(eval_rows(SMOKE, HEALTHY_F1), 1500, nonfinite_parameters=count))

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "nonfinite", 1500)
    assert f"the count of weights that are not finite is {count}" in judged.reason


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
def test_collapse_flat_and_a_swing_are_what_a_look_at_all_evaluations_finds(scores: list[float]) -> None:
    cents = [round(100 * score) for score in scores]
    low = [at for at in range(len(cents)) if cents[at] <= max(cents[: at + 1]) - 10]
    collapses = [at for at in low if at + 1 in low or at == len(cents) - 1][:1]
    falls = [cents[i] - cents[j] for i in range(len(cents)) for j in range(i + 1, len(cents)) if i >= len(cents) - 5]
    swings = max(falls, default=0) >= 10
    flat = len(cents) >= 5 and all(min(pair) < 10 for pair in pairwise(cents))

    watchdog = Watchdog()
    for step, score in enumerate(scores):
        watchdog.observe_eval({"step": step, "val_macro_f1": score})
    found = {finding.rule: finding.step for finding in watchdog.finish()}

    assert [found[rule] for rule in ("collapse",) if rule in found] == collapses
    assert ("flat" in found, "swinging" in {warning.rule for warning in watchdog.warnings}) == (flat, swings)


def test_one_low_evaluation_in_the_middle_is_no_collapse() -> None:
    evals = eval_rows(SMOKE, HEALTHY_F1)

    assert decide(evals=changed(evals, 2000, val_macro_f1=0.1)).rule != "collapse"
    twice = changed(changed(evals, 1500, val_macro_f1=0.1), 1750, val_macro_f1=0.1)
    assert (decide(evals=twice).rule, decide(evals=twice).step) == ("collapse", 1500)


def test_one_low_evaluation_at_the_end_is_a_collapse() -> None:
    judged = decide(evals=changed(eval_rows(SMOKE, lambda step: 0.42), 3000, val_macro_f1=0.32))

    assert (judged.rule, judged.step) == ("collapse", 3000)


@pytest.mark.parametrize(("low", "warns"), [(0.38, True), (0.381, False)])
def test_a_fall_by_a_tenth_in_the_last_five_evaluations_is_a_warning_and_no_failure(low: float, warns: bool) -> None:
    scores = {2250: 0.48, 2500: low, 2750: 0.45, 3000: 0.46}
    judged = decide(evals=eval_rows(SMOKE, lambda step: scores.get(step, min(0.45, step / 2500))))

    assert (judged.outcome, judged.evidence["recent_f1_fall"]) == ("pass", pytest.approx(0.48 - low))
    expected = [("swinging", 3000, f"within the last 5 evaluations macro-F1 fell from 0.4800 to {low:.4f}")]
    assert [(w.rule, w.step, w.reason) for w in judged.warnings] == (expected if warns else [])


def test_a_score_that_still_rises_fast_at_the_end_is_no_swing() -> None:
    rising = eval_rows(SMOKE, line([(0, 0.0), (3000, 0.9)]))
    assert rising[-1]["val_macro_f1"] - rising[-5]["val_macro_f1"] == pytest.approx(0.3)

    assert (decide(evals=rising).outcome, decide(evals=rising).warnings) == ("pass", ())
    dip = decide(evals=changed(rising, 2750, val_macro_f1=0.65))
    assert (dip.outcome, [warning.rule for warning in dip.warnings]) == ("pass", ["swinging"])


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


@pytest.mark.parametrize("norm", [0.0, 1.0, 0.37])
def test_a_gradient_norm_that_is_the_same_throughout_is_a_placeholder_and_is_not_checked(norm: float) -> None:
    # M81: 0 where nobody computed it, the clipping norm where every step was clipped before it was logged.
    judged = decide(steps=[{**row, "grad_norm": norm} for row in step_rows(SMOKE, HEALTHY_LOSS)])

    assert judged.outcome == "pass"
    assert f"unreal gradients: the gradient norm is {norm:g} throughout, a placeholder" in judged.not_checked
    assert not any("placeholder" in text for text in decide().not_checked)


@pytest.mark.parametrize(("moves", "fails"), [(False, True), (True, False)])
def test_a_gradient_norm_that_stands_still_fails_a_run_whose_loss_does_not_move_either(
    moves: bool, fails: bool
) -> None:
    # The losses are rounded to tenths, so that alone their standing still says nothing.
    steps = [
        {**row, "loss": round(row["loss"], 1), **({"grad_norm": 0.7321} if row["step"] > 2000 else {})}
        for row in step_rows(SMOKE, HEALTHY_LOSS)
    ]
    rows = [{**row, "loss": [0.2, 0.3, 0.4][row["step"] // 10 % 3]} if moves else row for row in steps[-100:]]
    judged = decide(steps=[*steps[:-100], *rows])

    assert (judged.rule, judged.step) == (("unreal", 2010) if fails else (None, None))
    assert not fails or "grad_norm is exactly 0.7321" in judged.reason


@pytest.mark.parametrize("decimals", [1, 2, 4])
def test_a_loss_that_is_rounded_to_more_than_a_hundredth_of_itself_may_stand_still(decimals: int) -> None:
    # M81: a converged run, logged to few decimals. The same numbers from an iterator that has run dry are caught below.
    low = 30 * 10.0**-decimals
    course = line([(0, 6.5), (900, low), (1400, low / 30), (3000, low / 30)])
    rounded = [{**row, "loss": round(row["loss"], decimals)} for row in step_rows(SMOKE, course)]
    judged = decide(steps=rounded)

    assert len({row["loss"] for row in rounded[-100:]}) == 1
    assert judged.outcome == "pass"
    unclear = f"the log rounds them to a step of {10.0**-decimals:g}"
    assert any(text.startswith("unreal losses up to") and unclear in text for text in judged.not_checked)


def test_a_loss_in_single_precision_is_rounded_where_its_shortest_decimal_is() -> None:
    exact = [float(np.float32(round(0.0001 + 2 * math.exp(-at / 9), 4))) for at in range(200)]
    assert exact[-1] != 0.0001

    rounding = rounding_of(exact)

    assert (rounding.decimals, rounding.tells(1.0), rounding.tells(exact[-1])) == (4, True, False)


@given(st.lists(st.floats(1e-4, 9.0), min_size=5, max_size=30, unique=True), st.integers(2, 6))
def test_a_step_of_rounding_is_what_separates_neighbours_in_the_log(values: list[float], digits: int) -> None:
    written = [float(f"{value:.{digits}g}") for value in values]
    for value, told in zip(written, map(rounding_of(written).tells, written), strict=True):
        exponent = math.floor(math.log10(value))
        apart = max(
            10.0 ** (exponent + 1 - digits), min(10.0 ** (math.floor(math.log10(v)) + 1 - digits) for v in written)
        )
        # Values may happen to end in zeros, which makes the log look coarser, never finer.
        assert not told or apart <= 0.0100001 * value


def test_a_loss_that_never_moved_at_all_is_unreal_however_it_is_rounded() -> None:
    assert decide(steps=[{**row, "loss": 1.0} for row in step_rows(SMOKE, HEALTHY_LOSS)]).rule == "unreal"


@pytest.mark.parametrize("norm", [math.nan, math.inf])
@pytest.mark.parametrize("rows", [(0,), (0, 1, 2), (99,)])
def test_steps_that_a_loss_scaler_skipped_are_a_remark(norm: float, rows: tuple[int, ...]) -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    for at in rows:
        steps[at]["grad_norm"] = norm
    judged = decide(steps=steps)

    assert judged.outcome == "pass"
    assert [(w.rule, w.step) for w in judged.warnings] == [("skipped_step", steps[rows[0]]["step"])]


SCALER_FAILURES = {
    "beyond the first hundred rows": {100: {"grad_norm": math.inf}},
    "and again later": {3: {"grad_norm": math.nan}, 200: {"grad_norm": math.nan}},
    "with a loss that is none": {3: {"grad_norm": math.nan, "loss": math.nan}},
}


@pytest.mark.parametrize("name", SCALER_FAILURES)
def test_other_gradient_norms_that_are_not_finite_stay_fatal(name: str) -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    for at, values in SCALER_FAILURES[name].items():
        steps[at].update(values)
    judged = decide(steps=steps)

    assert (judged.rule, judged.step, judged.warnings) == (
        "nonfinite",
        steps[min(SCALER_FAILURES[name])]["step"],
        (),
    )


def test_a_run_that_ends_with_a_gradient_norm_that_is_not_finite_was_not_going_on() -> None:
    steps = changed(step_rows(SMOKE, HEALTHY_LOSS)[:50], 500, grad_norm=math.inf)

    assert (decide(steps=steps).rule, decide(steps=steps).step) == ("nonfinite", 500)


def test_a_run_that_trains_stops_at_a_gradient_norm_that_is_not_finite_wherever_it_comes() -> None:
    assert Watchdog().observe_step({"step": 1, "loss": 3.0, "grad_norm": math.inf}) is not None


SETS = {"us": HEALTHY_F1, "fr": HEALTHY_F1}


def rows_of_sets(scores: dict[str, Curve]) -> list[dict[str, JSON]]:
    return [
        {"step": step, "evaluation_sets": {n: {"val_loss": 0.4, "val_macro_f1": f1(step)} for n, f1 in scores.items()}}
        for step in range(250, 3001, 250)
    ]


def test_a_collapse_on_any_of_several_evaluation_sets_is_a_failure() -> None:
    assert decide(evals=rows_of_sets(SETS)).outcome == "pass"
    judged = decide(evals=rows_of_sets({**SETS, "fr": line([(0, 0.0), (1000, 0.6), (1500, 0.6), (1750, 0.2)])}))

    assert (judged.rule, judged.step) == ("collapse", 1750)
    assert "macro-F1 of fr fell from its peak 0.6000 to 0.2000" in judged.reason
    assert judged.evidence["peak_f1"] == pytest.approx(0.6)


def test_a_number_of_any_evaluation_set_that_is_not_finite_is_fatal() -> None:
    evals = rows_of_sets(SETS)
    evals[5]["evaluation_sets"]["us"]["val_loss"] = math.inf

    assert "val_loss is inf on us" in decide(evals=evals).reason


def test_a_set_that_is_never_decoded_beside_one_that_is_makes_no_run_flat() -> None:
    assert decide(evals=rows_of_sets({**SETS, "th": lambda step: 0.02})).outcome == "pass"
    assert decide(evals=rows_of_sets({"ja": lambda step: 0.01, "th": lambda step: 0.02})).rule == "flat"


def test_steps_that_take_no_time_are_unreal() -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    idle = [{**row, "wall_seconds": 400 + (row["step"] - 2000) * 0.005} if row["step"] > 2000 else row for row in steps]

    assert (decide(steps=idle).rule, decide(steps=idle).step) == ("unreal", 2011)


def test_the_median_of_step_times_begins_anew_where_a_run_was_resumed() -> None:
    # A faster machine took over: its steps take a fortieth of the time, for all of the rest.
    def seconds(step: int) -> float:
        return 0.2 * step if step <= 1500 else 300 + 0.005 * (step - 1500)

    faster = [{**row, "wall_seconds": seconds(row["step"])} for row in step_rows(SMOKE, HEALTHY_LOSS)]
    assert decide(steps=faster).rule == "unreal"
    assert decide(replace(SMOKE, resumed_from=(1500,)), steps=faster).outcome == "pass"
    assert decide(replace(SMOKE, resumed_from=(700, 1503)), steps=faster).outcome == "pass"

    idle = [{**r, "wall_seconds": seconds(min(r["step"], 2000)) + r["step"] * 1e-6} for r in faster]
    assert decide(replace(SMOKE, resumed_from=(1500,)), steps=idle).step == 2001


@pytest.mark.parametrize("clock", [math.nan, math.inf])
def test_a_clock_that_shows_no_time_is_not_read(clock: float) -> None:
    steps = [{**row, "wall_seconds": clock} if row["step"] > 1500 else row for row in step_rows(SMOKE, HEALTHY_LOSS)]

    assert decide(steps=steps).outcome == "pass"


def test_a_clock_that_starts_anew_on_resume_is_no_failure() -> None:
    steps = step_rows(SMOKE, HEALTHY_LOSS)
    resumed = [{**row, "wall_seconds": row["wall_seconds"] - 300} if row["step"] > 1500 else row for row in steps]

    assert decide(steps=resumed).outcome == "pass"
