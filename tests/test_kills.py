"""Stages that are killed at any moment, cancelled or started twice end with what they would have made undisturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import ROOT, environment, failure_of, materialize, shell
from tiny_line import made
from tiny_project import forget
from waiting import PATIENCE_SECONDS, wait_until

from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "tiny_line.py"


@contextmanager
def running(place: Place, *stages: str) -> Iterator[subprocess.Popen[bytes]]:
    """Stages in a process of their own, which is gone afterwards."""
    with subprocess.Popen([sys.executable, str(SCRIPT), str(place.project), *stages], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def at_work(place: Place, kind: str) -> list[Path]:
    """Files that someone is writing for an artifact of a kind, into its draft or on the way there."""
    root = place.store.root
    found = [*(root / kind).glob(".draft-*/**/*"), *(root / "work" / kind).glob("*/**/*")]
    return [path for path in found if path.is_file()]


def logged_steps(place: Place, kind: str) -> int:
    """Rows that the run at work has written so far."""
    logs = list((place.store.root / "work" / kind).glob("*/steps.jsonl"))
    return sum(path.read_bytes().count(b"\n") for path in logs)


@pytest.mark.parametrize("kind", ["corpus_shards", "tokenized_dataset"])
def test_a_stage_killed_while_it_writes_leaves_nothing_and_ends_with_the_same_bytes(place: Place, kind: str) -> None:
    rng = random.Random(kind)
    unbroken = made(place, kind)
    others = set((place.store.root / kind).iterdir())
    forget(place, kind)

    for _ in range(2):
        with running(place, kind) as process:
            wait_until(lambda: bool(at_work(place, kind)))
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
            process.wait()
    with running(place, kind) as process:
        assert process.wait() == 0

    assert made(place, kind).digest == unbroken.digest
    place.store.verify(made(place, kind))
    assert set((place.store.root / kind).iterdir()) == others
    assert not at_work(place, kind)


def test_a_smoke_killed_at_random_steps_ends_with_the_weights_of_an_unbroken_one(place: Place) -> None:
    # M38, M39: whatever last checkpoint a kill leaves is resumed exactly, or not at all.
    kind, rng = "smoke_checkpoint", random.Random(7)
    unbroken = made(place, kind)
    expected = {name: unbroken.file(name).read_bytes() for name in WEIGHTS}
    course = [(row["step"], row["loss"], row["lr"]) for row in rows_of(unbroken.file("steps.jsonl"))]
    forget(place, kind, "smoke_verdict")

    for least in sorted(rng.sample(range(20, 280), 3)):
        with running(place, kind) as process:
            wait_until(lambda steps=least: logged_steps(place, kind) >= steps)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
            process.wait()
    with running(place, kind) as process:
        assert process.wait() == 0

    smoke = made(place, kind)
    assert {name: smoke.file(name).read_bytes() for name in WEIGHTS} == expected
    assert [(row["step"], row["loss"], row["lr"]) for row in rows_of(smoke.file("steps.jsonl"))] == course
    assert smoke.read_json("run.json")["resumed_from_steps"]
    assert line.smoke_verdict.demand(place, place.recipe("demo")).metrics["outcome"] == "pass"
    assert not list((place.store.root / "work").glob("*/*"))


WEIGHTS = ("best/model.safetensors", "last/model.safetensors")


def rows_of(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_goes_on_from_the_folder_that_was_named(place: Place, tmp_path: Path) -> None:
    # M38: a run that was interrupted in another store, resumed in one that knows nothing of it.

    kind = "smoke_checkpoint"
    expected = {name: made(place, kind).file(name).read_bytes() for name in WEIGHTS}
    forget(place, kind, "smoke_verdict")
    with running(place, kind) as process:
        wait_until(lambda: logged_steps(place, kind) >= 100)
        process.send_signal(signal.SIGINT)
        process.wait()
    (work,) = (place.store.root / "work" / kind).iterdir()
    elsewhere = work.rename(tmp_path / "elsewhere")
    (place.store.root / "work" / kind / work.name / "last").mkdir(parents=True)  # a copy that a kill cut short
    step = json.loads((elsewhere / "run.json").read_text())["step"]

    smoke = line.smoke_checkpoint.make(place, "demo", resume_from=elsewhere).artifact

    assert 100 <= step < 300
    assert smoke.read_json("run.json")["resumed_from_steps"] == [step]
    assert {name: smoke.file(name).read_bytes() for name in WEIGHTS} == expected


def test_the_second_of_two_runs_is_told_who_holds_the_first(place: Place) -> None:
    # M64
    kind = "smoke_checkpoint"
    forget(place, kind)
    with running(place, kind) as first:
        wait_until(lambda: logged_steps(place, kind) >= 1)
        first.send_signal(signal.SIGSTOP)  # so that it is still at work when the second begins

        said = failure_of(materialize(place.project, kind), kind)

        assert said.startswith(f"{kind} ")
        assert f"is being made by process {first.pid} on {os.uname().nodename} since " in said
        assert said.endswith("Wait for it to end, or stop it.")
        first.send_signal(signal.SIGCONT)
        assert first.wait() == 0
    assert materialize(place.project, kind).success


SMOKE = "dagster asset materialize -m assets.definitions --select smoke_checkpoint --partition demo"
FULL = SMOKE.replace("smoke_checkpoint", "full_checkpoint")


@contextmanager
def graph_at_work(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A `dagster asset materialize` of the smoke in the midst of training, in a process group of its own."""
    env = environment(place.project)
    log = (place.project / "graph.log").open("wb")
    with (
        log,
        subprocess.Popen(["sh", "-c", f"exec {SMOKE}"], cwd=ROOT, env=env, stderr=log, start_new_session=True) as it,
    ):
        wait_until(lambda: logged_steps(place, "smoke_checkpoint") >= 60)
        try:
            yield it
        finally:
            it.kill()


def interrupted_run(place: Place) -> dict[str, object]:
    """The run.json of the only run at work, once it says that the run is over."""
    (path,) = (place.store.root / "work" / "smoke_checkpoint").glob("*/run.json")
    wait_until(lambda: json.loads(path.read_text())["status"] != "RUNNING")
    found: dict[str, object] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda graph: os.killpg(graph.pid, signal.SIGINT), id="ctrl-c"),
        pytest.param(lambda graph: graph.kill(), id="killed"),
    ],
)
def test_a_cancelled_graph_saves_its_training_and_the_next_run_goes_on(
    place: Place, stop: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    # M38
    expected = made(place, "smoke_checkpoint").file("last/model.safetensors").read_bytes()
    forget(place, "smoke_checkpoint", "smoke_verdict")

    with graph_at_work(place) as graph:
        stop(graph)
        run = interrupted_run(place)
        graph.wait()

    assert run["status"] == "INTERRUPTED"
    assert materialize(place.project, "smoke_checkpoint").success
    smoke = made(place, "smoke_checkpoint")
    assert smoke.read_json("run.json")["resumed_from_steps"] == [run["step"]]
    assert smoke.file("last/model.safetensors").read_bytes() == expected


@contextmanager
def stopped_training(place: Place) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A graph in the midst of training whose trainer stands still, so that it is at work for as long as one likes."""
    with graph_at_work(place) as graph:
        (path,) = (place.store.root / "work" / "smoke_checkpoint").glob("*/run.json")
        holder = int(json.loads(path.read_text())["owner"].split()[1])
        os.kill(holder, signal.SIGSTOP)
        try:
            yield graph, holder
        finally:
            with suppress(ProcessLookupError):  # it went on, and has ended
                os.kill(holder, signal.SIGCONT)


@contextmanager
def second_graph(place: Place, command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Another command line on the same store, in a process group of its own, and where its stderr is written."""
    said = place.project / "second.log"
    command, env = f"exec {command}", environment(place.project)
    with (
        said.open("wb") as log,
        subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=env, stderr=log, start_new_session=True) as it,
    ):
        try:
            yield it, said
        finally:
            it.kill()


def test_the_second_of_two_graphs_is_told_for_whom_it_waits_and_finds_what_the_first_has_made(place: Place) -> None:
    """M64, M74."""
    forget(place, "smoke_checkpoint", "smoke_verdict")

    with stopped_training(place) as (first, holder), second_graph(place, SMOKE) as (second, said):
        wait_until(lambda: b"waits for its turn" in said.read_bytes())
        (line,) = [
            line for line in said.read_text().splitlines() if line.startswith("smoke_checkpoint of 'demo' waits")
        ]
        os.kill(holder, signal.SIGCONT)
        assert (first.wait(), second.wait()) == (0, 0)

    assert f"At work: smoke_checkpoint of 'demo', process {holder} of run " in line
    assert f" on {os.uname().nodename} since " in line and line.endswith("Ctrl-C ends the wait.")
    run = made(place, "smoke_checkpoint").read_json("run.json")
    assert not run.get("resumed_from_steps"), "the second must not have disturbed the first"


def test_ctrl_c_ends_the_wait_for_another_training_and_disturbs_nobody(place: Place) -> None:
    """M74."""
    forget(place, "smoke_checkpoint", "smoke_verdict")

    with stopped_training(place) as (first, holder), second_graph(place, SMOKE) as (second, said):
        wait_until(lambda: b"waits for its turn" in said.read_bytes())
        os.killpg(second.pid, signal.SIGINT)
        assert second.wait(PATIENCE_SECONDS) != 0
        os.kill(holder, signal.SIGCONT)
        assert first.wait() == 0


def test_what_a_gate_refuses_is_refused_while_another_trains(place: Place) -> None:
    """M74: a refusal needs no turn; and it is one sentence, with no more of a traceback than Dagster prints."""
    forget(place, "full_checkpoint", "smoke_checkpoint", "smoke_verdict")

    with stopped_training(place), second_graph(place, FULL) as (second, said):
        assert second.wait(PATIENCE_SECONDS) == 1

    text, lines = said.read_text(), said.read_text().splitlines()
    refused = "resources.refusal.Refusal: the full run of 'demo' may not start: "
    assert text.count(refused) == 2  # Dagster tells it of the step and of the run
    assert sum(line.lstrip().startswith("File ") for line in lines) == 2
    assert len(lines) < 25


@pytest.mark.parametrize("with_its_trainer", [False, True], ids=["the graph", "the graph and its trainer"])
def test_a_graph_that_was_killed_holds_nothing_up_and_the_next_goes_on_by_itself(
    place: Place, with_its_trainer: bool
) -> None:
    """M74"""
    expected = made(place, "smoke_checkpoint").file("last/model.safetensors").read_bytes()
    forget(place, "smoke_checkpoint", "smoke_verdict")
    env = environment(place.project)

    with graph_at_work(place) as graph:
        if with_its_trainer:
            (path,) = (place.store.root / "work" / "smoke_checkpoint").glob("*/run.json")
            os.kill(int(json.loads(path.read_text())["owner"].split()[1]), signal.SIGKILL)
        graph.kill()
        graph.wait()
        done = shell(SMOKE, env)

    assert done.returncode == 0, done.stderr[-3000:]
    smoke = made(place, "smoke_checkpoint")
    (step,) = smoke.read_json("run.json")["resumed_from_steps"]
    assert step >= 40  # the last checkpoint, or what the trainer has saved on its way out
    assert smoke.file("last/model.safetensors").read_bytes() == expected
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        second, first = instance.get_runs()
        assert (first.status, second.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
        assert f"of run {first.run_id} on {os.uname().nodename} is gone: it was killed" in done.stderr
