"""A step reads nothing back from its device: not on the CPU, where reads are counted, and not on one without values."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toy_run import measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.train import compilation
from mw_pipeline.train.loop import Run
from mw_pipeline.train.processes import Processes
from mw_pipeline.train.step import StepOutcome, Stepper

MUON: dict[str, Any] = {"train": {"optimizer": "muon"}, "model": {"positions": "pieces"}}
CHANGES: dict[str, dict[str, Any]] = {
    "weighted ce": {"loss": {"kind": "ce", "class_weights": {"B-street": 2.0}}},
    "crf": {"loss": {"kind": "crf"}},
    "ce+crf": {"loss": {"kind": "ce+crf"}, "train": {"accumulation": 2, "batch_size": 8}},
    "soft-span": {"loss": {"kind": "soft-span"}},
    "uncertainty": {"loss": {"kind": "uncertainty"}},
    "muon": MUON,
}
COMPILED: dict[str, dict[str, Any]] = {"compiled": {"train": {"compile": True}}}  # no operation of a graph is counted


class HostReads(TorchDispatchMode):
    """Counts the operations that hand a value of a tensor to Python."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default)
        return func(*args, **(kwargs or {}))


def run_of(toy, out, device: str = "cpu", **changes: dict[str, Any]) -> Run:
    train = {"log_every": 10, "eval_every": 30, "checkpoint_every": 30, "steps": 60, **changes.pop("train", {})}
    plan = toy_plan(toy, out, recipe=toy_recipe(train=train, **changes))
    out.mkdir(exist_ok=True)
    return Run(plan, torch.device(device), Processes(0, 1), lambda event: None)


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_read_back_between_two_rows_of_the_log(toy, tmp_path, name):
    run, reads = run_of(toy, tmp_path, **CHANGES[name]), []
    run.state.step = 20  # those before it are logged one by one

    for _ in range(10):
        with HostReads() as mode:
            run.advance()
        reads.append(mode.count)

    assert reads[:9] == [0] * 9
    assert reads[9] > 0  # an evaluation asks for numbers, so the counting counts
    assert [row["step"] for row in rows(tmp_path / "steps.jsonl")] == [30]


@pytest.mark.parametrize("name", CHANGES | COMPILED)
def test_steps_go_on_where_there_is_no_value_to_read_until_a_row_is_due(toy, tmp_path, monkeypatch, name):
    """The meta device knows shapes alone: whatever asks it for a value, or has a shape that follows from one, fails."""
    monkeypatch.setattr(Stepper, "_multiplying", lambda self: nullcontext())  # it has no autocast
    monkeypatch.setattr(compilation, "COMPILER", {"backend": "aot_eager"})  # nor kernels of any compiler
    run = run_of(toy, tmp_path, "meta", **(CHANGES | COMPILED)[name])
    for group in run.stepper.optimizer.param_groups:
        group["fused"] = False  # nor fused kernels, and the others take no condition
    monkeypatch.setattr(
        torch.optim.AdamW, "found_inf", property(lambda self: None, lambda self, _: None), raising=False
    )
    run.state.step = 20

    for _ in range(9):
        run.advance()
    assert run.state.taken == 29 and run.state.step == 20
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        run.advance()


@pytest.mark.parametrize(("changes", "first"), [({}, 1), ({}, 33), (MUON, 1), (MUON, 33)])
def test_a_run_ends_with_the_step_that_was_not_finite_though_it_reads_it_later(
    toy, tmp_path, monkeypatch, changes, first
):
    """Weights and optimizer are those before it, and the log is that of a run which reads every step."""
    take, before = Stepper.take, {}

    def poisoned(self: Stepper, step: int) -> StepOutcome:
        if step != first:
            return take(self, step)
        before.update({name: value.clone() for name, value in state_of(self).items()})
        hook = self.tagger.encoder.head.weight.register_hook(lambda gradient: gradient * torch.inf)
        outcome = take(self, step)
        hook.remove()
        return outcome

    monkeypatch.setattr(Stepper, "take", poisoned)
    late, soon = (
        run_of(toy, tmp_path / name, **{**changes, "train": {**changes.get("train", {}), "log_every": every}})
        for name, every in (("late", 10), ("soon", 1))
    )
    results = [run.go(threading.Event()) for run in (late, soon)]

    assert [(result.status, result.step) for result in results] == [("DIVERGED_NONFINITE", first)] * 2
    last = [measured(tmp_path / name / "steps.jsonl")[-1] for name in ("late", "soon")]
    assert last[0]["step"] == first and not last[0]["grad_norm"] < torch.inf
    assert last[0]["row_hash"] == last[1]["row_hash"] or first == 33  # of three steps here, of one there
    for name, value in state_of(late.stepper).items():
        assert torch.equal(value, before.get(name, torch.zeros_like(value))), name


def test_a_run_that_is_stopped_between_two_rows_goes_on_to_the_same_weights(toy, tmp_path, monkeypatch):
    take, stop = Stepper.take, threading.Event()

    def stopped(self: Stepper, step: int) -> StepOutcome:
        if step == 37 and not stop.is_set():
            stop.set()
        return take(self, step)

    whole = run_of(toy, tmp_path / "whole").go(threading.Event())
    monkeypatch.setattr(Stepper, "take", stopped)
    cut = run_of(toy, tmp_path / "cut").go(stop)
    rest = run_of(toy, tmp_path / "cut").go(threading.Event())

    assert (cut.status, cut.step, rest.resumed_from_step) == ("INTERRUPTED", 37, 37)
    assert weights(rest.out) == weights(whole.out)
    for name in ("steps.jsonl", "evals.jsonl", "first_steps.jsonl"):
        assert measured(rest.out / name) == measured(whole.out / name)


def state_of(stepper: Stepper) -> dict[str, torch.Tensor]:
    return {**stepper.tagger.state_dict(), **stepper.optimizer_state()}
