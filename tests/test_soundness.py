"""Every rule of a sound run has a log that breaks it; the log that all of them are made from breaks none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_logs import write_run

from mw_pipeline.campaign.outcomes import outcome_of
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import load_recipe
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.run_checks import rows_add_up
from mw_pipeline.verdict.runlog import RunLog, read_run
from mw_pipeline.verdict.soundness import soundness_findings

STEPS, EVAL_EVERY, LABELS, ENTROPY = 100, 10, 21, 1.5
Rows = list[dict[str, Any]]


def sound() -> tuple[Rows, Rows, dict[str, Any]]:
    """Steps, evaluations and run.json of a run that learns: loss and gradient wobble, F1 settles."""
    steps = [
        {
            "step": step,
            "pass": 1 + step // 50,
            "lr": 1e-3,
            "loss": 0.3 + 3 * math.exp(-step / 20) + 0.01 * math.sin(step),
            "grad_norm": 1 + 0.1 * math.sin(step),
            "tokens": 1000 + step,
            "tokens_per_second": 5e4,
            "wall_seconds": 0.02 * step,
        }
        for step in range(1, STEPS + 1)
    ]
    evals = [
        {"step": step, "val_loss": 0.3 + 2 * math.exp(-step / 20), "val_macro_f1": 0.8 * (1 - math.exp(-step / 20))}
        for step in range(EVAL_EVERY, STEPS + 1, EVAL_EVERY)
    ]
    run = {
        "status": "COMPLETED",
        "step": STEPS,
        "max_steps": STEPS,
        "tokens": sum(row["tokens"] for row in steps),
        "label_count": LABELS,
        "label_entropy": ENTROPY,
    }
    return steps, evals, run


def findings(change: Callable[[Rows, Rows, dict[str, Any]], object]) -> list[str]:
    """What is found in the sound log after a change to its rows."""
    steps, evals, run = sound()
    change(steps, evals, run)
    return soundness_findings(RunLog(tuple(steps), tuple(evals), run))


def every(rows: Rows, key: str, value: Callable[[dict[str, Any]], object]) -> None:
    for row in rows:
        row[key] = value(row)


def test_a_sound_run_has_no_findings() -> None:
    assert findings(lambda steps, evals, run: None) == []


BROKEN: dict[str, tuple[Callable[[Rows, Rows, dict[str, Any]], object], str]] = {
    "no steps": (lambda steps, evals, run: steps.clear(), "steps.jsonl has no rows"),
    "no evaluations": (lambda steps, evals, run: evals.clear(), "evals.jsonl has no rows"),
    "a missing column": (lambda steps, evals, run: steps[7].pop("lr"), "steps.jsonl has rows without lr"),
    "an empty column": (
        lambda steps, evals, run: evals[2].update(val_macro_f1=None),
        "evals.jsonl has rows without val_macro_f1",
    ),
    "an idle step": (
        lambda steps, evals, run: (steps[3].update(tokens=0), run.update(tokens=run["tokens"] - 1004)),
        "some steps trained on no tokens",
    ),
    "stopped by its budget": (
        lambda steps, evals, run: run.update(status="BUDGET_EXHAUSTED", step=60),
        "the run ended as 'BUDGET_EXHAUSTED' at step 60 of 100, expected 'COMPLETED'",
    ),
    "completed too early": (
        lambda steps, evals, run: run.update(step=60),
        "the run says 'COMPLETED' at step 60 of 100",
    ),
    "tokens lost": (
        lambda steps, evals, run: run.update(tokens=7),
        "run.json counts 7 training tokens, the steps 105050",
    ),
    "tokens that are NaN": (
        lambda steps, evals, run: steps[3].update(tokens=math.nan),
        "the tokens of some steps are no finite number",
    ),
    "endless tokens": (
        lambda steps, evals, run: steps[3].update(tokens=math.inf),
        "the tokens of some steps are no finite number",
    ),
    "an insane start": (
        lambda steps, evals, run: evals[0].update(val_loss=7.0),
        "the first validation loss is 7.000, above 2 ln K = 6.089",
    ),
    "an insane start before the first step": (
        lambda steps, evals, run: run.update(initial_val_loss=7.0),
        "the first validation loss is 7.000, above 2 ln K = 6.089",
    ),
    "a fine-tuned model that knows nothing": (
        lambda steps, evals, run: run.update(initial_val_loss=2.0, initial_weights="c0ffee"),
        "the first validation loss is 2.000, above H0 = 1.500",
    ),
    "converged without a reason": (
        lambda steps, evals, run: run.update(status="CONVERGED", step=60),
        "the run ended as 'CONVERGED' at step 60 of 100, expected 'COMPLETED'",
    ),
    "passes going back": (
        lambda steps, evals, run: steps[90].update({"pass": 1}),
        "the logged passes over the data go back",
    ),
    "a NaN": (lambda steps, evals, run: steps[9].update(loss=math.nan), "nonfinite at step 10: loss is nan"),
    "a rebound": (
        lambda steps, evals, run: every(steps[60:80], "loss", lambda row: 2.0 + 0.01 * math.sin(row["step"])),
        "rebound at step 63: ",
    ),
    "a collapse": (
        lambda steps, evals, run: every(evals[3:5], "val_macro_f1", lambda row: 0.3),
        "collapse at step 40: macro-F1 fell from its peak 0.6215 to 0.3000",
    ),
    "nothing decoded": (
        lambda steps, evals, run: every(evals, "val_macro_f1", lambda row: 0.001 * row["step"] / 2),
        "flat at step 100: no two of 10 evaluations running reach a macro-F1 of 0.10; the best is 0.0500",
    ),
    "no better than a constant": (
        lambda steps, evals, run: every(evals, "val_loss", lambda row: 1.45),
        "flat at step 100: best validation loss 1.45 is above 0.95 × the label entropy 1.5",
    ),
    "a placeholder loss": (
        # M25: an iterator that has run dry answers 1.0 for ever.
        lambda steps, evals, run: every(steps[70:], "loss", lambda row: 0.3),
        "unreal at step 71: loss is exactly 0.3 from step 71 to 90",
    ),
    "steps that take no time": (
        lambda steps, evals, run: every(steps[60:], "wall_seconds", lambda row: 1.2 + 1e-6 * row["step"]),
        "unreal at step 61: steps take",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_run_that_breaks_one_rule_is_found_by_that_rule(name: str) -> None:
    change, sentence = BROKEN[name]

    found = findings(change)

    assert any(finding.startswith(sentence) for finding in found), found


@pytest.mark.parametrize("name", sorted(set(BROKEN) - {"no steps", "no evaluations", "completed too early"}))
def test_one_broken_rule_is_one_finding(name: str) -> None:
    assert len(findings(BROKEN[name][0])) == 1


@pytest.mark.parametrize(("rows", "wrong"), [(math.nan, True), (math.inf, True), (8, False)])
def test_rows_that_are_no_finite_number_are_told_and_no_crash(rows: float, wrong: bool) -> None:
    steps, evals, run = sound()
    every(steps, "rows", lambda row: 8)
    steps[3]["rows"] = rows
    log = RunLog(tuple(steps), tuple(evals), {**run, "effective_batch": 8})

    assert rows_add_up(Evidence(log)) == (["the rows of some steps are no finite number"] if wrong else [])


@pytest.mark.parametrize("entropy", [math.nan, math.inf])
def test_a_label_entropy_that_is_no_finite_number_is_refused(entropy: float) -> None:
    with pytest.raises(ArtifactError, match=r"label_entropy is (nan|inf): input should be a finite number"):
        findings(lambda steps, evals, run: run.update(label_entropy=entropy))
    assert findings(lambda steps, evals, run: run.update(label_entropy=ENTROPY)) == []


@pytest.mark.parametrize("step", [None, 0])
def test_a_converged_run_of_a_campaign_without_its_step_is_unfinished(project: Path, step: int | None) -> None:
    steps, evals, run = sound()
    ended = {**run, "status": "CONVERGED", "converged": "no gain in 3 evaluations", "step": step, "kind": "full"}
    recipe = load_recipe(project / "recipes" / "demo.toml")
    judged = outcome_of(recipe, RunLog(tuple(steps), tuple(evals), ended), kind="full")
    whole = outcome_of(recipe, RunLog(tuple(steps), tuple(evals), {**ended, "step": STEPS}), kind="full")

    assert (judged.outcome, judged.rule, whole.outcome) == ("unfinished", "log_incomplete", "sound")


def test_what_reading_a_log_had_to_leave_out_is_a_finding(tmp_path: Path) -> None:
    steps, evals, run = sound()
    path = write_run(tmp_path, [*steps, steps[-1]], evals, run)
    with (path / "evals.jsonl").open("a") as stream:
        stream.write('{"step": 110, "val_lo')

    assert soundness_findings(read_run(path)) == [
        "steps.jsonl: 1 rows were written again by a resumed run; the last counts",
        "evals.jsonl: the last line (line 11) is cut off and was left out",
    ]


@pytest.mark.parametrize("fact", ["status", "step", "max_steps", "label_count", "label_entropy", "tokens"])
def test_a_run_that_does_not_say_what_a_rule_needs_is_not_sound(fact: str) -> None:
    said = findings(lambda steps, evals, run: run.pop(fact))

    assert len(said) == 1 and said[0] in (
        f"run.json does not say {fact}",
        "run.json counts None training tokens, the steps 105050",
    )


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_before_the_first_step_that_is_no_number_is_found(loss: float) -> None:
    assert findings(lambda steps, evals, run: run.update(initial_val_loss=loss)) == [
        f"the first validation loss is {loss:.3f}, above 2 ln K = 6.089"
    ]
