"""The verdict: the reference campaign, every rule with a failing log and a clean twin, and logs as they lie on disk."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_logs import H0, HEALTHY_F1, HEALTHY_LOSS, Curve, course, eval_rows, line, run_json, step_rows, write_run

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.exposure import RunFacts, facts_of_run
from mw_pipeline.verdict.judge import Verdict, Watchdog, verdict
from mw_pipeline.verdict.runlog import read_run

FULL = course("cosine", 50_000)
SMOKE = course("constant", 3000)


def decide(
    run: RunFacts = SMOKE,
    full: RunFacts = FULL,
    *,
    steps: Sequence[dict[str, JSON]] | None = None,
    evals: Sequence[dict[str, JSON]] | None = None,
    loss: Curve = HEALTHY_LOSS,
    f1: Curve = HEALTHY_F1,
) -> Verdict:
    return verdict(
        run,
        full,
        step_rows(run, loss) if steps is None else steps,
        eval_rows(run, f1) if evals is None else evals,
        label_entropy=H0,
    )


# --- the reference campaign ----------------------------------------------------------------------------------------


def diverging(lowest_at: int, highest_at: int) -> Curve:
    return line([(0, 6.5), (lowest_at, 0.3), (highest_at, 3.3)])


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


# --- invalid -------------------------------------------------------------------------------------------------------


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


# --- fail: one log per rule, and a twin that stays below it ---------------------------------------------------------


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
def test_collapse_and_drift_begin_where_a_look_at_all_evaluations_finds_them(scores: list[float]) -> None:
    cents = [round(100 * score) for score in scores]
    low = [at for at in range(len(cents)) if cents[at] <= max(cents[: at + 1]) - 10]
    collapses = [at for at in low if at + 1 in low or at == len(cents) - 1][:1]
    drifts = len(cents) >= 5 and max(cents[-5:]) - min(cents[-5:]) >= 10

    watchdog = Watchdog()
    for step, score in enumerate(scores):
        watchdog.observe_eval({"step": step, "val_macro_f1": score})
    found = {finding.rule: finding.step for finding in watchdog.finish()}

    assert [found[rule] for rule in ("collapse",) if rule in found] == collapses
    assert ("drift" in found) is drifts


def test_one_low_evaluation_in_the_middle_is_no_collapse() -> None:
    evals = eval_rows(SMOKE, HEALTHY_F1)

    assert decide(evals=changed(evals, 2000, val_macro_f1=0.1)).rule != "collapse"
    twice = changed(changed(evals, 1500, val_macro_f1=0.1), 1750, val_macro_f1=0.1)
    assert (decide(evals=twice).rule, decide(evals=twice).step) == ("collapse", 1500)


def test_one_low_evaluation_at_the_end_is_a_collapse() -> None:
    judged = decide(evals=changed(eval_rows(SMOKE, lambda step: 0.42), 3000, val_macro_f1=0.32))

    assert (judged.rule, judged.step) == ("collapse", 3000)


@pytest.mark.parametrize(("low", "fails"), [(0.38, True), (0.381, False)])
def test_the_last_five_evaluations_may_not_span_a_tenth(low: float, fails: bool) -> None:
    evals = eval_rows(SMOKE, lambda step: 0.48 if step == 2500 else low)

    assert ("drift" in {f.rule for f in decide(evals=evals).findings}) is fails


@pytest.mark.parametrize(("val_loss", "fails"), [(0.96 * H0, True), (0.94 * H0, False)])
def test_a_validation_loss_near_the_label_entropy_is_flat(val_loss: float, fails: bool) -> None:
    judged = decide(evals=eval_rows(SMOKE, HEALTHY_F1, val_loss=val_loss))

    assert judged.rule == ("flat" if fails else None)


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


# --- watchdog and evidence -----------------------------------------------------------------------------------------


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


# --- bare logs and logs on disk ------------------------------------------------------------------------------------


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


def test_a_bare_log_without_rates_says_that_exposure_is_unknown() -> None:
    steps = [{"step": row["step"], "loss": row["loss"]} for row in step_rows(SMOKE, HEALTHY_LOSS)]
    judged = verdict(RunFacts(), FULL, steps, [])

    assert judged.exposure_ratio is None
    assert "how long the run stayed near its peak rate is not known" in judged.reason
    assert "unreal gradients: steps.jsonl has no grad_norm" in judged.not_checked
    assert "collapse and drift: evals.jsonl has no val_macro_f1" in judged.not_checked
    assert "rising: the near-peak window is not known" in judged.not_checked


def test_a_log_reads_back_as_it_was_written(tmp_path: Path) -> None:
    steps, evals = step_rows(SMOKE, HEALTHY_LOSS), eval_rows(SMOKE, HEALTHY_F1)
    log = read_run(write_run(tmp_path, steps, evals, run_json(SMOKE)))

    assert (list(log.steps), list(log.evals), log.notes) == (steps, evals, ())
    assert facts_of_run(log.run) == SMOKE


def test_a_last_line_that_a_kill_cut_short_is_left_out_and_noted(tmp_path: Path) -> None:
    path = write_run(tmp_path, step_rows(SMOKE, HEALTHY_LOSS), [])
    (path / "steps.jsonl").write_text((path / "steps.jsonl").read_text()[:-30])
    log = read_run(path)

    assert len(log.steps) == 299
    assert log.notes == ("steps.jsonl: the last line (line 300) is cut off and was left out",)


def test_rows_that_a_resumed_run_wrote_again_count_once(tmp_path: Path) -> None:
    steps = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 2.5}, {"step": 3, "loss": 1.0}]
    log = read_run(write_run(tmp_path, steps, []))

    assert [row["loss"] for row in log.steps] == [3.0, 2.5, 1.0]
    assert "1 rows were written again by a resumed run" in log.notes[0]


@pytest.mark.parametrize("spelling", ["NaN", '"nan"', '"NaN"', "Infinity", '"-inf"'])
def test_every_spelling_of_a_number_that_is_not_finite_is_read(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "steps.jsonl").write_text(f'{{"step": 1, "loss": {spelling}}}\n')
    (tmp_path / "evals.jsonl").write_text("")
    log = read_run(tmp_path)

    assert not math.isfinite(log.steps[0]["loss"])
    assert verdict(RunFacts(), FULL, log.steps, log.evals).rule == "nonfinite"


@pytest.mark.parametrize(
    ("line_text", "message"),
    [
        ("{broken", "steps.jsonl:2: not JSON"),
        ("[1, 2]", r"steps.jsonl:2: is \[1, 2\], expected a JSON object"),
        ('{"loss": 1.0}', "steps.jsonl:2: step is None, expected an integer"),
        ('{"step": "7", "loss": 1.0}', "steps.jsonl:2: step is '7', expected an integer"),
        ('{"step": 7, "loss": "low"}', "steps.jsonl:2: loss is 'low', expected a number"),
        ('{"step": 7, "lr": true}', "steps.jsonl:2: lr is True, expected a number"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line_text: str, message: str) -> None:
    (tmp_path / "steps.jsonl").write_text(f'{{"step": 1}}\n{line_text}\n{{"step": 9}}\n')
    (tmp_path / "evals.jsonl").write_text("")

    with pytest.raises(ArtifactError, match=message):
        read_run(tmp_path)


def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"holds neither steps\.jsonl nor run\.json"):
        read_run(tmp_path)
    (tmp_path / "steps.jsonl").mkdir()
    with pytest.raises(ArtifactError, match=r"steps\.jsonl: cannot be read \(Is a directory\)"):
        read_run(tmp_path)


def test_a_run_that_died_before_its_first_evaluation_is_still_judged(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": NaN}\n')
    log = read_run(tmp_path)

    assert log.notes == ("evals.jsonl is missing",)
    assert verdict(RunFacts(), FULL, log.steps, log.evals).rule == "nonfinite"


def test_a_step_written_as_a_whole_float_is_read(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path, [{"step": 10.0, "loss": 1.0}], [])).steps == ({"step": 10, "loss": 1.0},)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", r"run.json: cannot be read as JSON"), ("[]", r"run.json: is \[\], expected a JSON object")],
)
def test_a_broken_run_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_run(tmp_path, [], [])
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(ArtifactError, match=message):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"schedule": "step"}, "schedule is 'step', expected one of cosine"),
        ({"max_steps": "3000"}, "max_steps is '3000', expected a number"),
        ({"warmup_steps": 2.5}, "warmup_steps is 2.5, expected a whole number"),
        ({"max_steps": 1e300}, "max_steps is 1e\\+300, expected a whole number up to"),
        ({"digests": ["a"]}, "digests is .'a'., expected a table"),
    ],
)
def test_a_fact_of_the_wrong_kind_is_refused(fact: dict[str, JSON], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        facts_of_run(fact)
