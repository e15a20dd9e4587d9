"""A run whose process was killed is ended by whoever comes next, and what it held is freed (M74)."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import ROOT, graph, materialize
from tiny_project import write_project

from mw_pipeline.liveness import ProcessName, name_of
from resources.dead_runs import PROCESS_TAG, end_dead_runs, sign
from resources.place import PlaceResource

AT_WORK, CANCELING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A real instance, with a pool of one slot."""
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        found.event_log_storage.set_concurrency_slots("gpu", 1)
        yield found


def process(*, alive: bool, **elsewhere: object) -> ProcessName:
    """This process, or one that was killed; as another machine would have named it."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as killed:
        found = name_of(os.getpid() if alive else killed.pid)
        killed.kill()
    assert found is not None
    return dataclasses.replace(found, **elsewhere)  # type: ignore[arg-type]


def run_of(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]) -> str:
    """A run that holds the only slot of the pool."""
    run = dg.DagsterRun(job_name="anything", status=status, tags=tags)
    instance.add_run(run)
    instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "train")
    assert holders(instance) == {run.run_id}
    return run.run_id


def holders(instance: dg.DagsterInstance) -> set[str]:
    return {slot.run_id for slot in instance.event_log_storage.get_concurrency_info("gpu").claimed_slots}


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def signed(name: ProcessName) -> dict[str, str]:
    return {PROCESS_TAG: json.dumps(dataclasses.asdict(name))}


@pytest.mark.parametrize(
    ("at_work", "ended"),
    [(AT_WORK, dg.DagsterRunStatus.FAILURE), (CANCELING, dg.DagsterRunStatus.CANCELED)],
)
def test_a_run_whose_process_is_gone_is_ended_and_gives_back_its_slot(
    instance: dg.DagsterInstance, at_work: dg.DagsterRunStatus, ended: dg.DagsterRunStatus
) -> None:
    killed = process(alive=False)
    run_id = run_of(instance, at_work, signed(killed))

    (sentence,) = end_dead_runs(instance)

    assert sentence.startswith(f"process {killed.pid} of run {run_id} on {killed.host} is gone: it was killed.")
    assert status_of(instance, run_id) == ended
    assert holders(instance) == set()
    assert list(end_dead_runs(instance)) == []


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param(signed(process(alive=True)), id="its process lives"),
        pytest.param(signed(process(alive=False, host="elsewhere", boot="another")), id="on another machine"),
        pytest.param({}, id="unsigned"),
        pytest.param({PROCESS_TAG: "no name"}, id="signed by something else"),
        pytest.param({PROCESS_TAG: "[]"}, id="signed with a list"),
        pytest.param(signed(process(alive=False, pid=10**30)), id="with a number that none can have"),
        pytest.param(signed(process(alive=False, pid="7")), id="with a number that is text"),
        pytest.param(signed(process(alive=False, boot=None)), id="with a boot that is no text"),
    ],
)
def test_a_run_that_may_be_at_work_is_left_alone(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    run_id = run_of(instance, AT_WORK, tags)

    assert list(end_dead_runs(instance)) == []
    assert status_of(instance, run_id) == AT_WORK
    assert holders(instance) == {run_id}


def test_a_run_that_has_ended_in_good_order_stays_as_it_ended(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(job_name="anything", status=dg.DagsterRunStatus.SUCCESS, tags=signed(process(alive=False)))
    instance.add_run(run)

    assert list(end_dead_runs(instance)) == []
    assert status_of(instance, run.run_id) == dg.DagsterRunStatus.SUCCESS


def test_the_daemon_ends_them_as_well_and_says_so(instance: dg.DagsterInstance) -> None:
    sensor = graph().resolve_sensor_def("killed_runs")
    run_id = run_of(instance, AT_WORK, signed(process(alive=False)))

    said = []
    for _ in range(2):
        with dg.build_sensor_context(instance=instance, repository_def=graph().get_repository_def()) as context:
            said.append(sensor.evaluate_tick(context).skip_message)

    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert f"of run {run_id} on" in str(said[0])
    assert said[1] == "every run at work has its process"
    assert status_of(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_every_run_of_the_graph_is_signed_and_ends_the_dead_ones_before_it(
    instance: dg.DagsterInstance, tmp_path: Path, project: Path
) -> None:
    folder = write_project(tmp_path / "project", golden=project / "golden")
    dead = run_of(instance, AT_WORK, signed(process(alive=False)))

    result = materialize(folder, "golden_set", partition="builtin", instance=instance)

    assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None and ProcessName(**json.loads(run.tags[PROCESS_TAG])) == name_of(os.getpid())
    assert status_of(instance, dead) == dg.DagsterRunStatus.FAILURE


@dg.op(required_resource_keys={"place"})
def report_who_runs_it() -> int:
    return os.getpid()


@dg.job(resource_defs={"place": PlaceResource()}, executor_def=dg.multiprocess_executor)
def spread() -> None:
    report_who_runs_it()


@pytest.mark.slow
def test_a_run_whose_steps_have_processes_of_their_own_is_signed_by_the_one_that_runs_them_all(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # Dagster forgets the first folder, where this file lies
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = dg.execute_job(dg.reconstructable(spread), instance=instance)

    assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None and json.loads(run.tags[PROCESS_TAG])["pid"] == os.getpid()


def test_a_run_of_which_nothing_is_known_is_not_signed(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(job_name="anything", status=AT_WORK)
    instance.add_run(run)

    sign(instance, run.run_id)

    found = instance.get_run_by_id(run.run_id)
    assert found is not None and PROCESS_TAG not in found.tags
