"""Each check on a finished run is made to fail by one change to a sound run, and is silent on that run itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.verdict.early_stop import EvaluatedRows, Patience, converged_at
from mw_pipeline.verdict.run_checks import BLOCKING, WARNING, Evidence
from mw_pipeline.verdict.runlog import RunLog

STEPS, BATCH, ROWS = 100, 16, 400
Change = Callable[[dict[str, Any]], object]


def losses(mean: float, *, seed: int = 0, rows: int = ROWS, noise: float = 0.01) -> RowLosses:
    """Rows of ten pieces around a mean in nats per piece: the same rows are hard at every evaluation."""
    rng, own = np.random.default_rng(7), np.random.default_rng(seed)
    spread = rng.normal(0, 0.2, rows) + own.normal(0, noise, rows)
    nats = 10 * (mean + spread - spread.mean())
    return RowLosses(nats, np.full(rows, 10))


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
        **{"parameters": 1000, "tokens": 200 * STEPS, "digests": {"code": "c", "data": "d"}},
    }
    smoke = {"steps": [dict(row) for row in steps], "run": dict(facts)}
    return {"steps": steps, "evals": evals, "rows": found, "run": facts | run, "discarded": [], "smoke": smoke}


def evidence(p: dict[str, Any]) -> Evidence:
    smoke = RunLog(tuple(p["smoke"]["steps"]), (), p["smoke"]["run"])
    return Evidence(RunLog(tuple(p["steps"]), tuple(p["evals"]), p["run"]), p["rows"], p["discarded"], smoke)


def after(change: Change) -> list[str]:
    """The names of the checks that find something in the sound run after a change to it."""
    p = parts()
    change(p)
    return [name for name, check in {**BLOCKING, **WARNING}.items() if check(evidence(p))]


def test_a_sound_run_passes_every_check() -> None:
    assert after(lambda p: None) == []


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
    "a schedule that does not exist": (
        lambda p: p["run"].update(schedule="staircase"),
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

    assert after(change) == [check]


def test_every_check_has_a_run_that_fails_it() -> None:
    assert {check for _, check in BROKEN.values()} == {*BLOCKING, *WARNING}


def test_a_resume_that_comes_out_the_same_and_a_seed_that_differs_are_fine() -> None:
    def other_seed(p: dict[str, Any]) -> None:
        p["discarded"] += [dict(p["steps"][30]), dict(p["steps"][31])]
        p["smoke"]["run"].update(seed=1)
        for row in p["smoke"]["steps"]:
            row["loss"] *= 1.01

    assert after(other_seed) == []


def test_a_smoke_of_another_machine_is_not_held_against_a_run() -> None:
    def elsewhere(p: dict[str, Any]) -> None:
        p["smoke"]["run"]["machine"] = "aarch64 DEFAULT"
        p["smoke"]["steps"][3]["loss"] = 0.51

    assert after(elsewhere) == []


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
