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
from toy_run import toy_recipe

from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.exposure import RunFacts, facts_of_run, full_facts

EVALS = eval_rows(SMOKE, HEALTHY_F1)


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


@pytest.mark.parametrize(("rate", "rule"), [(5e-4, None), (4.9e-4, None), (5e-5, "peak_lr"), (5e-3, "peak_lr")])
def test_a_bare_log_at_another_rate_than_the_full_run_is_invalid(rate: float, rule: str | None) -> None:
    smoke = course(peak_lr=rate)
    judged = decide(RunFacts(), steps=step_rows(smoke, HEALTHY_LOSS), evals=eval_rows(smoke, HEALTHY_F1))

    assert (judged.outcome, judged.rule) == ("invalid" if rule else "pass", rule)


def test_fewer_than_five_evaluations_near_the_peak_are_too_few() -> None:
    judged = decide(evals=eval_rows(SMOKE, HEALTHY_F1, every=500)[-4:])

    assert (judged.outcome, judged.rule) == ("invalid", "evals")
    assert "4 evaluations near the peak rate, 5 required" in judged.reason


@pytest.mark.parametrize(("every", "outcome"), [(500, "pass"), (750, "invalid"), (9999, "invalid")])
def test_an_evaluation_counts_where_it_took_the_score_that_the_others_took(every: int, outcome: str) -> None:
    evals = [{**r, "val_macro_f1": r["val_macro_f1"] if r["step"] % every == 0 else None} for r in EVALS]
    bare = [{"step": row["step"]} for row in EVALS]

    assert decide(evals=evals if every < 9999 else bare).outcome == outcome


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


@pytest.mark.parametrize(("every", "outcome"), [(40, "pass"), (41, "invalid"), (500, "invalid")])
def test_a_log_too_coarse_for_the_rules_to_see_anything_is_invalid(every: int, outcome: str) -> None:
    # M69: 2000 steps near the peak, of which every fortieth gives 51 losses, every forty-first 49.
    judged = decide(steps=step_rows(SMOKE, HEALTHY_LOSS, every=every))

    assert judged.outcome == outcome
    assert outcome == "pass" or judged.problems[0].rule == "losses"
    assert (judged.evidence["losses_in_window"] >= 50) is (outcome == "pass")


def test_a_single_row_is_invalid_whatever_it_says() -> None:
    # M70
    row = step_rows(SMOKE, HEALTHY_LOSS)[-1:]
    judged = decide(steps=row)

    assert judged.outcome == "invalid"
    assert "1 logged losses near the peak rate, 50 required" in judged.reason


@pytest.mark.parametrize("last", [0, 990])
def test_a_log_without_a_rate_near_the_peak_is_invalid_though_run_json_says_the_schedule(last: int) -> None:
    # M70
    steps = [{**row, "lr": row["lr"] if row["step"] <= last else None} for row in step_rows(SMOKE, HEALTHY_LOSS)]
    judged = decide(steps=steps)

    assert (judged.outcome, judged.rule) == ("invalid", "learning_rate")


@pytest.mark.parametrize(
    ("smoke", "full", "rule"),
    [
        ({"precision": "bf16"}, {}, "precision"),
        ({"precision": "bf16"}, {"precision": None}, None),
        ({"device": "cpu"}, {"device": "cuda"}, "device"),
        ({"device": "cuda"}, {"device": "cuda"}, None),
        ({"device": "cuda"}, {"device": None}, None),
    ],
)
def test_a_smoke_in_another_precision_or_on_another_kind_of_device_licenses_nothing(
    smoke: dict[str, str], full: dict[str, str | None], rule: str | None
) -> None:
    judged = decide(replace(SMOKE, **smoke), replace(FULL, **full))

    assert (judged.outcome, judged.rule) == ("invalid" if rule else "pass", rule)
    assert not any(text.startswith(("precision", "device")) for text in judged.not_checked)


def test_the_full_run_of_a_recipe_says_its_precision_and_a_device_only_where_it_asks_for_one() -> None:
    recipe = toy_recipe(train={"precision": "bf16"})

    assert (full_facts(recipe).precision, full_facts(recipe).device) == ("bf16", None)
    assert full_facts(toy_recipe(train={"precision": "auto"})).precision is None
    assert full_facts(toy_recipe(train={"device": "cuda"})).device == "cuda"
    assert full_facts(recipe, device="cuda:1").device == "cuda"
    assert facts_of_run({"device": "cuda:3"}).device == "cuda"


@pytest.mark.parametrize("fact", [{"precision": 16}, {"device": ["cpu"]}, {"resumed_from_steps": "7"}])
def test_a_fact_of_the_wrong_kind_is_refused(fact: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match=f"run.json: {next(iter(fact))} is .* Repair it, or remove it"):
        facts_of_run(fact)
