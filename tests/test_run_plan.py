"""What smoke and full runs are asked to do."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from toy_run import toy_recipe

from mw_pipeline.train.plan import Course, RunPlan


def course(kind: str, **changes) -> Course:
    path = Path("unused")
    return RunPlan(kind, toy_recipe(**changes), path, path, path).course  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "steps", "schedule"), [("constant", 40, "constant"), ("long-tail", 10_000, "cosine")])
def test_a_smoke_holds_its_rate_or_runs_a_long_cosine(mode, steps, schedule):
    found = course("smoke", smoke={"mode": mode, "steps": steps})

    assert (found.schedule, found.steps, found.cooldown_from) == (schedule, steps, None)


def test_a_smoke_has_the_batch_of_the_full_run_unless_told_otherwise():
    train = {"batch_size": 16, "accumulation": 8}

    assert course("smoke", train=train).effective_batch == course("full", train=train).effective_batch == 128
    assert course("smoke", train=train, smoke={"batch_size": 8, "accumulation": 1}).effective_batch == 8


def test_the_rate_is_a_function_of_the_step_without_jumps():
    found = course("full", train={"steps": 3000, "warmup_steps": 1000, "peak_lr": 1.0})
    rates = [found.lr(step) for step in range(1, 3001)]

    assert found.lr(2250) == pytest.approx(0.3087, abs=1e-4)
    assert max(abs(after - before) for before, after in itertools.pairwise(rates)) <= 0.001 + 1e-9


def test_over_steps_and_processes_every_batch_comes_once():
    found = course("full", train={"processes": 2, "accumulation": 3})

    indices = [index for step in (1, 2) for rank in (0, 1) for index in found.micro_batches(step, rank=rank, ranks=2)]

    assert indices == list(range(12))


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_any_number_of_ranks_that_divides_a_step_shares_the_same_batches(ranks):
    found = course("full", train={"processes": 2, "accumulation": 3})

    shared = [index for rank in range(ranks) for index in found.micro_batches(5, rank=rank, ranks=ranks)]

    assert shared == list(range(24, 30))
