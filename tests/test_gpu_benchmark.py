"""The benchmark for a GPU: what it says without one, and its two loops, which a CPU runs as well."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu import BareLoop, in_turns, opened, pieces_of
from toy_run import toy_plan, toy_recipe


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_that_is_no_failure(project: Path):
    child = subprocess.run(
        [sys.executable, "benchmarks/gpu.py"], cwd=project, capture_output=True, text=True, timeout=120
    )

    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == {"gpu": "no GPU"}


def test_the_bare_loop_moves_the_weights_as_the_trainer_does(toy, tmp_path):
    """Else their times would be of different work."""
    recipe = toy_recipe(model={"dropout": 0.0}, train={"schedule": "constant", "warmup_steps": 0, "eval_every": 60})
    plan, cpu = toy_plan(toy, tmp_path, recipe=recipe), torch.device("cpu")
    run, other = opened(plan, cpu), opened(plan, cpu)
    bare, before = BareLoop(other, cpu, batches=28), pieces_of(run)

    pieces = sum(bare.step(number) for number in range(20, 28))
    for _ in range(8):
        run.advance()

    assert pieces_of(run) - before == pieces
    there = other.stepper.tagger.state_dict()
    assert all(torch.equal(value, there[name]) for name, value in run.stepper.tagger.state_dict().items())
    assert min(in_turns(run, bare, turns=2, steps=1, finish=lambda: None).values()) > 0
