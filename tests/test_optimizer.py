"""What the optimizer decays and which part of it moves what, and that its state survives a round trip."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import optimizers
import pytest
import torch
from toy_run import toy_recipe
from waiting import wait_until

from mw_pipeline.labels import STAGE2
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.muon import Muon
from mw_pipeline.model.optimizer import (
    TaggerOptimizer,
    flat_state,
    halves,
    optimizer_of,
    restore_flat_state,
    step_unless,
)
from mw_pipeline.recipe import TrainConfig

RECIPE = toy_recipe()
MUON = RECIPE.train.model_copy(update={"optimizer": "muon"})


def tagger() -> Tagger:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Tagger(RECIPE.model, vocab_size=40, labels=STAGE2).eval()


def _step(model: Tagger, optimizer: TaggerOptimizer) -> None:
    ids = torch.arange(1, 7)[None]
    optimizer.zero_grad()
    model.crf(model.encoder(ids), torch.zeros_like(ids), None).sum().backward()
    optimizer.step()


def test_decay_falls_on_the_matrices_of_linear_layers_only():
    model = tagger()
    decayed, kept = optimizer_of(model, RECIPE.train).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    assert decayed["weight_decay"] == 0.01 and kept["weight_decay"] == 0.0
    assert {names[id(p)].rsplit(".", maxsplit=2)[-2] for p in decayed["params"]} == {
        "query_key_value",
        "output",
        "expand",
        "contract",
        "head",
    }
    assert all(names[id(p)].endswith(".weight") for p in decayed["params"])
    assert {"encoder.embedding.weight", "crf.transitions"} <= {names[id(p)] for p in kept["params"]}
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_frozen_parameters_are_left_out():
    model = tagger()
    model.crf.requires_grad_(False)

    chosen = [p for group in optimizer_of(model, RECIPE.train).param_groups for p in group["params"]]

    assert not any(p is model.crf.start for p in chosen)


def test_muon_moves_the_matrices_of_the_layers_and_adamw_the_rest():
    model = tagger()
    *adamw, first, second = optimizer_of(model, MUON).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    muons = [*first["params"], *second["params"]]
    for group in (first, second):
        assert group["adjust_lr_fn"] == "match_rms_adamw" and group["weight_decay"] == 0.01
    assert {names[id(p)].split(".", maxsplit=3)[-1] for p in muons} == {
        "attention.query_key_value.weight",
        "attention.output.weight",
        "expand.weight",
        "contract.weight",
    }
    assert len(muons) == 4 * RECIPE.model.layers
    assert sum(len(group["params"]) for group in adamw) + len(muons) == len(names)


def test_the_two_halves_of_muon_cost_about_the_same():
    matrices = [torch.nn.Parameter(torch.empty(s)) for s in [(384, 128), (128, 128), (512, 128), (128, 512)] * 3]

    first, second = (sum(min(m.shape) * m.numel() for m in half) for half in halves(matrices))

    assert abs(first - second) < 0.1 * first
    assert halves(matrices[:1]) == [matrices[:1]] and halves([]) == []


def test_a_step_on_two_threads_is_that_on_one_to_the_last_bit():
    """Parts step side by side there, each on a thread of its own, and so many are left as there were."""

    def trained(threads: int) -> dict[str, torch.Tensor]:
        model = tagger()
        optimizer = optimizer_of(model, MUON)
        torch.set_num_threads(threads)
        for _ in range(3):
            optimizer.zero_grad()
            for name, parameter in sorted(model.named_parameters()):
                parameter.grad = torch.linspace(-1, 1, parameter.numel()).view_as(parameter) * len(name)
            optimizer.step(halt=torch.zeros(()))
            assert torch.get_num_threads() == threads
        return model.state_dict()

    try:
        alone, beside = trained(1), trained(2)
    finally:
        torch.set_num_threads(1)

    assert all(torch.equal(value, beside[name]) for name, value in alone.items())
    assert not torch.equal(
        alone["encoder.layers.0.expand.weight"], tagger().state_dict()["encoder.layers.0.expand.weight"]
    )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_that_was_forked_off_between_two_steps_goes_on_with_a_thread_of_its_own(tmp_path: Path):
    """A fork takes the calling thread alone; a step that waited for the other one would never end."""
    model = tagger()
    optimizer = optimizer_of(model, MUON)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.set_num_threads(2)
    try:
        optimizer.step()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                optimizer.step()
                torch.save(model.state_dict(), tmp_path / "child.tmp")
                (tmp_path / "child.tmp").rename(tmp_path / "child.pt")
            os._exit(0)
        try:
            wait_until((tmp_path / "child.pt").is_file)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        optimizer.step()
    finally:
        torch.set_num_threads(1)

    of_child = torch.load(tmp_path / "child.pt")
    assert all(torch.equal(value, of_child[name]) for name, value in model.state_dict().items())


def test_what_goes_wrong_on_the_other_thread_ends_the_step():
    model = tagger()
    optimizer = optimizer_of(model, MUON)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    last = optimizer.param_groups[-1]["params"][0]
    last.grad = torch.zeros_like(last).to_sparse()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="Sparse"):
            optimizer.step()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_step_that_goes_wrong_ends_when_no_thread_moves_anything_any_more(monkeypatch: pytest.MonkeyPatch):
    model = tagger()
    optimizer = optimizer_of(model, MUON)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    last = optimizer.param_groups[-1]["params"][0]
    failed, muon = threading.Event(), Muon.step

    def adamw_fails(self: torch.optim.AdamW) -> None:
        failed.set()
        raise RuntimeError("out of luck")

    def late(self: Muon) -> None:
        assert failed.wait(30)
        time.sleep(0.2)
        muon(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", adamw_fails)
    monkeypatch.setattr(Muon, "step", late)
    before = last.detach().clone()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="out of luck"):
            optimizer.step()
    finally:
        torch.set_num_threads(1)

    assert not torch.equal(last, before)


def test_the_benchmark_of_its_threads_times_each_way_and_compares_with_one_thread():
    found = optimizers.step_times(RECIPE)

    times, shares = found["milliseconds"], found["of_one_thread"]
    assert (
        times.keys() == {"one_thread", "two_in_each_product", "side_by_side", "torchs_own"} and min(times.values()) > 0
    )
    assert shares == {name: round(times[name] / times["one_thread"], 3) for name in times.keys() - {"one_thread"}}


@pytest.mark.parametrize("config", [RECIPE.train, MUON], ids=["adamw", "muon"])
def test_a_restored_optimizer_goes_on_as_the_first_would_have(config: TrainConfig):
    first, second = tagger(), tagger()
    ahead, behind = optimizer_of(first, config), optimizer_of(second, config)
    _step(first, ahead)
    second.load_state_dict(first.state_dict())
    kept = flat_state(ahead, first)
    restore_flat_state(behind, second, {name: value.clone() for name, value in kept.items()})

    _step(first, ahead)
    _step(second, behind)

    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert {"exp_avg.crf.start", "exp_avg_sq.crf.start", "step.crf.start"} <= set(kept)
    assert {value.dtype for value in kept.values()} == {torch.float32}


@pytest.mark.parametrize("former_steps", [0, 2])
def test_a_step_that_is_decided_on_the_device_is_a_plain_one_or_none(former_steps):
    """What a GPU does of Muon, whose kernels know no condition; on the CPU it can be called by itself."""
    matrix, gradient = torch.randn(4, 6), torch.randn(4, 6)

    def moved(halt: float | None, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        parameter = torch.nn.Parameter(matrix.clone())
        muon = Muon([parameter], lr=0.1, weight_decay=0.1)
        for _ in range(former_steps):
            parameter.grad = torch.ones_like(parameter)
            muon.step()
        parameter.grad = gradient.clone()
        if halt is None:
            return parameter.detach().clone(), muon.state[parameter].get("momentum_buffer", torch.zeros(4, 6))
        step_unless(torch.tensor(halt), muon)
        return parameter.detach(), muon.state[parameter]["momentum_buffer"]

    untouched, halted = moved(None, gradient), moved(1.0, gradient * torch.nan)
    assert all(torch.equal(a, b) for a, b in zip(untouched, halted, strict=True))
    plain = torch.nn.Parameter(untouched[0])
    muon = Muon([plain], lr=0.1, weight_decay=0.1)
    muon.state[plain]["momentum_buffer"] = untouched[1]
    plain.grad = gradient.clone()
    muon.step()
    parameter, momentum = moved(0.0, gradient)
    assert torch.equal(parameter, plain) and torch.equal(momentum, muon.state[plain]["momentum_buffer"])
    assert not torch.equal(parameter, matrix)
