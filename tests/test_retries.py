"""Failures of training under the graph: Dagster tries again what a retry cures, and nothing else (M41)."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import checks_of, environment, failure_of, materialize, shell, trainer_once_at
from tiny_project import change, forget

from mw_pipeline.artifact import Artifact
from mw_pipeline.stages import line
from mw_pipeline.stages.attempts import saved_step
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

WEIGHTS = ("best/model.safetensors", "last/model.safetensors")
SMOKE = "dagster asset materialize -m assets.definitions --select smoke_checkpoint --partition demo"
AT_ONCE = """--config-json '{"resources": {"trainer": {"config": {"backoff_seconds": 0.1}}}}'"""
FAULT = """
import errno, os, pathlib, sys

def fail_once(event, arguments):
    marker = pathlib.Path(os.environ["FAULT_MARKER"])
    if event == "os.rename" and ".last.new" in str(arguments[0]) and marker.exists():
        marker.unlink()
        raise {error}

sys.addaudithook(fail_once)
"""
LONG = ("steps = 300", "steps = 30000")
DISK = "OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[1]))"


def smoke_of(place: Place) -> Artifact:
    return line.smoke_checkpoint.demand(place, place.recipe("demo"))


def weights_of(smoke: Artifact) -> list[bytes]:
    return [smoke.file(name).read_bytes() for name in WEIGHTS]


def attempts_at(place: Place, stage: str = "smoke_checkpoint") -> list[dict[str, object]]:
    """What the store keeps of failed attempts."""
    path = place.store.root / "attempts" / f"{stage}-demo.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def step_events(events: Iterable[dg.DagsterEvent | None]) -> list[str]:
    """The events by which Dagster starts, restarts and ends the training step, in their order."""
    wanted = ("STEP_START", "STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS", "STEP_FAILURE")
    of_step = [event for event in events if event is not None and event.step_key == "smoke_checkpoint"]
    return [event.event_type_value for event in of_step if event.event_type_value in wanted]


def last_run(env: Mapping[str, str]) -> list[dg.DagsterEvent | None]:
    """All events of the last run that a shell has started."""
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        (record,) = instance.get_run_records(limit=1)
        return [entry.dagster_event for entry in instance.all_logs(record.dagster_run.run_id)]


def break_the_child_once(folder: Path, monkeypatch: pytest.MonkeyPatch, *, error: str) -> None:
    """The first process that moves a checkpoint into its place meets an error there, as the system would raise it."""
    (folder / "fault").mkdir()
    (folder / "fault" / "sitecustomize.py").write_text(FAULT.format(error=error))
    (folder / "fault" / "marker").touch()
    monkeypatch.setenv("FAULT_MARKER", str(folder / "fault" / "marker"))
    monkeypatch.setenv("PYTHONPATH", f"{folder / 'fault'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def kill_at(place: Place, step: int) -> threading.Thread:
    """A thread that kills the process that trains the smoke, as soon as its log has a step."""
    thread = threading.Thread(target=lambda: os.kill(trainer_once_at(place, "smoke_checkpoint", step), signal.SIGKILL))
    thread.start()
    return thread


def test_a_killed_child_is_started_again_by_the_graph_and_ends_with_the_weights_of_an_unbroken_run(
    place: Place,
) -> None:
    expected, env = weights_of(smoke_of(place)), environment(place.project)
    forget(place, "smoke_checkpoint", "smoke_verdict")

    killer = kill_at(place, 100)
    done = shell(f"{SMOKE} {AT_ONCE}", env)
    killer.join()

    assert done.returncode == 0, done.stderr[-3000:]
    assert step_events(last_run(env)) == ["STEP_START", "STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS"]
    (failed,) = attempts_at(place)
    assert (failed["attempt"], failed["cure"]) == (1, "retry") and failed["step"] >= 80  # type: ignore[operator]
    smoke = smoke_of(place)
    assert smoke.read_json("run.json")["resumed_from_steps"] == [failed["step"]]
    assert weights_of(smoke) == expected
    assert "attempt 2 of 3 begins at step" in done.stderr


def test_a_checkpoint_that_a_kill_left_between_two_names_counts(place: Place) -> None:
    forget(place, "smoke_checkpoint", "smoke_verdict")
    request = line.smoke_checkpoint.request(place, place.recipe("demo"))
    work = place.store.work_path(request.kind, request.key)
    found = [saved_step(place, line.smoke_checkpoint, "demo")]
    for name, step in ((".last.old", 80), (".last.new", 100), ("last", 120)):
        (work / name).mkdir(parents=True)
        (work / name / "checkpoint.json").write_text(json.dumps({"step": step}))
        found.append(saved_step(place, line.smoke_checkpoint, "demo"))

    assert found == [0, 80, 100, 120]


def test_a_disk_that_does_not_answer_once_costs_an_attempt_and_no_step(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights_of(smoke_of(place))
    forget(place, "smoke_checkpoint", "smoke_verdict")
    break_the_child_once(tmp_path, monkeypatch, error=DISK)

    result = materialize(place.project, "smoke_checkpoint", backoff_seconds=0.1)

    assert result.success
    assert step_events(result.all_events) == ["STEP_START", "STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS"]
    (failed,) = attempts_at(place)
    assert failed["cure"] == "retry" and "Input/output error" in str(failed["reason"])
    assert weights_of(smoke_of(place)) == expected


def test_a_bug_is_not_tried_again(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(place, "smoke_checkpoint", "smoke_verdict")
    break_the_child_once(tmp_path, monkeypatch, error="ZeroDivisionError('a bug')")

    result = materialize(place.project, "smoke_checkpoint")

    assert step_events(result.all_events) == ["STEP_START", "STEP_FAILURE"]
    assert "its process died" in failure_of(result, "smoke_checkpoint")
    assert [row["cure"] for row in attempts_at(place)] == ["fix"]


def test_a_run_that_the_watchdog_stopped_is_an_answer_and_no_reason_to_try_again(place: Place) -> None:
    change(place.project, "peak_lr = 5e-3", "peak_lr = 0.5")
    assert materialize(place.project, "source_mix").success

    result = materialize(place.project, "smoke_checkpoint", "full_checkpoint")

    assert not result.success
    assert step_events(result.all_events) == ["STEP_START", "STEP_SUCCESS"]
    assert smoke_of(place).metrics["status"] == "DIVERGED"
    assert checks_of(result) == {"smoke_verdict": False}
    assert not attempts_at(place)


def test_a_run_that_is_refused_in_its_child_is_not_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    change(place.project, *LONG)
    monkeypatch.setenv("MW_TIME_LIMIT", "20")

    result = materialize(place.project, "smoke_checkpoint")

    assert step_events(result.all_events) == ["STEP_START", "STEP_FAILURE"]
    assert failure_of(result, "smoke_checkpoint").startswith("the smoke run of 'demo' stops here: the time limit")
    assert [row["cure"] for row in attempts_at(place)] == ["never"]


def test_a_part_whose_time_is_over_is_left_to_the_next_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    change(place.project, *LONG)
    monkeypatch.setenv("MW_TIME_LIMIT", "4")
    monkeypatch.setenv("MW_IN_PARTS", "1")

    result = materialize(place.project, "smoke_checkpoint")

    assert step_events(result.all_events) == ["STEP_START", "STEP_FAILURE"]
    assert "(BUDGET_EXHAUSTED). Run `dagster asset materialize" in failure_of(result, "smoke_checkpoint")
    (failed,) = attempts_at(place)
    assert failed["cure"] == "never" and failed["step"] > 0  # type: ignore[operator]
