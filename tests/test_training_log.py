"""The log of a run: rows whole or absent, forgotten on a rewind, and one writer at a time."""

from __future__ import annotations

import math

import pytest
from toy_run import toy_plan

from mw_pipeline.errors import ArtifactError
from mw_pipeline.train.folder import RunFolder
from mw_pipeline.train.log import EVALS, STEPS, TrainingLog, sole_writer
from mw_pipeline.verdict.early_stop import ROW_LOSSES
from mw_pipeline.verdict.runlog import read_run
from mw_pipeline.verdict.watchdog import Watchdog


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    log = TrainingLog(tmp_path)
    log.append(STEPS, {"step": 1, "loss": 2.0})
    with (tmp_path / STEPS).open("a") as stream:
        stream.write('{"step": 2, "lo')

    assert log.rows(STEPS) == [{"step": 1, "loss": 2.0}]

    log.truncate_after(1)
    log.append(STEPS, {"step": 2, "loss": 1.0})
    assert [row["step"] for row in log.rows(STEPS)] == [1, 2]


def test_a_rewind_forgets_what_came_after_in_both_files(tmp_path):
    log = TrainingLog(tmp_path)
    for step in range(1, 6):
        log.append(STEPS, {"step": step})
        log.append(EVALS, {"step": step})

    log.truncate_after(3)

    assert [row["step"] for row in log.rows(STEPS)] == [row["step"] for row in log.rows(EVALS)] == [1, 2, 3]


def test_a_rewind_to_the_start_leaves_empty_files(tmp_path):
    TrainingLog(tmp_path).truncate_after(0)

    assert sorted(path.name for path in tmp_path.iterdir()) == [EVALS, ROW_LOSSES, STEPS]


def test_numbers_that_are_not_finite_reach_the_reader(tmp_path):
    log = TrainingLog(tmp_path)
    log.append(STEPS, {"step": 1, "loss": math.nan, "grad_norm": math.inf})
    log.truncate_after(1)

    (row,) = read_run(tmp_path).steps
    assert math.isnan(row["loss"]) and row["grad_norm"] == math.inf


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    TrainingLog(tmp_path).write_run({"owner": "process 7 on elsewhere"})

    with (
        sole_writer(tmp_path),
        pytest.raises(ArtifactError, match=r"process 7 on elsewhere is training here. Wait for it to end"),
        sole_writer(tmp_path),
    ):
        pass
    with sole_writer(tmp_path):
        pass


def test_a_run_that_goes_on_on_a_faster_machine_is_not_taken_for_one_that_does_not_train(toy, tmp_path):
    def row(step, seconds):
        return {"step": step, "loss": 1 + 1 / step, "wall_seconds": seconds}

    folder = RunFolder(toy_plan(toy, tmp_path), vocab_size=8)
    for step in range(1, 101):
        folder.log_step(row(step, 2.0 * step))
    folder.log.write_run({"resumed_from_steps": []})
    resumed, unsaid = RunFolder(folder.plan, vocab_size=8), Watchdog()
    resumed.rewind(90)
    rows = [row(step, 180 + 0.01 * (step - 90)) for step in range(91, 190)]
    for each in rows:
        resumed.log_step(each)

    assert resumed.finding is None
    found = [unsaid.observe_step(each) for each in (*resumed.log.rows(STEPS)[:90], *rows)]
    assert {hit.rule for hit in found if hit} == {"unreal"}
