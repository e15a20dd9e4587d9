"""A recipe of two processes, as people train it: by the command, through the graph, and in one process to compare."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph_runs import ROOT, environment, materialize, shell, trainer_once_at
from tiny_project import change

from mw_pipeline.artifact import Artifact
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

STEPS = ("steps = 240\n", "steps = 120\n"), ("steps = 300\neval_every = 30", "steps = 150\neval_every = 10")
TWO_PROCESSES = ("batch_size = 64", "batch_size = 32\nprocesses = 2")
ONE_PROCESS = ("processes = 2", "accumulation = 2")


@pytest.fixture
def shared(place: Place) -> Place:
    """The tiny project with two processes in its recipe and half the steps."""
    for old, new in (*STEPS, TWO_PROCESSES):
        change(place.project, old, new)
    assert materialize(place.project, "source_mix").success
    return place


def smoke_of(place: Place) -> Artifact:
    return line.smoke_checkpoint.demand(place, place.recipe("demo"))


def full_of(place: Place) -> Artifact:
    return line.full_checkpoint.demand(place, place.recipe("demo"))


def course_of(run: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.file("steps.jsonl").read_text().splitlines()]


def demand_the_same_course(one: Artifact, two: Artifact) -> None:
    """The same rows at every step, and losses within 1e-5 of each other."""
    (ours, theirs), ranks = map(course_of, (one, two)), [run.read_json("run.json")["ranks"] for run in (one, two)]
    assert ranks == [1, 2] and len(ours) == len(theirs) > 100
    assert [row["row_hash"] for row in ours] == [row["row_hash"] for row in theirs]
    assert [row["loss"] for row in theirs] == pytest.approx([row["loss"] for row in ours], rel=1e-5)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def peer_of(pid: int) -> int:
    """The other process that the launcher of this one has started."""
    launcher = int(re.findall(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[0])
    started = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    (other,) = {int(child) for child in started} - {pid}
    return other


def test_command_and_graph_train_in_two_processes_with_the_rows_and_losses_of_one(
    shared: Place, tmp_path: Path
) -> None:
    smoke = shell(f"mw-pipeline train --recipe demo --smoke --out {tmp_path / 'smoke'}", environment(shared.project))
    assert smoke.returncode == 0, smoke.stderr[-3000:]
    assert json.loads(smoke.stdout)["verdict"] == "pass"
    assert materialize(shared.project, "full_checkpoint").success
    in_two = smoke_of(shared), full_of(shared)

    change(shared.project, *ONE_PROCESS)
    assert materialize(shared.project, "source_mix", "smoke_checkpoint", "full_checkpoint").success

    for one, two in zip((smoke_of(shared), full_of(shared)), in_two, strict=True):
        demand_the_same_course(one, two)


def test_the_death_of_a_process_ends_the_command_with_75_and_the_graph_goes_on_from_there(
    shared: Place, tmp_path: Path
) -> None:
    command = ["mw-pipeline", "train", "--recipe", "demo", "--smoke", "--out", str(tmp_path / "smoke")]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(shared.project), stderr=subprocess.PIPE, text=True
    ) as process:
        writer = trainer_once_at(shared, "smoke_checkpoint", 50)
        os.kill(peer_of(writer), signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert "process 1, pid " in said and ": killed by SIGKILL, as when memory runs out\n" in said
    assert "(INTERRUPTED). Run `dagster asset materialize" in said
    assert "Traceback" not in said and "torch" not in said
    assert not alive(writer) and not (tmp_path / "smoke").exists()

    assert materialize(shared.project, "smoke_checkpoint").success
    (resumed,) = smoke_of(shared).read_json("run.json")["resumed_from_steps"]
    assert resumed >= 50


@pytest.mark.parametrize("victim", [lambda pid: pid, peer_of], ids=["the one that writes", "the other"])
def test_the_death_of_a_process_under_the_graph_costs_an_attempt(shared: Place, victim: Callable[[int], int]) -> None:
    killer = threading.Thread(
        target=lambda: os.kill(victim(trainer_once_at(shared, "smoke_checkpoint", 50)), signal.SIGKILL)
    )
    killer.start()
    result = materialize(shared.project, "smoke_checkpoint", backoff_seconds=0.1)
    killer.join()

    assert result.success
    events = [event.event_type_value for event in result.all_events if event.step_key == "smoke_checkpoint"]
    assert [events.count(kind) for kind in ("STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS")] == [1, 1, 1]
    assert len(smoke_of(shared).read_json("run.json")["resumed_from_steps"]) == 1
