"""Each check on a finished run is made to fail by one change to a sound run, and is silent on that run itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mw_pipeline.errors import ArtifactError
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.verdict.early_stop import EvaluatedRows, Patience, converged_at
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.parts import parts_of
from mw_pipeline.verdict.run_checks import BLOCKING, WARNING
from mw_pipeline.verdict.runlog import RunLog

STEPS, BATCH, ROWS = 100, 16, 400
Change = Callable[[dict[str, Any]], object]


def losses(mean: float, *, seed: int = 0, rows: int = ROWS, noise: float = 0.01) -> RowLosses:
    """Rows of ten pieces around a mean in nats per piece: the same rows are hard at every evaluation."""
    rng, own = np.random.default_rng(7), np.random.default_rng(seed)
    spread = rng.normal(0, 0.2, rows) + own.normal(0, noise, rows)
    nats = 10 * (mean + spread - spread.mean())
    return RowLosses(nats, np.full(rows, 10))


def part(from_step: int, **kind: Any) -> dict[str, Any]:
    """A part of a run in run.json: what trained the steps after `from_step`."""
    here = {"device": "cpu", "machine": "x86_64 AVX2", "ranks": 1, "threads": 1, "precision": "fp32", "torch": "2.9"}
    return {"from_step": from_step, **here, "dropout_drawn_by": "cpu x86_64", **kind}


def parts(means: list[float] | None = None, **run: Any) -> dict[str, Any]:
    """Steps, evaluations, row losses, run.json and the smoke of a sound run, for a test to break."""
    means = means or [1.0, 0.6, 0.4, 0.3, 0.25]
    found = [EvaluatedRows(20 * (i + 1), losses(mean, seed=i)) for i, mean in enumerate(means)]
    steps = [
        {"step": s, "pass": s // 40, "lr": 1e-3 * min(1.0, s / 50), "loss": 2.0 / s, "grad_norm": 1.0 + 1 / s}
        | {"tokens": 200, "rows": BATCH, "row_hash": f"{s:016x}"}
        for s in range(1, STEPS + 1)
    ]
    evals = [
        {"step": e.step, "val_loss": e.losses.mean, "val_macro_f1": 0.5, "val_loss_se": e.losses.standard_error}
        | {"train_eval_loss": 0.95 * e.losses.mean, "train_eval_loss_se": 0.01}
        for e in found
    ]
    facts = {
        **{"status": "COMPLETED", "step": STEPS, "max_steps": STEPS, "effective_batch": BATCH, "batch_size": BATCH},
        **{"accumulation": 1, "processes": 1, "ranks": 1, "threads": 1, "precision": "fp32", "seed": 0},
        **{"schedule": "constant", "warmup_steps": 50, "peak_lr": 1e-3, "cooldown_from": None},
        **{
            "device": "cpu",
            "device_asked": "cpu",
            "machine": "x86_64 AVX2",
            "passes": {"a": 2.5, "b": 1.0},
            "pool_batches": 8,
        },
        **{"label_counts": {"O": 500, "B-street": 30}, "rows": STEPS * BATCH, "train_rows": 800},
        **{"parameters": 1000, "tokens": 200 * STEPS, "label_entropy": 0.5},
        "digests": {name: name for name in ("code", "data", "model", "loss", "mix")},
    }
    facts |= {"parts": [part(0)], "notes": []}
    smoke = {"steps": [dict(row) for row in steps], "run": dict(facts)}
    return {"steps": steps, "evals": evals, "rows": found, "run": facts | run, "discarded": [], "smoke": smoke}


def evidence(p: dict[str, Any]) -> Evidence:
    smoke = RunLog(tuple(p["smoke"]["steps"]), (), with_resumes(p["smoke"]["run"]))
    log = RunLog(tuple(p["steps"]), tuple(p["evals"]), with_resumes(p["run"]))
    return Evidence(log, p["rows"], p["discarded"], smoke)


def with_resumes(run: dict[str, Any]) -> dict[str, Any]:
    """The run.json with the steps that its parts went on from, unless a test has named others."""
    return {"resumed_from_steps": [one["from_step"] for one in run.get("parts", [])[1:]], **run}


def failing_checks(change: Change) -> list[str]:
    """The names of the checks that find something in the sound run after a change to it."""
    p = parts()
    change(p)
    return [name for name, check in {**BLOCKING, **WARNING}.items() if check(evidence(p))]


def test_a_sound_run_passes_every_check() -> None:
    assert failing_checks(lambda p: None) == []


def overfit(p: dict[str, Any]) -> None:
    for row, val, train in zip(p["evals"], (1.0, 0.3, 0.5, 0.7, 0.9), (0.9, 0.25, 0.2, 0.15, 0.1), strict=True):
        row.update(val_loss=val, train_eval_loss=train)
    p["rows"] = [EvaluatedRows(r["step"], losses(r["val_loss"], seed=r["step"])) for r in p["evals"]]


BROKEN: dict[str, tuple[Change, str]] = {
    "a step whose rows were left out": (lambda p: p["steps"][7].update(rows=8), "rows_add_up"),
    "a pass that was not logged": (lambda p: p["run"].update(passes={"a": 12.5}), "passes_are_logged"),
    # M37: a resume brought back an old rate for one step
    "a rate that jumps": (lambda p: p["steps"][70].update(lr=5.7e-2), "rates_are_those_of_the_schedule"),
    "a rate off by a thousandth": (lambda p: p["steps"][70].update(lr=1.001e-3), "rates_are_those_of_the_schedule"),
    "a rate of the step before": (
        lambda p: p["steps"][30].update(lr=p["steps"][29]["lr"]),
        "rates_are_those_of_the_schedule",
    ),
    # M36: a resume trained other rows
    "a resume that replays other rows": (
        lambda p: p["discarded"].append({**p["steps"][30], "row_hash": "00ff"}),
        "resume_is_exact",
    ),
    "a resume with another loss": (
        lambda p: p["discarded"].append({**p["steps"][30], "loss": 0.07}),
        "resume_is_exact",
    ),
    "the same seed and other steps": (lambda p: p["smoke"]["steps"][3].update(loss=0.51), "run_is_reproducible"),
    "another seed and the same steps": (lambda p: p["smoke"]["run"].update(seed=1), "run_is_reproducible"),
    "evaluations without row losses": (
        lambda p: (p["run"].update(patience_evals=2, patience_margin_share=0.01), p["rows"].pop(2)),
        "early_stop_is_honest",
    ),
    "converged without patience": (lambda p: p["run"].update(status="CONVERGED"), "early_stop_is_honest"),
    # M26: two evaluations of patience on a loss that still fell
    "converged while it fell": (
        lambda p: p["run"].update(status="CONVERGED", patience_evals=2, patience_margin_share=0.01),
        "early_stop_is_honest",
    ),
    "converged without row losses": (
        lambda p: (p["run"].update(status="CONVERGED", patience_evals=2), p["rows"].clear()),
        "early_stop_is_honest",
    ),
    "row losses of other evaluations": (
        lambda p: (p["run"].update(patience_evals=2), p["evals"][1].update(val_loss=0.9, train_eval_loss=0.8)),
        "early_stop_is_honest",
    ),
    # M63
    "the wrong device": (lambda p: p["run"].update(device_asked="cuda"), "device_is_as_asked"),
    # M80
    "a resume elsewhere": (
        lambda p: p["run"].update(parts=[part(0), part(40, machine="NVIDIA H200")]),
        "run_stayed_on_one_machine",
    ),
    "a line that a kill cut short": (
        lambda p: p["run"].update(notes=["steps.jsonl: the last line was cut short after 12 bytes and was dropped"]),
        "no_line_was_torn",
    ),
    "overfit": (overfit, "not_overfit"),
    "validation easier than what was trained on": (
        lambda p: p["evals"][-1].update(train_eval_loss=0.4),
        "no_sign_of_a_leak",
    ),
    "a score that swings": (lambda p: p["evals"][2].update(val_macro_f1=0.61), "scores_have_settled"),
    "a scarce label": (lambda p: p["run"]["label_counts"].update({"B-cedex": 29}), "data_was_enough"),
    "many passes": (lambda p: p["run"].update(train_rows=399), "data_was_enough"),
    # M27: twenty times more parameters than tokens
    "more parameters than pieces": (lambda p: p["run"].update(parameters=400_000), "data_was_enough"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_found_by_one_check(name: str) -> None:
    change, check = BROKEN[name]

    assert failing_checks(change) == [check]


UNSAID = {
    "step": ("rows_add_up", "passes_are_logged"),
    "effective_batch": ("rows_add_up", "run_is_reproducible"),
    "accumulation": ("passes_are_logged", "run_is_reproducible"),
    "processes": ("passes_are_logged",),
    "pool_batches": ("passes_are_logged",),
    "passes": ("passes_are_logged",),
    "schedule": ("rates_are_those_of_the_schedule",),
    "max_steps": ("rates_are_those_of_the_schedule",),
    "warmup_steps": ("rates_are_those_of_the_schedule",),
    "peak_lr": ("rates_are_those_of_the_schedule", "run_is_reproducible"),
    "batch_size": ("run_is_reproducible",),
    "precision": ("run_is_reproducible",),
    "machine": ("run_is_reproducible",),
    "seed": ("run_is_reproducible",),
    "digests": ("run_is_reproducible",),
    "device": ("device_is_as_asked",),
    "device_asked": ("device_is_as_asked",),
    "label_counts": ("data_was_enough",),
    "train_rows": ("data_was_enough",),
    "rows": ("data_was_enough",),
    "parameters": ("data_was_enough",),
    "tokens": ("data_was_enough",),
}


@pytest.mark.parametrize("fact", UNSAID)
def test_what_a_check_needs_and_run_json_does_not_say_is_its_finding(fact: str) -> None:
    p = parts()
    del p["run"][fact]
    found = {name: texts for name, check in {**BLOCKING, **WARNING}.items() if (texts := check(evidence(p)))}

    assert tuple(found) == UNSAID[fact]
    assert all(f"run.json does not say {fact}" in texts[0] or fact == "digests" for texts in found.values())


@pytest.mark.parametrize("column", ["rows", "pass"])
def test_what_a_check_needs_and_the_steps_do_not_say_is_its_finding(column: str) -> None:
    p = parts()
    for row in p["steps"]:
        del row[column]
    checks = {"rows": "rows_add_up", "pass": "passes_are_logged"}

    assert BLOCKING[checks[column]](evidence(p)) == [f"steps.jsonl has rows without {column}"]


def test_every_check_has_a_run_that_fails_it() -> None:
    assert {check for _, check in BROKEN.values()} == {*BLOCKING, *WARNING}


def test_a_resume_that_comes_out_the_same_and_a_seed_that_differs_are_fine() -> None:
    def other_seed(p: dict[str, Any]) -> None:
        p["discarded"] += [dict(p["steps"][30]), dict(p["steps"][31])]
        p["smoke"]["run"].update(seed=1)
        for row in p["smoke"]["steps"]:
            row["loss"] *= 1.01

    assert failing_checks(other_seed) == []


def test_a_smoke_of_another_precision_is_not_held_against_a_run() -> None:
    def elsewhere(p: dict[str, Any]) -> None:
        p["smoke"]["run"]["precision"] = "bf16"
        p["smoke"]["steps"][3]["loss"] = 0.51

    assert failing_checks(elsewhere) == []


def test_another_card_by_its_number_is_the_device_that_was_asked_for() -> None:
    assert failing_checks(lambda p: p["run"].update(device="cuda", device_asked="cuda:1")) == []


OTHERS = {
    "another machine": {"machine": "NVIDIA H200", "device": "cuda"},
    "another processor": {"machine": "x86_64 AVX512"},
    "two processes": {"ranks": 2},
    "another precision": {"precision": "bf16"},
    "another compiler": {"compiled_by": "g++ 12.2.0"},
    "another torch": {"torch": "2.13"},
}


def resumed(p: dict[str, Any], *, factor: float, distance: int = 10, **kind: Any) -> None:
    """The run went on at step 40, after a kill at step 99: what was trained again came out `factor` as large."""
    p["run"]["parts"] = [part(0), part(40, **kind)]
    for row in p["steps"]:
        row["part"] = int(row["step"] > 40)
    row = p["steps"][40 + distance - 1]
    p["discarded"].append({**row, "part": 0, "loss": row["loss"] * factor})


@pytest.mark.parametrize("name", OTHERS)
def test_what_a_resume_elsewhere_may_differ_by_is_a_thousandth(name: str) -> None:
    # M80: an honest run was condemned after it was paid for, because it was resumed on a faster machine.
    assert failing_checks(lambda p: resumed(p, factor=1 + 9e-4, **OTHERS[name])) == ["run_stayed_on_one_machine"]
    assert "resume_is_exact" in failing_checks(lambda p: resumed(p, factor=1 + 2e-3, **OTHERS[name]))


def test_what_a_resume_here_may_differ_by_is_a_millionth() -> None:
    assert failing_checks(lambda p: resumed(p, factor=1 + 9e-7)) == []
    assert failing_checks(lambda p: resumed(p, factor=1 + 2e-6)) == ["resume_is_exact"]


def test_rounding_grows_so_a_resume_elsewhere_is_held_to_its_first_steps_and_one_here_to_all() -> None:
    # M80: two kinds of processor from one checkpoint are a thousandth apart after forty steps, honestly.
    elsewhere = OTHERS["another processor"]

    assert failing_checks(lambda p: resumed(p, factor=1.05, distance=20, **elsewhere)) == [
        "resume_is_exact",
        "run_stayed_on_one_machine",
    ]
    assert failing_checks(lambda p: resumed(p, factor=1.05, distance=21, **elsewhere)) == ["run_stayed_on_one_machine"]
    assert failing_checks(lambda p: resumed(p, factor=1.05, distance=21)) == ["resume_is_exact"]


@pytest.mark.parametrize("written", ["A100", [7], [{"machine": "A100"}], [{"from_step": "0"}], [{"from_step": -1}]])
def test_parts_that_are_none_are_refused_and_those_that_nobody_wrote_are_one(written: Any) -> None:
    assert [found.from_step for found in parts_of({"machine": "A100"})] == [0]
    with pytest.raises(ArtifactError, match=r"run\.json: parts\S* is .*\. Repair it, or remove it\."):
        parts_of({"parts": written})


def test_dropout_that_is_drawn_otherwise_makes_losses_incomparable_and_rows_not() -> None:
    # M80: a GPU drops others than a CPU from the same seed, so an honest resume on it is percents off.
    h200 = {**OTHERS["another machine"], "dropout_drawn_by": "NVIDIA H200"}

    assert failing_checks(lambda p: resumed(p, factor=1.05, **h200)) == ["run_stayed_on_one_machine"]
    assert failing_checks(lambda p: (resumed(p, factor=1.05, **h200), p["discarded"][0].update(rows=8))) == [
        "resume_is_exact",
        "run_stayed_on_one_machine",
    ]

    def of_smoke(p: dict[str, Any]) -> None:
        p["smoke"]["run"]["parts"] = [part(0, **h200)]
        p["smoke"]["steps"][3]["loss"] *= 1.05

    assert failing_checks(of_smoke) == []


def test_other_rows_after_a_resume_are_found_wherever_it_went_on() -> None:
    # M36 beside M80: rounding excuses no row
    def other_rows(p: dict[str, Any]) -> None:
        resumed(p, factor=1.0, distance=50, **OTHERS["another machine"])
        p["discarded"][0]["row_hash"] = "00ff"

    assert failing_checks(other_rows) == ["resume_is_exact", "run_stayed_on_one_machine"]


def test_a_part_between_two_of_one_kind_counts_too() -> None:
    # Steps 41 to 45 were trained elsewhere, and the steps after them stand on these.
    def there_and_back(p: dict[str, Any]) -> None:
        resumed(p, factor=1 + 9e-4)
        p["run"]["parts"] = [part(0), part(40, machine="x86_64 AVX512"), part(45)]
        for row in p["steps"][45:]:
            row["part"] = 2

    assert failing_checks(there_and_back) == ["run_stayed_on_one_machine"]


def test_the_remark_names_where_the_run_went_on_and_what_was_other() -> None:
    p = parts()
    resumed(p, factor=1.0, ranks=2, machine="NVIDIA H200")
    p["run"]["parts"].append({**p["run"]["parts"][1], "from_step": 60})  # again, and on the same

    assert WARNING["run_stayed_on_one_machine"](evidence(p)) == [
        "the run was resumed at step 40 under another machine: x86_64 AVX2, NVIDIA H200; ranks: 1, 2: the same to "
        "within 1e-3"
    ]


@pytest.mark.parametrize(
    ("full", "smoke"),
    [
        ([part(0, machine="NVIDIA H200"), part(60)], [part(0)]),  # its first steps were trained elsewhere
        ([part(0)], [part(0, ranks=2)]),
        ([part(0)], [part(0), part(1, machine="NVIDIA H200")]),
    ],
)
def test_a_smoke_of_another_machine_is_held_against_a_run_to_a_thousandth(full: Any, smoke: Any) -> None:
    # M80
    def elsewhere(p: dict[str, Any], *, factor: float) -> None:
        p["run"]["parts"], p["smoke"]["run"]["parts"] = full, smoke
        p["smoke"]["steps"][3]["loss"] *= factor

    assert "run_is_reproducible" not in failing_checks(lambda p: elsewhere(p, factor=1 + 9e-4))
    assert "run_is_reproducible" in failing_checks(lambda p: elsewhere(p, factor=1 + 2e-3))


def test_a_resume_elsewhere_changes_nothing_about_the_steps_before_it() -> None:
    def later(p: dict[str, Any]) -> None:
        p["run"]["parts"].append(part(4, machine="NVIDIA H200"))
        p["smoke"]["steps"][3]["loss"] *= 1 + 2e-6

    assert failing_checks(later) == ["run_is_reproducible", "run_stayed_on_one_machine"]


def stopped(means: list[float], *, evals: int = 3, rows: int = ROWS, noise: float = 0.01) -> int | None:
    found = [EvaluatedRows(i + 1, losses(mean, seed=i, rows=rows, noise=noise)) for i, mean in enumerate(means)]
    end = converged_at(found, Patience(evals=evals, margin_share=0.01))
    return None if end is None else end[0]


def test_a_loss_that_stands_still_ends_the_run_after_its_patience() -> None:
    assert stopped([1.0, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4]) == 6


def test_a_loss_that_falls_slowly_but_surely_never_ends_the_run() -> None:
    assert stopped([0.5 * 0.99**i for i in range(20)]) is None


def test_too_few_rows_to_tell_never_end_the_run() -> None:
    # M26: two batches of validation rows, whose noise hides what the run still gains.
    assert stopped([0.4] * 20, rows=20, noise=0.2) is None
    assert stopped([0.4] * 20, rows=100_000, noise=0.2) == 4


def test_an_honest_early_stop_is_replayed_to_the_same_step() -> None:
    p = parts([1.0, 0.4, 0.4, 0.4], status="CONVERGED", step=80, patience_evals=2, patience_margin_share=0.01)

    assert BLOCKING["early_stop_is_honest"](evidence(p)) == []
    p["run"]["step"] = 60
    assert BLOCKING["early_stop_is_honest"](evidence(p)) == ["the run converged at step 60, a replay: 80"]


def test_a_run_that_went_on_after_it_had_converged_is_found() -> None:
    p = parts([1.0, 0.4, 0.4, 0.4, 0.4], patience_evals=2, patience_margin_share=0.01)

    assert BLOCKING["early_stop_is_honest"](evidence(p)) == ["the run did not converge, a replay: 80"]


def test_the_standard_error_of_the_mean_is_that_of_many_samples() -> None:
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(400):
        pieces = rng.integers(2, 30, 300)
        found = RowLosses(pieces * rng.gamma(2.0, 0.2, 300), pieces)
        means.append(found.mean)
        errors.append(found.standard_error)

    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_a_gain_is_paired_row_by_row() -> None:
    before = RowLosses(np.array([10.0, 20.0, 30.0]), np.array([10, 10, 10]))
    after = replace(before, nats=before.nats - np.array([1.0, 1.0, 1.0]))
    gain = after.gain_over(before)

    assert (gain.nats, gain.standard_error) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-12))
    assert gain.is_better and not gain.is_worse and before.gain_over(after).is_worse
    assert math.isinf(RowLosses(np.array([1.0]), np.array([2])).standard_error)
