"""A compiled network is the network to within rounding: what a run promises without a compiler it promises with one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config
from safetensors.torch import load_file
from torch._dynamo.utils import counters
from torch._inductor.utils import fresh_cache
from toy_run import Toy, measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.errors import RecipeError
from mw_pipeline.model.encoder import Encoder
from mw_pipeline.recipe import ModelConfig, Recipe
from mw_pipeline.train import compilation
from mw_pipeline.train.compilation import CompiledEncoder, compiler_of, demand_compiler
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.recomputation import SAME_MACHINE, recompute
from mw_pipeline.verdict.parts import parts_of

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, as it loads inductor
torch.set_num_threads(1)
CPU = torch.device("cpu")
ROWS, VOCABULARY = 12, 50  # as many rows as a graph is made of words
TRACED = {"backend": "aot_eager"}
SMALL = {"width": 16, "layers": 1, "heads": 2, "feed_forward": 16}
compiles = pytest.mark.skipif(compiler_of(CPU) is None, reason="no C++ compiler")


def encoder_of() -> Encoder:
    torch.manual_seed(0)
    return Encoder(ModelConfig(**SMALL, dropout=0.0), VOCABULARY, 5).train()


def made(encoder: Encoder) -> CompiledEncoder:
    compiled = CompiledEncoder(encoder)
    compiled.make(ROWS, nullcontext(), reads_words=True)
    return compiled


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts of graphs and of breaks in them since the test began; they are traced alone."""
    monkeypatch.setattr(compilation, "COMPILER", TRACED)
    torch._dynamo.reset()
    counters.clear()
    return counters


def test_batches_of_every_width_share_one_graph_without_a_break(graphs: Any) -> None:
    encoder = encoder_of()
    compiled = made(encoder)

    for pieces, words, padded in ((24, 12, True), (12, 12, True), (7, 7, False), (40, 3, True), (2, 2, False)):
        ids = torch.randint(4, VOCABULARY, (ROWS, pieces))
        mask = (torch.arange(pieces) < torch.randint(2, pieces + 1, (ROWS, 1))) if padded else None
        torch.testing.assert_close(compiled(ids, mask, words), encoder(ids, mask, words))

    assert graphs["stats"]["unique_graphs"] == 1 and not graphs["graph_break"]


def test_a_batch_that_fits_no_graph_goes_through_the_network_as_it_is(graphs: Any) -> None:
    # A graph that is made of whatever comes would be another one in a run that is resumed.
    encoder = encoder_of()
    compiled = made(encoder)

    for rows_of_it, pieces, words in ((ROWS, 1, 1), (ROWS, 3, 1), (ROWS + 1, 9, 5), (ROWS, 9, None)):
        ids = torch.randint(4, VOCABULARY, (rows_of_it, pieces))
        assert torch.equal(compiled(ids, None, words), encoder(ids, torch.ones_like(ids, dtype=torch.bool), words))

    assert graphs["stats"]["unique_graphs"] == 1


@pytest.mark.slow
def test_a_process_that_trains_many_networks_has_a_graph_for_each(graphs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "COMPILER", {"backend": "eager"})
    several = torch._dynamo.config.recompile_limit + 2
    kept = [made(encoder_of()) for _ in range(several)]

    assert graphs["stats"]["unique_graphs"] == len(kept)


def recipe_of(**train: Any) -> Recipe:
    # Two threads: a graph could add up in whatever order they come by.
    changes = {"steps": 30, "eval_every": 10, "checkpoint_every": 5, "warmup_steps": 3, "threads": 2, **train}
    return toy_recipe(train=changes, model=SMALL, smoke={"steps": 30, "eval_every": 10})


def compiled_plan(toy: Toy, out: Path) -> RunPlan:
    return toy_plan(toy, out, kind="smoke", recipe=recipe_of(compile=True))


@pytest.fixture(scope="module")
def whole(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPlan, list[dict[str, Any]]]:
    """A compiled smoke from start to end: plan and events."""
    plan, events = compiled_plan(toy, tmp_path_factory.mktemp("compiled")), list[dict[str, Any]]()
    train(plan, on_event=events.append)
    return plan, events


@compiles
@pytest.mark.slow
def test_a_compiled_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    toy: Toy, tmp_path: Path, whole: tuple[RunPlan, list[dict[str, Any]]]
) -> None:
    plan = compiled_plan(toy, tmp_path)
    for step in (1, 2):
        assert train(replace(plan, max_wall_seconds=0.0, in_parts=True)).step == step

    assert train(plan).resumed_from_step == 2

    assert weights(plan.out) == weights(whole[0].out)
    for name in ("steps.jsonl", "evals.jsonl", "first_steps.jsonl"):
        assert measured(plan.out / name) == measured(whole[0].out / name)


@compiles
@pytest.mark.slow
def test_a_compiled_run_has_losses_dropout_and_names_of_weights_of_one_that_is_not(
    toy: Toy, tmp_path: Path, whole: tuple[RunPlan, list[dict[str, Any]]]
) -> None:
    train(toy_plan(toy, tmp_path, kind="smoke", recipe=recipe_of()))

    ours, theirs = ([row["loss"] for row in rows(out / "first_steps.jsonl")] for out in (whole[0].out, tmp_path))
    assert ours == pytest.approx(theirs, rel=1e-4) and len(ours) == 20
    assert weights(whole[0].out) != weights(tmp_path), "something was compiled"
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert load_file(whole[0].out / "last" / name).keys() == load_file(tmp_path / "last" / name).keys()


@compiles
@pytest.mark.slow
def test_a_compiled_smoke_comes_out_again_as_exactly_as_any_and_as_another_machines_under_another_compiler(
    toy: Toy, whole: tuple[RunPlan, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, events = whole
    run = json.loads((plan.out / "run.json").read_text())
    assert run["compile"] is True and run["compiled_by"] == compiler_of(CPU)
    assert [part.kind["compiled_by"] for part in parts_of(run)] == [compiler_of(CPU)]
    assert [event["event"] for event in events[:2]] == ["started", "compiled"]

    assert recompute(plan, CPU)["tolerance_losses"] == SAME_MACHINE.losses
    monkeypatch.setattr("mw_pipeline.train.recomputation.compiler_of", lambda device: "g++ 4.8")
    assert recompute(plan, CPU)["tolerance_losses"] > SAME_MACHINE.losses


@contextmanager
def with_compiler(name: str) -> Iterator[None]:
    """As with this compiler in CXX."""
    compiler_of.cache_clear()
    try:
        with torch._inductor.config.patch({"cpp.cxx": (None, name)}):
            yield
    finally:
        compiler_of.cache_clear()


def test_where_there_is_no_compiler_a_run_that_asks_for_one_is_refused_before_any_work(
    toy: Toy, tmp_path: Path
) -> None:
    plan = compiled_plan(toy, tmp_path / "run")

    sentence = r"^train.compile is true and torch finds no C\+\+ compiler .* set train.compile = false.$"
    with with_compiler("no-such-compiler"), pytest.raises(RecipeError, match=sentence):
        train(plan)
    assert not plan.out.exists()


def test_where_there_is_no_triton_a_gpu_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compiler_of", compiler_of.__wrapped__)
    monkeypatch.setattr(compilation.util, "find_spec", lambda name: None)

    with pytest.raises(RecipeError, match=r"^train.compile is true and torch finds no triton here. Install"):
        demand_compiler(torch.device("cuda", 0))


@pytest.mark.slow
def test_a_compiler_that_does_not_work_is_said_before_the_first_step(tmp_path: Path) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken 1.0 && exit\nexit 1\n')
    broken.chmod(0o755)

    sentence = r"^train.compile is true and the network could not be compiled \(.*compile.*\). Repair the compiler, or"
    with with_compiler(str(broken)), fresh_cache(), pytest.raises(RecipeError, match=sentence):
        made(encoder_of())


def test_whether_a_recipe_compiles_is_yes_or_no_and_no_unless_it_says_so() -> None:
    assert toy_recipe().train.compile is False
    with pytest.raises(ValueError, match=re.escape("train.compile")):
        toy_recipe(train={"compile": "inductor"})
