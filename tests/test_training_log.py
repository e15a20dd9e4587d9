"""The log of a run: rows whole or absent, forgotten on a rewind, and one writer at a time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from killed import killed_at_every_file_operation
from toy_run import toy_plan, toy_recipe

from mw_pipeline.errors import ArtifactError
from mw_pipeline.train.folder import RunFolder
from mw_pipeline.train.log import EVALS, FIRST_STEPS, STEPS, TrainingLog, sole_writer
from mw_pipeline.verdict.early_stop import ROW_LOSSES
from mw_pipeline.verdict.evidence import DISCARDED, Evidence
from mw_pipeline.verdict.runlog import read_run
from mw_pipeline.verdict.watchdog import Watchdog


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    log = TrainingLog(tmp_path)
    log.append(STEPS, {"step": 1, "loss": 2.0})
    with (tmp_path / STEPS).open("a") as stream:
        stream.write('{"step": 2, "lo')

    assert log.rows(STEPS) == [{"step": 1, "loss": 2.0}]

    assert log.truncate_after(1) == ["steps.jsonl: the last line was cut short after 15 bytes and was dropped"]
    log.append(STEPS, {"step": 2, "loss": 1.0})
    assert log.truncate_after(2) == []
    assert [row["step"] for row in log.rows(STEPS)] == [1, 2]


def test_a_line_that_lacks_nothing_but_its_end_is_kept(tmp_path):
    (tmp_path / STEPS).write_text('{"step": 1}\n{"step": 2}')
    log = TrainingLog(tmp_path)

    assert log.truncate_after(2) == []
    assert (tmp_path / STEPS).read_text() == '{"step": 1}\n{"step": 2}\n'


def test_what_a_kill_left_of_a_discarded_row_does_not_damage_the_next(tmp_path):
    # M80: it was glued to the next one, and the finished run could not be read.
    log = TrainingLog(tmp_path)
    for step in (1, 2, 3):
        log.append(STEPS, {"step": step})
    (tmp_path / DISCARDED).write_text('{"step": 2}\n{"step": 3, "lo')

    (note,) = log.truncate_after(1)

    assert note == "discarded.jsonl: the last line was cut short after 15 bytes and was dropped"
    assert [row["step"] for row in Evidence.read(tmp_path).discarded] == [2, 2, 3]


@pytest.mark.parametrize("line", ["{broken", "[1]", "7", '{"loss": 1.0}', '{"step": "1"}'])
@pytest.mark.parametrize("name", [STEPS, EVALS, ROW_LOSSES, DISCARDED])
def test_a_line_in_the_midst_that_is_no_row_is_an_error_with_its_number(tmp_path, name, line):
    (tmp_path / name).write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')

    with pytest.raises(ArtifactError, match=rf"{name}:2: .* Restore the folder of the run, or delete it"):
        TrainingLog(tmp_path).rows(name)


def cut(out: Path) -> None:
    TrainingLog(out).truncate_after(2)


def test_a_kill_at_any_moment_of_a_cut_loses_and_invents_nothing(tmp_path):
    # M80
    kills = 0
    for out in killed_at_every_file_operation(cut, start=lambda number: grown(tmp_path / str(number))):
        cut(out)

        kills += 1
        for name in (STEPS, EVALS, ROW_LOSSES):
            assert [row["step"] for row in TrainingLog(out).rows(name)] == [1, 2], name
        discarded = [json.loads(line) for line in (out / DISCARDED).read_text().splitlines()]
        assert {row["step"] for row in discarded} == {3, 4}  # twice where the kill came after they were kept aside
        assert all(row == {"step": row["step"], "loss": 1.5} for row in discarded)
    assert kills > 10


def grown(out: Path) -> Path:
    """A log of four steps whose last line was cut short."""
    out.mkdir()
    log = TrainingLog(out)
    for step in range(1, 5):
        for name in (STEPS, EVALS, ROW_LOSSES):
            log.append(name, {"step": step, "loss": 1.5})
    with (out / STEPS).open("a") as stream:
        stream.write('{"step": 5, "lo')
    return out


def test_a_rewind_forgets_what_came_after_in_both_files(tmp_path):
    log = TrainingLog(tmp_path)
    for step in range(1, 6):
        log.append(STEPS, {"step": step})
        log.append(EVALS, {"step": step})

    log.truncate_after(3)

    assert [row["step"] for row in log.rows(STEPS)] == [row["step"] for row in log.rows(EVALS)] == [1, 2, 3]


def test_a_rewind_to_the_start_leaves_empty_files(tmp_path):
    TrainingLog(tmp_path).truncate_after(0)

    assert sorted(path.name for path in tmp_path.iterdir()) == [EVALS, FIRST_STEPS, ROW_LOSSES, STEPS]


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
        return {"step": step, "loss": 1 + 1 / step, "tokens": 7, "wall_seconds": seconds}

    recipe = toy_recipe(train={"steps": 400, "eval_every": 200})
    folder = RunFolder(toy_plan(toy, tmp_path, recipe=recipe), vocab_size=8)
    for step in range(1, 101):
        folder.log_step(row(step, 2.0 * step))
    folder.log.write_run({"resumed_from_steps": []})
    resumed, unsaid = RunFolder(folder.plan, vocab_size=8), Watchdog()
    resumed.rewind(90, pieces=630)
    rows = [row(step, 180 + 0.01 * (step - 90)) for step in range(91, 190)]
    for each in rows:
        resumed.log_step(each)

    assert resumed.finding is None
    found = [unsaid.observe_step(each) for each in (*resumed.log.rows(STEPS)[:90], *rows)]
    assert {hit.rule for hit in found if hit} == {"unreal"}
