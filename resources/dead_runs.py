"""Runs whose process is gone: each run signs with its process, and whoever comes next ends those that were killed.

Dagster learns nothing of a run that was killed with SIGKILL: it would stay "started" for ever, and hold what it held.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import dagster as dg

from mw_pipeline.liveness import ProcessName, ancestors, name_of

PROCESS_TAG = "mw-pipeline/process"
_NO_PID = 2**31  # what no system takes for the number of a process
_AT_WORK = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def sign(instance: dg.DagsterInstance, run_id: str) -> None:
    """Tags a run with the process that runs all of it: the first that it names and that this one descends from.

    A run whose steps are spread over machines stays without a tag, and is never ended from here."""
    pid = next((pid for pid in _named_by(instance, run_id) if pid in ancestors()), None)
    process = name_of(pid) if pid is not None else None
    if process is not None:
        instance.add_run_tags(run_id, {PROCESS_TAG: json.dumps(dataclasses.asdict(process))})


def end_dead_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Marks every run at work as failed, or as canceled, whose process is certainly gone, and frees what it held.

    Yields a sentence for each."""
    here = name_of(next(ancestors()))
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_AT_WORK)):
        process = _signed(run)
        if process is None or here is None or not process.is_gone(here):
            continue
        now = instance.get_run_by_id(run.run_id)  # the last that it did may have been to end in good order
        if now is None or now.is_finished:
            continue
        sentence = (
            f"process {process.pid} of run {run.run_id} on {process.host} is gone: it was killed. Start the run again: "
            "training goes on from its last checkpoint."
        )
        if now.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, message=sentence)
        else:
            instance.report_run_failed(now, message=sentence)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        yield sentence


def _named_by(instance: dg.DagsterInstance, run_id: str) -> Iterator[int]:
    """The numbers of the processes that a run's engine events name, in their order: the run's own before its steps'."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata and (number := str(metadata["pid"].value)).isdecimal():
            yield int(number)


def _signed(run: dg.DagsterRun) -> ProcessName | None:
    """The process that a run was signed with; None for one without, or with what this code did not write."""
    try:
        found = ProcessName(**json.loads(run.tags.get(PROCESS_TAG, "")))
    except (ValueError, TypeError):
        return None
    pid, *words = dataclasses.astuple(found)
    return found if type(pid) is int and 0 < pid < _NO_PID and all(isinstance(word, str) for word in words) else None
