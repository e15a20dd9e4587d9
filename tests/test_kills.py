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
from contextlib import contextmanager
from pathlib import Path

import pytest
from graph_runs import ROOT, environment, failure_of, materialize, shell
from tiny_project import forget

from mw_pipeline.artifact import Artifact
from mw_pipeline.stages import requests
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "tiny_line.py"
PATIENCE_SECONDS = 60.0
REQUESTS: dict[str, Callable[[Place], requests.Request]] = {
    "corpus_shards": lambda place: requests.shards(place, "builtin", "builtin"),
    "tokenized_dataset": lambda place: requests.dataset(place, place.recipe("demo")),
    "smoke_checkpoint": lambda place: requests.smoke(place, place.recipe("demo")),
}


def made(place: Place, kind: str) -> Artifact:
    return REQUESTS[kind](place).demand(place.store)


def wait_until(true: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.002)


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
    assert requests.verdict(place, place.recipe("demo")).demand(place.store).metrics["outcome"] == "pass"
    assert not list((place.store.root / "work").glob("*/*"))


WEIGHTS = ("best/model.safetensors", "last/model.safetensors")


def rows_of(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_goes_on_from_the_folder_that_was_named(place: Place, tmp_path: Path) -> None:
    # M38: a run that was interrupted in another store, resumed in one that knows nothing of it.
    from mw_pipeline.stages.training import smoke_checkpoint

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

    smoke = smoke_checkpoint(place, "demo", resume_from=elsewhere).artifact

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


def test_the_second_of_two_graphs_on_one_partition_exits_1_and_is_told_who_holds_it(place: Place) -> None:
    # M64: on one Dagster home the second waits for the place in the pool; this one is another person's.
    forget(place, "smoke_checkpoint", "smoke_verdict")
    other = place.project / "other"
    other.mkdir()
    (other / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())

    with graph_at_work(place) as first:
        (path,) = (place.store.root / "work" / "smoke_checkpoint").glob("*/run.json")
        holder = int(json.loads(path.read_text())["owner"].split()[1])
        os.kill(holder, signal.SIGSTOP)  # so that it is still at work when the second begins
        second = shell(SMOKE, {**environment(place.project), "DAGSTER_HOME": str(other)})
        os.kill(holder, signal.SIGCONT)

        assert second.returncode == 1
        assert f" is being made by process {holder} on {os.uname().nodename} since " in second.stderr
        assert "Wait for it to end, or stop it." in second.stderr
        assert first.wait() == 0
    run = made(place, "smoke_checkpoint").read_json("run.json")
    assert not run.get("resumed_from_steps"), "the second must not have disturbed the first"
