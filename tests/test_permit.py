"""The one door to a full run: what a launcher can carry instead of the lock's permit, and the permit that is let in."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_project import edit_json, rewrite
from toy_run import Toy, permitted, toy_plan, toy_recipe

from mw_pipeline import seal
from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.store import Store
from mw_pipeline.train import permit as permits
from mw_pipeline.train.loop import train
from mw_pipeline.train.permit import KIND, PERMIT_FILE, bound_facts, demand_permit
from mw_pipeline.train.plan import Permit, RunPlan
from mw_pipeline.train.ranks import train_in_ranks
from mw_pipeline.verdict import binding
from mw_pipeline.verdict.binding import BINDING_TOOLS

TWO = {"train": {"processes": 2, "batch_size": 8, "steps": 20, "eval_every": 10}}


@pytest.fixture
def plan(toy: Toy, tmp_path: Path) -> RunPlan:
    """A full run with a permit in a store of its own, for a test to break."""
    bare = replace(toy_plan(toy, tmp_path / "run"), permit=None)
    return permitted(bare, Store(tmp_path / "permits"))


def artifact_of(plan: RunPlan) -> Path:
    assert plan.permit is not None
    return Path(plan.permit.store) / KIND / plan.permit.digest


def refusal_of(plan: RunPlan) -> str:
    with pytest.raises(GateError) as caught:
        train(plan)
    assert not (plan.out / "run.json").exists()
    message = str(caught.value)
    assert message.startswith("the full run of 'toy' may not start: ")
    return message


def forged(plan: RunPlan, **content: JSON) -> RunPlan:
    """The plan with a permit that was written anew: whole, under a name that fits."""
    assert plan.permit is not None
    store = Store(plan.permit.store)
    made = rewrite(store.load(KIND, plan.permit.digest), PERMIT_FILE, edit_json(**content))
    return replace(plan, permit=Permit(store.url, made.digest))


def test_the_permit_of_this_very_plan_lets_it_train(plan: RunPlan) -> None:
    assert train(plan).status == "COMPLETED"


def test_a_smoke_needs_no_permit(plan: RunPlan) -> None:
    assert train(replace(plan, kind="smoke", permit=None)).status == "COMPLETED"


def test_a_full_run_without_a_permit_is_not_trained_whoever_calls_the_library(plan: RunPlan) -> None:
    # M03
    message = refusal_of(replace(plan, permit=None))

    assert "its plan carries no permit, and only the lock gives one out. Train it through `mw-pipeline" in message


def test_a_permit_that_is_not_in_its_store_lets_nothing_train(plan: RunPlan) -> None:
    assert plan.permit is not None
    assert "there is no such artifact in this store" in refusal_of(
        replace(plan, permit=replace(plan.permit, digest="f" * 64))
    )


def test_an_edited_permit_lets_nothing_train(plan: RunPlan) -> None:
    edit_json(measured={"steps_trained_again": 20})(artifact_of(plan) / PERMIT_FILE)

    assert "is no whole permit" in refusal_of(plan)


@pytest.mark.parametrize("text", ["[]", "7", '"permit"', "null", "{}"])
def test_a_file_that_is_no_permit_lets_nothing_train(plan: RunPlan, text: str) -> None:
    assert plan.permit is not None
    store = Store(plan.permit.store)
    made = rewrite(store.load(KIND, plan.permit.digest), PERMIT_FILE, lambda path: path.write_text(text))

    assert "is no whole permit" in refusal_of(replace(plan, permit=Permit(store.url, made.digest)))


def test_a_permit_with_the_facts_of_another_run_written_into_it_lets_nothing_train(plan: RunPlan, toy: Toy) -> None:
    other = replace(plan, recipe=toy_recipe(train={"peak_lr": 1.0}))
    paths = {"dataset_path": toy.dataset, "tokenizer_path": toy.tokenizer}
    facts = bound_facts(other.recipe, **paths, device="cpu", precision="fp32")

    assert "its seal is not the lock's" in refusal_of(forged(other, **{"for": facts}))


def test_a_permit_that_someone_without_the_key_has_written_lets_nothing_train(
    plan: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whole and consistent in itself, as a forger would make it in a store that he may write to.
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(seal.KEY_VARIABLE, str(tmp_path / "key of a forger"))
        theirs = permitted(replace(plan, permit=None), Store(tmp_path / "theirs"))
        demand_permit(theirs, device="cpu", precision="fp32")

    assert "was not given out by the lock under the key of this user" in refusal_of(theirs)


@pytest.mark.parametrize("change", [{"peak_lr": 1.0}, {"seed": 9}])
def test_the_permit_of_another_recipe_lets_nothing_train(plan: RunPlan, change: dict[str, JSON]) -> None:
    # M04
    other = replace(plan, recipe=toy_recipe(train=change))

    assert "its permit is for another recipe (" in refusal_of(other)


def test_the_permit_of_other_data_lets_nothing_train(plan: RunPlan, tmp_path: Path) -> None:
    # M04
    data = tmp_path / "data"
    data.mkdir()
    for path in plan.dataset_path.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    edit_json(label_entropy=9.0)(data / "dataset.json")

    assert "its permit is for another data (" in refusal_of(replace(plan, dataset_path=data))


def test_the_permit_of_another_kind_of_device_lets_nothing_train(plan: RunPlan) -> None:
    with pytest.raises(GateError, match=r"its permit is for another device \('cpu', here 'cuda'\)"):
        demand_permit(plan, device="cuda", precision="fp32")


def test_the_permit_of_another_precision_lets_nothing_train(plan: RunPlan) -> None:
    # M68: the launcher's machine multiplied as the smoke did, the one that trains does not.
    with pytest.raises(GateError, match=r"its permit is for another precision \('fp32', here 'bf16'\)"):
        demand_permit(plan, device="cpu", precision="bf16")


def test_the_permit_of_another_torch_lets_nothing_train(plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    # M68: the launcher's machine has the torch of the smoke, the one that trains another.
    monkeypatch.setattr(binding, "toolchain", lambda: {"torch": "1.13.0", "numpy": np.__version__})

    with pytest.raises(GateError, match=r"its permit is for another torch \('.+', here '1\.13\.0'\)"):
        demand_permit(plan, device="cpu", precision="fp32")


def test_a_permit_that_other_code_gave_out_lets_nothing_train(plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits, "MODULES", ("mw_pipeline.schedule",))

    assert "was given out by other code" in refusal_of(plan)


@pytest.mark.parametrize("permit", [None, Permit("nowhere", "f" * 64)])
def test_each_process_of_a_run_looks_its_permit_up(toy: Toy, tmp_path: Path, permit: Permit | None) -> None:
    plan = toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**TWO))

    with pytest.raises(GateError, match="the full run of 'toy' may not start: "):
        train_in_ranks(replace(plan, permit=permit))
    assert not (plan.out / "steps.jsonl").exists()


def test_a_permit_survives_the_way_to_the_processes_of_a_run(toy: Toy, tmp_path: Path) -> None:
    assert train_in_ranks(toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**TWO))).status == "COMPLETED"


def test_what_a_permit_was_given_for_can_be_read(plan: RunPlan) -> None:
    content = json.loads((artifact_of(plan) / PERMIT_FILE).read_text())

    assert content["for"].keys() == {"recipe", "data", "tokenizer", "code", "device", "precision", *BINDING_TOOLS}
    assert dataclasses.asdict(plan.permit)["digest"] == artifact_of(plan).name  # type: ignore[arg-type]
