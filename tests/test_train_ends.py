"""Runs that end before their last step: stopped, refused, interrupted or killed, and what goes on after them."""

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
from toy_run import Toy, measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.errors import ArtifactError, CorpusError, RecipeError
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.train.loop import Run, train
from mw_pipeline.train.processes import Processes
from mw_pipeline.train.step import StepOutcome, Stepper
from mw_pipeline.verdict.runlog import read_run


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
                self.tagger.encoder.head.bias[0] = torch.nan
        return take(self, step)

    monkeypatch.setattr(Stepper, "take", poisoned)
    result = train(toy_plan(toy, tmp_path))

    assert (result.status, result.step) == ("DIVERGED_NONFINITE", 33)
    assert result.finding is not None and result.finding["rule"] == "nonfinite"
    assert rows(tmp_path / "steps.jsonl")[-1]["step"] == 33
    assert load_checkpoint(tmp_path / "best").step == 20
    assert load_checkpoint(tmp_path / "last").step == 30


def test_a_gradient_that_is_not_finite_leaves_weights_untouched(toy, tmp_path):
    run = Run(toy_plan(toy, tmp_path), torch.device("cpu"), Processes(0, 1), lambda event: None)
    run.stepper.tagger.encoder.head.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in run.stepper.tagger.state_dict().items()}

    outcome = run.stepper.take(1)

    assert not outcome.finite and math.isfinite(outcome.loss)
    assert all(torch.equal(value, before[name]) for name, value in run.stepper.tagger.state_dict().items())
    assert not any(value.any() for value in run.stepper.optimizer_state().values())


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


def test_another_recipe_is_refused_in_a_folder_that_holds_a_run(unbroken, toy):
    plan = toy_plan(toy, unbroken[0].out, recipe=toy_recipe(train={"peak_lr": 1e-3}))

    with pytest.raises(ArtifactError, match=r"holds a run whose recipe is '.*', this one's is .*Choose another folder"):
        train(plan)


def test_a_run_goes_on_and_stays_what_it_is_when_gates_or_package_of_its_recipe_change(unbroken):
    plan, result, _ = unbroken
    gates = plan.recipe.eval.model_copy(update={"min_core_macro_f1": 0.123})
    changed = plan.recipe.model_copy(update={"eval": gates})
    assert changed.digest != plan.recipe.digest

    assert train(replace(plan, recipe=changed)) == result


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


def test_processes_that_cannot_share_a_step_evenly_are_refused(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(RecipeError, match=r"2 processes cannot share the 3 micro-batches .* of a step evenly"):
        train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"accumulation": 3})))


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
    for name in ("steps.jsonl", "evals.jsonl", "first_steps.jsonl"):
        assert measured(out / name) == measured(tmp_path / "unbroken" / name)
    assert sorted(p.name for p in out.iterdir()) == [
        *("best", "discarded.jsonl", "evals.jsonl", "first_steps.jsonl", "last"),
        *("row_losses.jsonl", "run.json", "steps.jsonl"),
    ]
