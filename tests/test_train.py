"""Training runs on a toy corpus: they learn, say what they did, stop when they must, and resume bit for bit."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import Toy, build_toy, toy_plan, toy_recipe

import mw_pipeline.train.loop
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError, CorpusError, RecipeError
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan, RunResult
from mw_pipeline.train.step import StepOutcome, Stepper
from mw_pipeline.verdict.runlog import read_run

STEP_KEYS = ["step", "pass", "lr", "loss", "ce", "crf", "grad_norm", "tokens", "tokens_per_second", "wall_seconds"]
EVAL_KEYS = ["step", "val_loss", "val_macro_f1", "f1", "val_ce", "val_crf", "pieces", "seconds"]
RUN_KEYS = {
    *("kind", "schedule", "max_steps", "warmup_steps", "peak_lr", "device", "status", "started_at", "ended_at"),
    *("batch_size", "accumulation", "processes", "effective_batch", "label_count", "label_entropy", "digests"),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return build_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def unbroken(toy, tmp_path_factory) -> tuple[RunPlan, RunResult, list[dict[str, Any]]]:
    """One run from start to end: plan, result and events."""
    plan = toy_plan(toy, tmp_path_factory.mktemp("unbroken"))
    events: list[dict[str, Any]] = []
    return plan, train(plan, on_event=events.append), events


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def measured(path: Path) -> list[dict[str, Any]]:
    """The rows of a log without what the clock says."""
    clocks = {"wall_seconds", "tokens_per_second", "seconds"}
    return [{key: value for key, value in row.items() if key not in clocks} for row in rows(path)]


def weights(out: Path, name: str = "last") -> str:
    return sha256_file(out / name / "model.safetensors")


# --- what a run leaves behind


def test_a_tiny_model_learns_the_toy_corpus_in_seconds(toy, tmp_path):
    result = train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"steps": 150})))

    assert result.status == "COMPLETED" and result.step == 150
    assert result.best_val_macro_f1 is not None and result.best_val_macro_f1 > 0.95


def test_logs_and_run_json_hold_every_promised_key(unbroken):
    plan, result, _ = unbroken
    steps, evals = rows(plan.out / "steps.jsonl"), rows(plan.out / "evals.jsonl")
    run = json.loads((plan.out / "run.json").read_text())

    assert [row["step"] for row in steps] == list(range(1, 61))
    assert all(list(row) == STEP_KEYS for row in steps)
    assert [row["step"] for row in evals] == [20, 40, 60]
    assert all(list(row) == EVAL_KEYS for row in evals)
    assert set(run) >= RUN_KEYS
    assert run["status"] == result.status == "COMPLETED"
    assert run["effective_batch"] == 16 and run["label_count"] == 21 and run["kind"] == "full"
    assert {"recipe", "data", "tokenizer", "labels", "code", "loss", "model", "mix"} <= set(run["digests"])
    assert run["started_at"] <= run["ended_at"]


def test_the_log_reads_as_a_run(unbroken):
    plan, _, _ = unbroken

    log = read_run(plan.out)

    assert len(log.steps) == 60 and len(log.evals) == 3 and log.notes == ()


def test_tokens_of_the_rows_add_up_to_those_of_the_run(toy, tmp_path):
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"steps": 25, "log_every": 10})))

    steps = rows(tmp_path / "steps.jsonl")
    assert [row["step"] for row in steps] == [10, 20, 25]
    assert sum(row["tokens"] for row in steps) == json.loads((tmp_path / "run.json").read_text())["tokens"]


def test_the_logged_rate_is_that_of_the_step(unbroken):
    plan, _, _ = unbroken

    for row in rows(plan.out / "steps.jsonl"):
        step, peak = row["step"], 5e-3
        expected = peak * step / 10 if step < 10 else peak * 0.5 * (1 + math.cos(math.pi * (step - 10) / 50))
        assert row["lr"] == pytest.approx(expected, abs=1e-12)


def test_best_is_the_evaluation_with_the_highest_macro_f1(unbroken):
    plan, result, _ = unbroken
    evals = rows(plan.out / "evals.jsonl")
    best = max(evals, key=lambda row: row["val_macro_f1"])

    assert (result.best_step, result.best_val_macro_f1) == (best["step"], best["val_macro_f1"])
    assert load_checkpoint(plan.out / "best", labels=STAGE2).step == best["step"]
    assert not (plan.out / "best" / "optimizer.safetensors").exists()
    assert load_checkpoint(plan.out / "last").step == 60


def test_validation_loss_is_the_likelihood_of_the_model_that_decodes(unbroken, toy, tmp_path):
    plan, _, _ = unbroken
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(loss={"kind": "ce"}, train={"steps": 20})))

    with_crf, without = rows(plan.out / "evals.jsonl")[-1], rows(tmp_path / "evals.jsonl")[-1]
    assert with_crf["val_loss"] == with_crf["val_crf"] and with_crf["val_crf"] < with_crf["val_ce"]
    assert without["val_loss"] == without["val_ce"] and without["val_crf"] is None


def test_a_run_without_crf_loss_leaves_the_crf_at_its_start(toy, tmp_path):
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(loss={"kind": "ce"}, train={"steps": 12})))

    crf = load_checkpoint(tmp_path / "last").crf
    assert not crf.transitions.any() and not crf.start.any()
    assert all(row["crf"] is None and row["ce"] == row["loss"] for row in rows(tmp_path / "steps.jsonl"))


def test_every_trainable_parameter_moves_and_stays_float32(toy, tmp_path):
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        recipe = toy_recipe(train={"steps": 12, "checkpoint_every": 1, "precision": precision})
        train(toy_plan(toy, out, recipe=recipe, max_wall_seconds=0.0))
        before = load_checkpoint(out / "last")
        assert before.step == 1
        train(toy_plan(toy, out, recipe=recipe))
        after = load_checkpoint(out / "last").tagger.state_dict()

        still = [name for name, value in before.tagger.state_dict().items() if torch.equal(value, after[name])]
        assert still == []
        assert {value.dtype for value in after.values()} == {torch.float32}
        assert {v.dtype for v in mw_pipeline.train.loop.load_optimizer_state(out / "last").values()} == {torch.float32}


def test_a_smoke_differs_in_length_schedule_and_evaluations_only(toy, tmp_path):
    train(toy_plan(toy, tmp_path, kind="smoke"))

    run, steps = json.loads((tmp_path / "run.json").read_text()), rows(tmp_path / "steps.jsonl")
    assert (run["kind"], run["max_steps"], run["schedule"], run["effective_batch"]) == ("smoke", 40, "constant", 16)
    assert [row["step"] for row in rows(tmp_path / "evals.jsonl")] == [10, 20, 30, 40]
    assert all(row["lr"] == 5e-3 for row in steps if row["step"] >= 10)


def test_smoke_and_full_run_take_the_same_first_step(unbroken, toy, tmp_path):
    train(toy_plan(toy, tmp_path, kind="smoke"))

    smoke, full = rows(tmp_path / "steps.jsonl")[0], rows(unbroken[0].out / "steps.jsonl")[0]
    assert (smoke["loss"], smoke["grad_norm"], smoke["tokens"]) == (full["loss"], full["grad_norm"], full["tokens"])


def test_another_seed_takes_another_course_and_the_same_seed_the_same(unbroken, toy, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    train(toy_plan(toy, again))
    train(toy_plan(toy, other, recipe=toy_recipe(train={"seed": 1})))

    assert measured(again / "steps.jsonl") == measured(unbroken[0].out / "steps.jsonl")
    assert weights(again) == weights(unbroken[0].out)
    assert rows(other / "steps.jsonl")[0]["loss"] != rows(again / "steps.jsonl")[0]["loss"]


def test_the_logged_loss_is_the_mean_over_the_accumulation_window(toy, tmp_path):
    """Two micro-batches of 8 are the rows of one batch of 16 only in number, so the sum is made by hand (M35)."""
    recipe = toy_recipe(
        model={"dropout": 0.0}, train={"steps": 1, "warmup_steps": 0, "batch_size": 8, "accumulation": 3}
    )
    plan = toy_plan(toy, tmp_path, recipe=recipe)
    run = mw_pipeline.train.loop._Run(
        plan, torch.device("cpu"), mw_pipeline.train.loop.Processes(0, 1), lambda event: None
    )
    ce = crf = pieces = 0.0
    with torch.no_grad():
        for index in range(3):
            ids, tags, mask = tensors_of(run.data.stream.batch(index), torch.device("cpu"))
            logits = run.tagger.encoder(ids, mask)
            real = torch.ones_like(tags, dtype=torch.bool) if mask is None else mask
            ce -= logits.log_softmax(2).gather(2, tags[:, :, None])[:, :, 0][real].sum().item()
            crf += run.tagger.crf(logits, tags, mask).sum().item()
            pieces += real.sum().item()

    train(plan)

    (row,) = rows(tmp_path / "steps.jsonl")
    assert row["ce"] == pytest.approx(ce / pieces, rel=1e-5)
    assert row["crf"] == pytest.approx(crf / 24, rel=1e-5)
    assert row["loss"] == pytest.approx(ce / pieces + 0.1 * crf / 24, rel=1e-5)
    assert row["tokens"] == pieces


# --- what people hear


def test_events_tell_start_preflight_progress_evaluations_and_end(unbroken):
    _, _, events = unbroken
    names = [event["event"] for event in events]

    assert names[0] == "started" and names[-1] == "ended"
    assert names.count("preflight") == 1 and names.count("evaluated") == 3 and "step" in names
    preflight = next(event for event in events if event["event"] == "preflight")
    assert preflight["steps_left"] == 50
    assert preflight["expected_seconds"] == pytest.approx(50 * preflight["seconds_per_step"])
    assert preflight["fits"]


def test_each_new_pass_over_a_source_is_told_once(unbroken):
    told = [event["pass"] for event in unbroken[2] if event["event"] == "pass"]

    assert told == sorted(set(told)) and told
    assert [row["pass"] for row in rows(unbroken[0].out / "steps.jsonl")][-1] == told[-1]


def test_the_preflight_says_when_the_limit_is_too_short(toy, tmp_path):
    events: list[dict[str, Any]] = []
    recipe = toy_recipe(train={"steps": 100_000})
    train(toy_plan(toy, tmp_path, recipe=recipe, max_wall_seconds=0.5), on_event=events.append)

    (preflight,) = [event for event in events if event["event"] == "preflight"]
    assert not preflight["fits"]


# --- runs that end early


def test_seconds_that_run_out_are_called_so_and_the_run_goes_on_later(unbroken, toy, tmp_path):
    cut = train(toy_plan(toy, tmp_path, max_wall_seconds=0.0))
    assert (cut.status, cut.step) == ("BUDGET_EXHAUSTED", 1)

    result = train(toy_plan(toy, tmp_path))

    assert (result.status, result.resumed_from_step) == ("COMPLETED", 1)
    assert weights(tmp_path) == weights(unbroken[0].out)
    assert measured(tmp_path / "steps.jsonl") == measured(unbroken[0].out / "steps.jsonl")
    assert measured(tmp_path / "evals.jsonl") == measured(unbroken[0].out / "evals.jsonl")
    assert json.loads((tmp_path / "run.json").read_text())["resumed_from_steps"] == [1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_the_run_as_interrupted(unbroken, toy, tmp_path, number):
    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "evaluated" and event["step"] == 20:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    result = train(toy_plan(toy, tmp_path), on_event=interrupt)

    assert (result.status, result.step) == ("INTERRUPTED", 20)
    assert signal.getsignal(number) is before
    assert train(toy_plan(toy, tmp_path)).resumed_from_step == 20
    assert weights(tmp_path) == weights(unbroken[0].out)


def test_a_loss_that_is_not_finite_stops_before_the_step_is_taken(toy, tmp_path, monkeypatch):
    take = Stepper.take

    def poisoned(self: Stepper, step: int) -> StepOutcome:
        if step == 33:
            with torch.no_grad():
                self._tagger.encoder.head.bias[0] = torch.nan
        return take(self, step)

    monkeypatch.setattr(Stepper, "take", poisoned)
    result = train(toy_plan(toy, tmp_path))

    assert (result.status, result.step) == ("DIVERGED_NONFINITE", 33)
    assert result.finding is not None and result.finding["rule"] == "nonfinite"
    assert rows(tmp_path / "steps.jsonl")[-1]["step"] == 33
    assert load_checkpoint(tmp_path / "best").step == 20
    assert load_checkpoint(tmp_path / "last").step == 30


def test_a_gradient_that_is_not_finite_leaves_weights_untouched(toy, tmp_path):
    run = mw_pipeline.train.loop._Run(
        toy_plan(toy, tmp_path), torch.device("cpu"), mw_pipeline.train.loop.Processes(0, 1), lambda event: None
    )
    run.tagger.encoder.head.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in run.tagger.state_dict().items()}

    outcome = run.stepper.take(1)

    assert not outcome.finite and math.isfinite(outcome.loss)
    assert all(torch.equal(value, before[name]) for name, value in run.tagger.state_dict().items())
    assert not run.optimizer.state


def test_a_rate_that_blows_the_loss_up_is_stopped_by_the_watchdog(toy, tmp_path):
    recipe = toy_recipe(train={"steps": 400, "warmup_steps": 100, "peak_lr": 3.0, "clip_norm": 1e6})

    result = train(toy_plan(toy, tmp_path, recipe=recipe))

    assert result.status == "DIVERGED" and result.step < 400
    assert result.finding is not None and result.finding["rule"] in ("rebound", "collapse")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["finding"] == result.finding
    assert load_checkpoint(tmp_path / "best").step == result.best_step


def test_a_run_that_has_ended_is_returned_as_it_is(unbroken):
    plan, result, _ = unbroken
    before = (plan.out / "run.json").read_bytes()

    assert train(plan) == result
    assert (plan.out / "run.json").read_bytes() == before


# --- runs that are refused


def test_another_recipe_is_refused_in_a_folder_that_holds_a_run(unbroken, toy):
    plan = toy_plan(toy, unbroken[0].out, recipe=toy_recipe(train={"peak_lr": 1e-3}))

    with pytest.raises(ArtifactError, match=r"holds a run whose recipe is '.*', this one's is .*Choose another folder"):
        train(plan)


def test_a_smoke_is_refused_in_the_folder_of_a_full_run(unbroken):
    with pytest.raises(ArtifactError, match=r"holds a run whose kind is 'full', this one's is 'smoke'"):
        train(replace(unbroken[0], kind="smoke"))


def test_a_dataset_of_another_label_set_is_refused(toy, tmp_path):
    recipe = toy_recipe().model_copy(update={"labels": 3})

    with pytest.raises(ArtifactError, match=r"was labelled with label set .*\(labels = 3\)"):
        train(toy_plan(toy, tmp_path, recipe=recipe))


def test_a_dataset_of_another_tokenizer_is_refused(toy, tmp_path):
    other = tmp_path / "other.model"
    other.write_bytes(toy.tokenizer.read_bytes() + b"\0")

    with pytest.raises(ArtifactError, match=r"was tokenized with .*Use the tokenizer that the dataset was built with"):
        train(toy_plan(toy, tmp_path / "out", tokenizer_path=other))


def test_a_device_that_is_not_there_is_refused_and_never_replaced(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(RecipeError, match=r"train.device is 'cuda' and torch finds no such device"):
        train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"device": "cuda"})))


def test_a_recipe_for_two_processes_is_refused_in_one(toy, tmp_path):
    with pytest.raises(RecipeError, match=r"train.processes is 2 and 1 were started"):
        train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"processes": 2})))


def test_an_exhausted_source_that_must_not_cycle_is_an_error_and_no_placeholder(toy, tmp_path):
    recipe = toy_recipe(mix={"cycle": False})

    with pytest.raises(CorpusError, match=r"source 'alpha' ran dry at sample"):
        train(toy_plan(toy, tmp_path, recipe=recipe))


def test_a_damaged_checkpoint_is_refused_and_not_trained_over(toy, tmp_path):
    train(toy_plan(toy, tmp_path, max_wall_seconds=0.0))
    path = tmp_path / "last" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ArtifactError, match=r"optimizer.safetensors: has \d+ bytes, checkpoint.json says"):
        train(toy_plan(toy, tmp_path))


def test_a_resume_path_without_a_run_is_refused(toy, tmp_path):
    with pytest.raises(ArtifactError, match="has no last, so there is no run to resume"):
        train(toy_plan(toy, tmp_path / "out", resume_from=tmp_path / "nothing"))


def test_a_run_is_resumed_from_another_folder_when_asked(unbroken, toy, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(toy_plan(toy, first, max_wall_seconds=0.0))

    result = train(toy_plan(toy, second, resume_from=first))

    assert result.resumed_from_step == 1
    assert weights(second) == weights(unbroken[0].out)
    with pytest.raises(ArtifactError, match=r"already holds a run, so .* cannot be resumed there"):
        train(toy_plan(toy, second, resume_from=first))


# --- kills


def _child(toy: Toy, out: Path, **changes: dict[str, Any]) -> subprocess.Popen[str]:
    request = {"dataset": str(toy.dataset), "tokenizer": str(toy.tokenizer), "out": str(out), "changes": changes}
    script = Path(__file__).with_name("toy_run.py")
    environment = os.environ | {"PYTHONPATH": str(script.parent.parent)}
    return subprocess.Popen(
        [sys.executable, str(script), json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def _wait_for_rows(out: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (out / "steps.jsonl").is_file() or (out / "steps.jsonl").read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_second_run_is_told_who_holds_the_folder(toy, tmp_path):
    child = _child(toy, tmp_path, train={"steps": 100_000})
    try:
        _wait_for_rows(tmp_path, 1)
        with pytest.raises(ArtifactError, match=rf"process {child.pid} on .* is training here"):
            train(toy_plan(toy, tmp_path))
    finally:
        child.kill()
        child.communicate()


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_with_the_weights_of_an_unbroken_one(toy, tmp_path):
    """SIGKILL after ever more steps; checkpoints are so frequent that many kills fall into a save."""
    changes = {"train": {"steps": 200, "checkpoint_every": 2, "eval_every": 25, "log_every": 3}}
    recipe = toy_recipe(**changes)
    train(toy_plan(toy, tmp_path / "unbroken", recipe=recipe))
    out, reached = tmp_path / "killed", []
    for count in (0, 1, 2, 3, 13, 25, 40, 54):
        child = _child(toy, out, **changes)
        _wait_for_rows(out, count)
        time.sleep(0.003 * (count % 5))
        child.kill()
        child.communicate()
        reached.append(len(read_run(out).steps) if (out / "steps.jsonl").is_file() else 0)

    result = train(toy_plan(toy, out, recipe=recipe))

    assert result.status == "COMPLETED" and result.resumed_from_step
    assert max(reached) >= 54
    for name in ("best", "last"):
        assert weights(out, name) == weights(tmp_path / "unbroken", name)
    for name in ("steps.jsonl", "evals.jsonl"):
        assert measured(out / name) == measured(tmp_path / "unbroken" / name)
    assert sorted(p.name for p in out.iterdir()) == ["best", "evals.jsonl", "last", "run.json", "steps.jsonl"]


def test_a_log_row_is_the_mean_over_all_pieces_since_the_row_before(toy: Toy, tmp_path: Path) -> None:
    each = train(toy_plan(toy, tmp_path / "each", recipe=toy_recipe(train={"steps": 20, "log_every": 1}))).out
    windows = train(toy_plan(toy, tmp_path / "windows", recipe=toy_recipe(train={"steps": 20, "log_every": 5}))).out
    steps, rows = (
        [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()] for out in (each, windows)
    )

    for index, row in enumerate(rows):
        window = steps[5 * index : 5 * index + 5]
        pieces = sum(step["tokens"] for step in window)
        assert row["tokens"] == pieces
        assert row["loss"] == pytest.approx(sum(step["loss"] * step["tokens"] for step in window) / pieces)
