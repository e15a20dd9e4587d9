"""The precision of a run is the one that its recipe names, or the one that the machine is made for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from tiny_project import edit_json
from toy_run import Toy, toy_plan, toy_recipe

from mw_pipeline.errors import ArtifactError, GateError, RecipeError
from mw_pipeline.model.precision import precision_as_asked
from mw_pipeline.train.fixed_facts import other_parts
from mw_pipeline.train.loop import train
from mw_pipeline.train.processes import Processes
from mw_pipeline.train.recomputation import recompute

CPU = torch.device("cpu")
AUTO = {"precision": "auto"}
BEGAN_ELSEWHERE = r"the run began in 'bf16', and train\.precision 'auto' is 'fp32' here\. Go on"


def processor(monkeypatch: pytest.MonkeyPatch, **instructions: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, **instructions})


@pytest.mark.parametrize(
    ("instructions", "found"),
    [
        ({}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"bf16": True}, "bf16"),
    ],
)
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(monkeypatch, instructions, found):
    processor(monkeypatch, **instructions)

    assert precision_as_asked("auto", CPU) == found
    assert precision_as_asked("fp32", CPU) == "fp32" and precision_as_asked("bf16", CPU) == "bf16"


@pytest.mark.parametrize(
    ("own", "others", "found"), [((9, 0), (7, 0), "bf16"), ((8, 0), (7, 0), "bf16"), ((7, 5), (9, 0), "fp32")]
)
def test_auto_on_a_gpu_is_what_that_one_can_do_without_emulation(monkeypatch, own, others, found):
    processor(monkeypatch, avx512_bf16=found == "fp32")
    cards = {"cuda:1": own, "cuda:0": others}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: cards[str(device)])

    assert precision_as_asked("auto", torch.device("cuda", 1)) == found


def test_auto_on_a_gpu_of_amd_is_bf16_whatever_its_capability_is_called(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")

    assert precision_as_asked("auto", torch.device("cuda", 0)) == "bf16"


@pytest.mark.parametrize(("instructions", "found"), [({}, "fp32"), ({"avx512_bf16": True}, "bf16")])
def test_a_run_says_what_was_asked_and_what_it_trained_in(toy: Toy, tmp_path, monkeypatch, instructions, found):
    processor(monkeypatch, **instructions)
    plan = toy_plan(toy, tmp_path, recipe=toy_recipe(train={**AUTO, "steps": 20}))

    train(plan)

    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["precision_asked"], run["precision"]) == ("auto", found)
    assert [part["precision"] for part in run["parts"]] == [found]


def test_a_part_that_claims_another_precision_than_its_run_is_found(toy: Toy, tmp_path, monkeypatch):
    # M68
    processor(monkeypatch)
    recipe = toy_recipe(train={**AUTO, "steps": 20})
    train(toy_plan(toy, tmp_path, recipe=recipe))
    run = json.loads((tmp_path / "run.json").read_text())
    assert list(other_parts(run, recipe)) == []

    run["parts"][0]["precision"] = "bf16"
    assert list(other_parts(run, recipe)) == ["part 1 of run.json has precision 'bf16', recipe and data have 'fp32'"]


def test_processes_of_machines_that_choose_otherwise_do_not_train_together(toy: Toy, tmp_path, monkeypatch):
    processor(monkeypatch)
    monkeypatch.setattr(Processes, "any", lambda self, *flags: [True] * len(flags))  # as another one with bf16 has it
    plan = toy_plan(toy, tmp_path, recipe=toy_recipe(train=AUTO))

    with pytest.raises(RecipeError, match="is 'auto', which is 'fp32' here and another one in other processes"):
        train(plan)
    assert not (tmp_path / "run.json").exists()


def test_a_run_does_not_go_on_in_another_precision_than_it_began_in(toy: Toy, tmp_path, monkeypatch):
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 20}))
    processor(monkeypatch, avx512_bf16=True)
    assert train(replace(plan, max_wall_seconds=0.0, in_parts=True)).step == 1
    processor(monkeypatch)

    with pytest.raises(RecipeError, match=BEGAN_ELSEWHERE):
        train(plan)
    processor(monkeypatch, avx512_bf16=True)
    assert train(plan).resumed_from_step == 1


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        ("checkpoint", BEGAN_ELSEWHERE),
        ("its parts", BEGAN_ELSEWHERE),
        ("its own", BEGAN_ELSEWHERE),
        ("both", "the run does not say in which precision it began, and"),
    ],
)
def test_nor_does_one_that_has_no_checkpoint_or_does_not_say_so(toy: Toy, tmp_path, monkeypatch, forget, said):
    # Its first part would stand in the log, and refuse the run when it has been paid for.
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 20}))
    processor(monkeypatch, avx512_bf16=True)
    train(replace(plan, max_wall_seconds=0.0, in_parts=True))
    if forget == "checkpoint":
        shutil.rmtree(tmp_path / "last")
    if forget in ("its own", "both"):
        edit_json(precision="fp32" if forget == "its own" else None)(tmp_path / "run.json")
    if forget in ("its parts", "both"):
        edit_json(parts=[])(tmp_path / "run.json")
    processor(monkeypatch)

    with pytest.raises(RecipeError, match=said):
        train(plan)


def test_a_run_that_cannot_go_on_here_is_not_brought_here(toy: Toy, tmp_path, monkeypatch):
    plan = toy_plan(toy, tmp_path / "there", kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 20}))
    processor(monkeypatch, avx512_bf16=True)
    train(replace(plan, max_wall_seconds=0.0, in_parts=True))
    here = replace(plan, out=tmp_path / "here", resume_from=plan.out)
    processor(monkeypatch)

    with pytest.raises(RecipeError, match=BEGAN_ELSEWHERE):
        train(here)
    processor(monkeypatch, avx512_bf16=True)
    assert train(here).resumed_from_step == 1


def test_a_smoke_in_the_precision_of_its_machine_is_made_again_in_it_on_another(toy: Toy, tmp_path, monkeypatch):
    # M68
    recipe = toy_recipe(train={**AUTO, "optimizer": "muon"}, smoke={"steps": 30, "eval_every": 10})
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=recipe)
    processor(monkeypatch, avx512_bf16=True)
    train(plan)
    processor(monkeypatch)

    assert recompute(plan, CPU)["steps_trained_again"] == 20


def test_a_run_that_has_ended_is_returned_as_it_is_where_another_precision_would_be_chosen(
    toy: Toy, tmp_path, monkeypatch
):
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 20}))
    processor(monkeypatch, avx512_bf16=True)
    ended = train(plan)
    processor(monkeypatch)

    assert train(plan) == ended


@pytest.mark.parametrize("precision", ["fp64", None])
def test_a_smoke_that_names_no_precision_that_there_is_does_not_come_again(toy: Toy, tmp_path, monkeypatch, precision):
    # M68: a permit would name what nobody trains in.
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 30, "eval_every": 10}))
    processor(monkeypatch)
    train(plan)
    edit_json(precision=precision, parts=[])(tmp_path / "run.json")

    with pytest.raises(GateError, match=r"run_is_the_recipes: run\.json has precision .*, which is none"):
        recompute(plan, CPU)


def test_another_recipes_run_is_told_to_be_one_before_its_precision_is_asked(toy: Toy, tmp_path, monkeypatch):
    plan = toy_plan(toy, tmp_path / "there", kind="smoke", recipe=toy_recipe(train=AUTO, smoke={"steps": 20}))
    processor(monkeypatch, avx512_bf16=True)
    train(replace(plan, max_wall_seconds=0.0, in_parts=True))
    other = replace(plan, recipe=toy_recipe(smoke={"steps": 20}), out=tmp_path / "here", resume_from=plan.out)

    with pytest.raises(ArtifactError, match=r"there: holds a run whose .* is .* Name another run to resume, or train"):
        train(other)
