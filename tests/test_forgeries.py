"""What a forger can lay before the lock instead of a smoke, each refused by a rule of its own, and the honest twin.

Every forgery is whole: its manifest and its name fit its bytes, and the verdict on it is the one that its logs earn.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from honest_smoke import Lock, copied, judged
from run_logs import HEALTHY_F1, HEALTHY_LOSS, eval_rows, step_rows
from tiny_project import edit_json
from toy_run import Toy, rows, toy_plan, toy_recipe

from mw_pipeline.artifact import MANIFEST, Artifact, FileEntry, content_of, files_below
from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.errors import GateError
from mw_pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from mw_pipeline.recipe import with_seed
from mw_pipeline.train.loop import train
from mw_pipeline.train.ranks import train_in_ranks
from mw_pipeline.train.recomputation import RULES, recompute
from mw_pipeline.verdict.exposure import facts_of_run

CPU = torch.device("cpu")
Forgery = Callable[[Lock, Path], object]


@pytest.fixture
def lock(trained: Lock, tmp_path: Path) -> Lock:
    return copied(trained, tmp_path)


def edit_rows(name: str, edit: Callable[[dict[str, Any]], object], *, step: int | None = None) -> Forgery:
    """Changes the row of a step in a log, or all of them."""

    def forge(lock: Lock, path: Path) -> None:
        found = rows(path / name)
        for row in found:
            if step in (None, row["step"]):
                edit(row)
        (path / name).write_text("".join(json.dumps(row) + "\n" for row in found))

    return forge


def edit_run(**facts: JSON) -> Forgery:
    return lambda lock, path: edit_json(**facts)(path / "run.json")


def type_curves(lock: Lock, path: Path) -> None:
    """Steps and evaluations as they should have been, in our own format, at the steps and rates of the recipe."""
    run = json.loads((path / "run.json").read_text())
    course, recipe = facts_of_run(run), lock.recipe
    typed = step_rows(course, HEALTHY_LOSS, every=recipe.train.log_every)
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in typed))
    evals = eval_rows(course, HEALTHY_F1, every=recipe.smoke.eval_every)
    (path / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in evals))
    edit_json(tokens=sum(row["tokens"] for row in typed))(path / "run.json")
    take_last_for_best(lock, path)  # where such a curve ends best
    edit_json(best_step=recipe.smoke.steps)(path / "run.json")


def type_losses(lock: Lock, path: Path) -> None:
    """A loss as it should have been, on the rows that were really dealt."""
    edit_rows("steps.jsonl", lambda row: row.update(loss=HEALTHY_LOSS(row["step"])))(lock, path)


def leave_out_a_step(lock: Lock, path: Path) -> None:
    found = rows(path / "steps.jsonl")
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found if row["step"] != 50))
    edit_json(tokens=sum(row["tokens"] for row in found if row["step"] != 50))(path / "run.json")


def without(name: str) -> Forgery:
    return lambda lock, path: shutil.rmtree(path / name)


def truncate(name: str) -> Forgery:
    def forge(lock: Lock, path: Path) -> None:
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[: len(content) // 2])

    return forge


def train_elsewhere(lock: Lock, path: Path, **plan: Any) -> Path:
    """Another run that was really trained, beside the store."""
    out = lock.store.root / "elsewhere"
    train(replace(lock.plan, out=out, **plan))
    return out


def take_best_of_another_seed(lock: Lock, path: Path) -> None:
    other = train_elsewhere(lock, path, recipe=with_seed(lock.recipe, 7))
    shutil.rmtree(path / "best")
    shutil.copytree(other / "best", path / "best")


def pass_another_best_off_as_its_own(lock: Lock, path: Path) -> None:
    """The weights of another seed, under the facts of this run's own checkpoint."""
    other = train_elsewhere(lock, path, recipe=with_seed(lock.recipe, 7))
    mine = load_checkpoint(path / "best").facts
    save_checkpoint(path / "best", load_checkpoint(other / "best").tagger, mine, optimizer={})


def take_last_for_best(lock: Lock, path: Path) -> None:
    shutil.rmtree(path / "best")
    shutil.copytree(path / "last", path / "best")


def deal_with_another_seed(lock: Lock, path: Path) -> None:
    """Rows, tokens and hashes of a run of another seed, under losses of this one."""
    other = rows(train_elsewhere(lock, path, recipe=with_seed(lock.recipe, 7)) / "steps.jsonl")
    mine = rows(path / "steps.jsonl")
    dealt = ("tokens", "rows", "row_hash")
    mixed = [{**row, **{name: its[name] for name in dealt}} for row, its in zip(mine, other, strict=True)]
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    edit_json(tokens=sum(row["tokens"] for row in mixed))(path / "run.json")


def add(name: str, value: float) -> Callable[[dict[str, Any]], object]:
    return lambda row: row.update({name: row[name] + value})


def improve_all_evaluations(lock: Lock, path: Path) -> None:
    edit_rows("evals.jsonl", lambda row: row.update(val_loss=0.9 * row["val_loss"]))(lock, path)


FORGERIES: list[tuple[str, Forgery, str]] = [
    ("a full run", edit_run(kind="full"), "its smoke is a run of kind 'full', expected 'smoke'"),
    ("a run that diverged", edit_run(status="DIVERGED"), "its smoke ended as 'DIVERGED', expected 'COMPLETED'"),
    ("a run that was stopped", edit_run(status="INTERRUPTED"), "its smoke ended as 'INTERRUPTED'"),
    ("a run cut short", edit_run(step=99), "its smoke ended at step 99 of 160"),
    ("a course of its own", edit_run(eval_every=10), "run_is_the_recipes: run.json has eval_every 10"),
    ("easier labels", edit_run(label_entropy=2.5), "run_is_the_recipes: run.json has label_entropy 2.5"),
    ("fewer batches a step", edit_run(pool_batches=64), "run_is_the_recipes: run.json has pool_batches 64"),
    ("another seed", edit_run(seed=3), "run_is_the_recipes: run.json has seed 3"),
    ("other digests", edit_run(digests__code="0" * 64), "run_is_the_recipes: run.json has digests "),
    ("fewer tokens in all", edit_run(tokens=17), "run_is_the_recipes: run.json has tokens 17"),
    ("typed curves", type_curves, "rows_are_those_dealt: rows at step 2 is logged as None"),
    ("typed losses", type_losses, "first_steps_come_again: loss of step 2 is 6.4.* in steps.jsonl, trained again"),
    ("a step left out", leave_out_a_step, "steps_are_those_due: steps.jsonl lacks step 50"),
    (
        "a rate of its own",
        edit_rows("steps.jsonl", lambda row: row.update(lr=row["lr"] * 1.001), step=60),
        "steps_are_those_due: the rate at step 60 is logged as ",
    ),
    ("no last/", without("last"), "checkpoints_are_whole: /.*last: has no checkpoint.json"),
    ("no best/", without("best"), "checkpoints_are_whole: /.*best: has no checkpoint.json"),
    ("a truncated last/", truncate("last/model.safetensors"), "checkpoints_are_whole: /.*last/model.safetensors: has "),
    ("a truncated optimizer", truncate("last/optimizer.safetensors"), "checkpoints_are_whole: .*optimizer.safetensors"),
    ("another best/", take_best_of_another_seed, "checkpoints_are_of_this_run: best/ "),
    ("last/ for best/", take_last_for_best, r"checkpoints_are_of_this_run: best/ holds step 160, the run's is \d+"),
    ("rows of another seed", deal_with_another_seed, "rows_are_those_dealt: tokens at step 2 is logged as "),
    (
        "fewer rows",
        edit_rows("steps.jsonl", add("rows", -1), step=50),
        "rows_are_those_dealt: rows at step 50 is logged as 31, the sampler deals 32",
    ),
    (
        "another row hash",
        edit_rows("steps.jsonl", lambda row: row.update(row_hash="0" * 16), step=70),
        "rows_are_those_dealt: row_hash at step 70 is logged as '0000000000000000'",
    ),
    (
        "better weights",
        pass_another_best_off_as_its_own,
        "evaluations_come_again: val_loss at step .*, best/ evaluated",
    ),
    ("better evaluations", improve_all_evaluations, "evaluations_come_again: val_loss at step 160 is logged as "),
    (
        "another score of a tag",
        edit_rows("evals.jsonl", lambda row: row["f1"].update(street=0.5), step=160),
        "evaluations_come_again: f1 at step 160 is logged as ",
    ),
    (
        "another first loss",
        edit_rows("first_steps.jsonl", add("loss", 1e-4), step=13),
        "first_steps_come_again: loss of step 13 is .* in first_steps.jsonl, trained again it is ",
    ),
    (
        "another first window",
        edit_rows("steps.jsonl", add("ce", -0.01), step=10),
        "first_steps_come_again: ce of step 10 is .* in steps.jsonl, trained again it is ",
    ),
    (
        "no first steps",
        lambda lock, path: (path / "first_steps.jsonl").unlink(),
        "the smoke cannot be made again: first_steps.jsonl is missing",
    ),
]


def forged(lock: Lock, forge: Forgery, folder: Path) -> Lock:
    """The lock before an artifact that is whole after the forgery, with the verdict that its logs have earned."""
    assert lock.smoke is not None
    forge(lock, lock.smoke.path)
    names = files_below(lock.smoke.path)
    paths = [(name, lock.smoke.path / name) for name in names if name != MANIFEST]
    files = tuple(FileEntry(name, path.stat().st_size, sha256_file(path)) for name, path in paths)
    manifest = replace(lock.smoke.manifest, files=files, digest=lock.smoke.manifest.key + content_of(files))
    write_json_atomically(lock.smoke.path / MANIFEST, manifest.as_json())
    smoke = Artifact(lock.smoke.path.rename(lock.smoke.path.with_name(manifest.digest)), manifest)
    return judged(lock.store, lock.recipe, lock.dataset, smoke)


def test_a_smoke_that_was_really_trained_opens_the_lock(lock: Lock) -> None:
    assert lock.open().outcome == "pass"
    measured = recompute(lock.plan, CPU)

    assert measured["rules"] == [rule.__name__ for rule in RULES]
    assert (measured["steps_trained_again"], measured["tolerance_losses"]) == (20, 1e-6)


@pytest.mark.parametrize(("forge", "refusal"), [case[1:] for case in FORGERIES], ids=[case[0] for case in FORGERIES])
def test_a_forged_smoke_is_refused_by_a_rule_of_its_own(
    lock: Lock, tmp_path: Path, forge: Forgery, refusal: str
) -> None:
    # M68
    false = forged(lock, forge, tmp_path)

    with pytest.raises(GateError, match=refusal):
        assert false.open().outcome == "pass"
        recompute(false.plan, CPU)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"kind": "ce", "crf_weight": 0.0}},
        {"loss": {"kind": "crf"}},
        {"loss": {"kind": "soft-span", "crf_weight": 0.0}},
        {"loss": {"kind": "uncertainty"}},
        {"train": {"optimizer": "muon", "precision": "bf16", "threads": 2}},
        {"train": {"accumulation": 2, "batch_size": 8, "log_every": 7}},
        {"train": {"processes": 2, "batch_size": 8}},
        pytest.param(
            {"train": {"processes": 2, "batch_size": 8, "compile": True}},
            marks=pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # torch's own
        ),
        {"smoke": {"batch_size": 8}},
    ],
)
def test_an_honest_smoke_of_any_kind_comes_out_again(toy: Toy, tmp_path: Path, changes: dict[str, Any]) -> None:
    smoke = {"steps": 40, "eval_every": 20, **changes.get("smoke", {})}
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(**{**changes, "smoke": smoke}))
    assert train_in_ranks(plan).status == "COMPLETED"

    assert recompute(plan, CPU)["steps_trained_again"] == 20


def test_an_honest_smoke_that_was_stopped_and_resumed_comes_out_again(toy: Toy, tmp_path: Path) -> None:
    plan = toy_plan(toy, tmp_path, kind="smoke", recipe=toy_recipe(smoke={"steps": 30, "eval_every": 10}))
    assert train(replace(plan, max_wall_seconds=0.0, in_parts=True)).step == 1
    assert train(plan).resumed_from_step == 1

    assert recompute(plan, CPU)["tolerance_losses"] == 1e-6


def test_a_smoke_is_still_the_recipes_after_its_gates_and_package_were_changed(lock: Lock) -> None:
    gates = lock.recipe.eval.model_copy(update={"min_core_macro_f1": 0.123})
    changed = lock.recipe.model_copy(update={"eval": gates})
    assert changed.digest != lock.recipe.digest

    assert recompute(replace(lock.plan, recipe=changed), CPU)["steps_trained_again"] == 20


def test_making_a_smoke_again_leaves_its_folder_as_it_was(lock: Lock) -> None:
    assert lock.smoke is not None
    recompute(lock.plan, CPU)

    lock.store.verify(lock.smoke)
    assert {*files_below(lock.smoke.path)} - {MANIFEST} == {entry.path for entry in lock.smoke.manifest.files}


def test_on_another_machine_the_numbers_may_differ_by_a_thousandth_and_no_more(lock: Lock, tmp_path: Path) -> None:
    assert lock.smoke is not None

    def elsewhere(share: float) -> Forgery:
        def forge(lock: Lock, path: Path) -> None:
            machine = {"machine": "a machine of another kind", "ranks": 1}
            (part,) = json.loads((path / "run.json").read_text())["parts"]
            edit_run(**machine, parts=[{**part, **machine}])(lock, path)
            for name in ("loss", "ce", "crf"):
                edit_rows("first_steps.jsonl", lambda row, name=name: row.update({name: row[name] * (1 + share)}))(  # type: ignore[misc]
                    lock, path
                )

        return forge

    near = forged(lock, elsewhere(5e-4), tmp_path)
    assert recompute(near.plan, CPU)["tolerance_losses"] == 1e-3

    with pytest.raises(GateError, match="first_steps_come_again: loss of step 1 is "):
        recompute(forged(near, elsewhere(2e-3), tmp_path).plan, CPU)
