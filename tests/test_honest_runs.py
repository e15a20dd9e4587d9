"""A run that is killed, resumed elsewhere or ended early is what an unbroken one is, and no check condemns it (M80)."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import Toy, measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.train import facts
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan, RunResult
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.run_checks import BLOCKING, WARNING
from mw_pipeline.verdict.runlog import read_run
from mw_pipeline.verdict.soundness import soundness_findings
from mw_pipeline.verdict.watchdog import Finding, Watchdog

torch.set_num_threads(1)


def stopped_at(step: int, plan: RunPlan) -> RunResult:
    """A run that a person stops right after an evaluation."""

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "evaluated" and event["step"] == step:
            signal.raise_signal(signal.SIGINT)

    return train(plan, on_event=interrupt)


def run_json(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text())
    return found


def write_run(out: Path, **changes: Any) -> None:
    (out / "run.json").write_text(json.dumps(run_json(out) | changes))


def findings(out: Path) -> list[str]:
    """The checks that condemn a run; a toy's labels are few and its course is short, which is another matter."""
    evidence = Evidence.read(out)
    return [name for name, check in BLOCKING.items() if check(evidence)]


def back_to_step_20(out: Path) -> None:
    """The folder as a kill leaves it after step 40, when last/ is of step 20: the logs of 40 steps beside it."""
    shutil.rmtree(out / "last")
    shutil.copytree(out.with_name("early") / "last", out / "last")
    write_run(out, status="RUNNING")


@pytest.fixture
def killed(toy: Toy, tmp_path: Path) -> RunPlan:
    """A run that was killed at step 40, twenty steps after its last checkpoint."""
    plan = toy_plan(toy, tmp_path / "early")
    stopped_at(20, plan)
    shutil.copytree(plan.out, tmp_path / "run")
    later = replace(plan, out=tmp_path / "run")
    stopped_at(40, later)
    back_to_step_20(later.out)
    shutil.copy(plan.out / "run.json", later.out / "run.json")
    shutil.rmtree(later.out / "best")
    shutil.copytree(plan.out / "best", later.out / "best")
    return later


def test_each_part_of_a_run_says_where_it_was_trained_and_each_step_in_which_part(killed, unbroken):
    result = train(killed)

    run, steps = run_json(killed.out), rows(killed.out / "steps.jsonl")
    assert [part["from_step"] for part in run["parts"]] == [0, 20]
    assert all(
        {"device", "machine", "ranks", "threads", "precision", "torch", "started_at"} <= set(part)
        for part in run["parts"]
    )
    assert [row["part"] for row in steps] == [0] * 20 + [1] * 40
    assert {row["part"] for row in rows(killed.out / "discarded.jsonl")} == {1}, "they are of a part that was lost"
    assert (result.status, result.resumed_from_step) == ("COMPLETED", 20)
    assert weights(killed.out) == weights(unbroken[0].out)
    assert findings(killed.out) == []
    assert WARNING["run_stayed_on_one_machine"](Evidence.read(killed.out)) == []


def test_a_run_resumed_on_another_machine_is_sound_and_remarked_on(killed, monkeypatch):
    monkeypatch.setattr(facts, "machine_of", lambda device: "NVIDIA H200")
    train(killed)
    path = killed.out / "discarded.jsonl"
    other = [{**row, "part": 0, "loss": row["loss"] * (1 + 5e-4)} for row in rows(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in other))

    assert findings(killed.out) == []
    (remark,) = WARNING["run_stayed_on_one_machine"](Evidence.read(killed.out))
    assert "at step 20 under another machine: " in remark and remark.endswith("NVIDIA H200: the same to within 1e-3")
    write_run(killed.out, parts=[{**part, "machine": "NVIDIA H200"} for part in run_json(killed.out)["parts"]])
    assert findings(killed.out) == ["resume_is_exact"], "on one machine the same difference is one too many"


def test_a_run_that_goes_on_a_thousand_times_as_fast_is_not_unreal(killed):
    # The slow machine's steps made the median of which 5 % count as no training.
    path = killed.out / "steps.jsonl"
    slow = [{**row, "wall_seconds": row["wall_seconds"] * 1000} for row in rows(path)]
    path.write_text("".join(json.dumps(row) + "\n" for row in slow))

    result = train(killed)

    assert (result.status, result.finding) == ("COMPLETED", None)
    assert not [text for text in soundness_findings(read_run(killed.out)) if text.startswith("unreal")]
    write_run(killed.out, resumed_from_steps=[], parts=run_json(killed.out)["parts"][:1])
    log = read_run(killed.out)
    fast = [{**row, "wall_seconds": row["wall_seconds"] / 1e6} if row["step"] > 35 else row for row in log.steps]
    assert any(
        text.startswith("unreal at step") for text in soundness_findings(replace(log, steps=tuple(with_pace(fast))))
    )


def with_pace(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of a loop that stops training half way: from there on they take no time."""
    return [{**row, "wall_seconds": float(min(i, 35)) + 1e-6 * i} for i, row in enumerate(steps)]


def test_lines_that_a_kill_cut_short_are_dropped_and_said(killed, unbroken):
    events: list[dict[str, Any]] = []
    for name in ("steps.jsonl", "evals.jsonl", "row_losses.jsonl"):
        with (killed.out / name).open("a") as stream:
            stream.write('{"step": 41, "lo')

    train(killed, on_event=events.append)

    said = [f"{name}.jsonl: the last line was cut short after 16 bytes and was dropped" for name in NAMES]
    assert run_json(killed.out)["notes"] == events[0]["notes"] == said
    assert WARNING["no_line_was_torn"](Evidence.read(killed.out)) == said
    assert findings(killed.out) == []
    assert measured(killed.out / "steps.jsonl") == measured(unbroken[0].out / "steps.jsonl")


NAMES = ("steps", "evals", "row_losses")


def test_a_run_that_lost_no_line_has_nothing_to_say(unbroken):
    assert run_json(unbroken[0].out)["notes"] == []
    assert WARNING["no_line_was_torn"](Evidence.read(unbroken[0].out)) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("steps.jsonl", r"steps.jsonl has \d+ pieces of \d+"),
        ("evals.jsonl", "evals.jsonl lacks step 20"),
        ("row_losses.jsonl", "row_losses.jsonl lacks step 20"),
        ("first_steps.jsonl", "first_steps.jsonl lacks step 20"),
    ],
)
def test_a_log_that_lost_rows_is_refused_before_the_rest_is_trained_and_not_after(killed, name, sentence):
    path = killed.out / name
    kept = [line for line in path.read_text().splitlines(keepends=True) if '"step": 20,' not in line]
    path.write_text("".join(kept))

    with pytest.raises(ArtifactError, match=rf"{sentence}, and last/ is of step 20: rows were lost"):
        train(killed)


def test_rows_are_on_the_disk_before_the_checkpoint_that_stands_on_them(toy, tmp_path, monkeypatch):
    synced: list[str] = []
    fsync, descriptors = os.fsync, Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("needs /proc to name what is synced")

    def record_fsync(number: int) -> None:
        synced.append((descriptors / str(number)).readlink().name)
        fsync(number)

    monkeypatch.setattr(os, "fsync", record_fsync)
    stopped_at(20, toy_plan(toy, tmp_path))

    before = synced[: synced.index("model.safetensors")]
    assert before.index("steps.jsonl") < before.index(tmp_path.name, before.index("steps.jsonl"))
    assert synced.count("evals.jsonl") >= 2 and synced.count("row_losses.jsonl") >= 2


def test_the_best_step_is_that_of_best_where_a_rule_fires_at_a_better_evaluation(toy, tmp_path, monkeypatch):
    observe = Watchdog.observe_step

    def fires(self: Watchdog, row: dict[str, Any]) -> Finding | None:
        return Finding("rebound", 40, "planted") if row["step"] == 40 else observe(self, row)

    monkeypatch.setattr(Watchdog, "observe_step", fires)
    result = train(toy_plan(toy, tmp_path))

    scores = {row["step"]: row["val_macro_f1"] for row in rows(tmp_path / "evals.jsonl")}
    assert result.status == "DIVERGED" and scores[40] > scores[20]
    assert load_checkpoint(tmp_path / "best").step == result.best_step == run_json(tmp_path)["best_step"] == 20
    assert result.best_val_macro_f1 == scores[20]


def test_a_best_that_is_ahead_of_the_log_is_not_named_but_chosen_anew(killed, unbroken):
    # A power cut can take steps back that best/ has seen.
    plan = stopped_later(killed)
    shutil.rmtree(plan.out / "best")
    shutil.copytree(unbroken[0].out / "best", plan.out / "best")
    later = load_checkpoint(plan.out / "best").step

    result = train(plan)

    assert run_json(plan.out)["notes"] == [
        f"best/ held step {later} where the log's best up to step 21 is 20: it is chosen anew"
    ]
    assert load_checkpoint(plan.out / "best").step == result.best_step == run_json(plan.out)["best_step"] > 21


def test_a_best_that_is_gone_is_not_named_either(killed):
    plan = stopped_later(killed)
    shutil.rmtree(plan.out / "best")

    result = train(plan)

    assert load_checkpoint(plan.out / "best").step == result.best_step > 21
    assert run_json(plan.out)["notes"] == [
        "best/ was not there where the log's best up to step 21 is 20: it is chosen anew"
    ]


def test_the_best_of_a_run_that_is_resumed_past_it_stays(killed):
    plan, before = stopped_later(killed), load_checkpoint(killed.out / "best")

    train(replace(plan, max_wall_seconds=0.0))

    assert load_checkpoint(plan.out / "best").step == before.step == run_json(plan.out)["best_step"] == 20
    assert run_json(plan.out)["notes"] == []


def stopped_later(plan: RunPlan) -> RunPlan:
    """The run, gone on for one step: last/ is past the best evaluation."""
    train(replace(plan, max_wall_seconds=0.0))
    return plan


FAULT = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
{hook}
import toy_run
toy_run.main()
"""
AT_RENAMES = """
left = list({names!r})
def kill(event, arguments):
    if event == "os.rename" and left and left[0] in str(arguments[0]):
        left.pop(0)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
"""
AT_OPERATION = """
from killed import kill_before
kill_before({number}, Path({out!r}))
"""


def child(toy: Toy, out: Path, hook: str, **changes: Any) -> int:
    """The status of a process that trains a toy behind an audit hook; its last words where it failed."""
    request = {"dataset": str(toy.dataset), "tokenizer": str(toy.tokenizer), "out": str(out), "changes": changes}
    code = FAULT.format(tests=str(Path(__file__).parent), hook=hook)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code, json.dumps(request)], env=environment, capture_output=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param((".best.new", ".last.new"), id="before last"),
        pytest.param((".best.new", ".last.new", ".best.new"), id="between last and best"),
        pytest.param((".best.new", ".last.new", ".best.new", ".run.json"), id="between best and run.json"),
    ],
)
def test_a_kill_beside_a_best_leaves_a_run_whose_best_step_is_that_of_best(toy, tmp_path, moment):
    assert child(toy, tmp_path, AT_RENAMES.format(names=moment)) == -signal.SIGKILL

    result = train(toy_plan(toy, tmp_path))

    held = load_checkpoint(tmp_path / "best")
    assert result.resumed_from_step and held.step == result.best_step == run_json(tmp_path)["best_step"]
    assert held.facts.metrics["val_macro_f1"] == result.best_val_macro_f1


def test_a_run_that_still_trains_names_the_best_that_it_has(toy, tmp_path):
    seen: list[tuple[int, int]] = []

    def look(event: dict[str, Any]) -> None:
        if event["event"] == "evaluated" and event["is_best"]:
            seen.append((load_checkpoint(tmp_path / "best").step, run_json(tmp_path)["best_step"]))

    train(toy_plan(toy, tmp_path), on_event=look)

    assert seen and all(held == named for held, named in seen)


@pytest.mark.slow
def test_a_run_killed_before_any_file_operation_ends_as_an_unbroken_one(toy, tmp_path):
    # M36, M39, M80: in the midst of appends, cuts, saves and of what a resume does before it goes on
    changes = {"train": {"steps": 60, "checkpoint_every": 7, "eval_every": 10, "log_every": 3}}
    recipe = toy_recipe(**changes)
    train(toy_plan(toy, tmp_path / "unbroken", recipe=recipe))
    rng, out, kills = random.Random(20261129), tmp_path / "killed", 0
    out.mkdir()
    while child(toy, out, AT_OPERATION.format(number=rng.randint(40, 200), out=str(out)), **changes) != 0:
        kills += 1
        assert kills < 60, "the kills let it come no further"

    result = train(toy_plan(toy, out, recipe=recipe))

    assert result.status == "COMPLETED" and kills >= 4
    for name in ("best", "last"):
        assert weights(out, name) == weights(tmp_path / "unbroken", name)
    for name in ("steps.jsonl", "evals.jsonl", "row_losses.jsonl"):
        assert measured(out / name) == measured(tmp_path / "unbroken" / name)
    assert load_checkpoint(out / "best").step == result.best_step
    assert findings(out) == []
    assert not list(out.glob(".*")), "drafts are swept"


def test_a_copy_that_was_cut_short_is_no_run_and_can_be_made_again(killed, toy, tmp_path, unbroken):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(killed.out / "last", elsewhere / "last")

    with pytest.raises(ArtifactError, match=r"has last/ and no run.json: a copy that was cut short.* Name the run"):
        train(toy_plan(toy, elsewhere))
    result = train(toy_plan(toy, elsewhere, resume_from=killed.out))

    assert result.resumed_from_step == 20 and weights(elsewhere) == weights(unbroken[0].out)
    assert findings(elsewhere) == []


def test_a_run_that_converged_is_sound(toy, tmp_path):
    recipe = toy_recipe(
        train={"steps": 3000, "eval_every": 50, "patience_evals": 2, "patience_margin_share": 0.9, "peak_lr": 2e-3}
    )

    result = train(toy_plan(toy, tmp_path, recipe=recipe))

    assert result.status == "CONVERGED" and result.step < 3000
    assert findings(tmp_path) == []
    assert not [text for text in soundness_findings(read_run(tmp_path)) if "ended" in text]
