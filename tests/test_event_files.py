"""TensorBoard event files: what a restart took back is not judged, and the events of two runs are refused (M85)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from run_logs import Curve, line

from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import Verdict, verdict
from mw_pipeline.verdict.logfiles import read_log
from mw_pipeline.verdict.runlog import RunLog

tensorboard = pytest.importorskip("torch.utils.tensorboard")

PEAK, WARMUP, STEPS = 2e-3, 40, 1600
LEARNS: Curve = line([(0, 3.3), (500, 0.4), (1600, 0.36)])
BREAKS: Curve = line([(0, 3.3), (500, 0.4), (700, 0.4), (900, 4.0)])
STARTED = 1.8e9


def write(
    folder: Path,
    steps: Iterable[int],
    *,
    number: int = 0,
    loss: Curve = LEARNS,
    purge_step: int | None = None,
    late: float = 0.0,
    tags: tuple[str, ...] = ("train/loss", "train/lr", "val/f1", "val/loss"),
) -> None:
    """One event file of a run; `number` orders the files, `late` are the seconds by which it was begun late."""
    values = {"train/loss": loss, "train/lr": lambda s: PEAK * min(1.0, s / WARMUP)}
    values |= {"train/epoch": lambda s: s / 400, "val/f1": lambda s: min(0.9, s / 700), "val/loss": lambda s: 0.45}
    with tensorboard.SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{number}") as writer:
        for step in steps:
            for tag in tags:
                if tag.startswith("train") or step % 100 < 8:
                    noise = 1e-4 * (step * 7 % 11)
                    writer.add_scalar(
                        tag, values[tag](step) + (noise if tag == "train/loss" else 0), step, STARTED + late + step
                    )


def judge(log: RunLog) -> Verdict:
    facts = RunFacts(resumed_from=tuple(log.run.get("resumed_from_steps", ())))
    return verdict(facts, RunFacts("cosine", 3000, WARMUP, None, PEAK), log.steps, log.evals)


def test_a_restart_takes_back_what_stood_there_from_its_step_on(tmp_path: Path) -> None:
    write(tmp_path / "alone", range(8, 1000, 8), loss=BREAKS)
    assert judge(read_log(tmp_path / "alone")).rule == "rebound"

    # The new steps are others than those that were taken back: no later value stands over an older one.
    write(tmp_path / "both", range(8, 1000, 8), loss=BREAKS)
    write(tmp_path / "both", range(603, STEPS + 1, 8), number=1, purge_step=600, late=2000)
    log = read_log(tmp_path / "both")

    assert judge(log).outcome == "pass"
    assert [row["step"] for row in log.steps] == [*range(8, 600, 8), *range(603, STEPS + 1, 8)]
    assert log.run == {"resumed_from_steps": [599]}
    assert any("were taken back by a restart" in note for note in log.notes)


def test_a_run_that_restarts_and_breaks_after_that_is_judged_by_what_came_last(tmp_path: Path) -> None:
    write(tmp_path, range(8, 1000, 8))
    write(tmp_path, range(603, STEPS + 1, 8), number=1, purge_step=600, late=2000, loss=BREAKS)

    assert judge(read_log(tmp_path)).rule == "rebound"


def test_a_restart_within_one_file_counts_too(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    for step in (10, 20, 30):
        writer.add_event(Event(step=step, wall_time=float(step), summary=scalar_pb("loss", 9.0)))
    writer.add_event(Event(step=20, wall_time=35.0, session_log=SessionLog(status=SessionLog.START)))
    for step in (25, 35):
        writer.add_event(Event(step=step, wall_time=30.0 + step, summary=scalar_pb("loss", 1.0)))
    writer.close()

    assert [(row["step"], row["loss"]) for row in read_log(tmp_path).steps] == [(10, 9.0), (25, 1.0), (35, 1.0)]


@pytest.mark.parametrize("first", [603, 1003])
def test_a_writer_that_goes_on_without_a_word_is_the_same_run(tmp_path: Path, first: int) -> None:
    write(tmp_path, range(8, 1000, 8), loss=BREAKS if first < 1000 else LEARNS)
    write(tmp_path, range(first, STEPS + 1, 8), number=1, late=2000)
    log = read_log(tmp_path)

    assert judge(log).outcome == "pass"
    assert [row["step"] for row in log.steps] == [*range(8, min(first, 1000), 8), *range(first, STEPS + 1, 8)]


def test_the_events_of_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, range(8, STEPS + 1, 8))
    write(tmp_path, range(8, STEPS + 1, 8), number=1, late=2000, loss=BREAKS)

    with pytest.raises(ArtifactError, match=r"holds the events of several runs .*\.0, .*\.1\).* Name one file"):
        read_log(tmp_path)
    alone = sorted(tmp_path.iterdir())[0]
    assert judge(read_log(alone)).outcome == "pass"


def test_another_run_that_logs_less_often_does_not_go_on_from_the_first(tmp_path: Path) -> None:
    write(tmp_path, range(8, STEPS + 1, 8))
    write(tmp_path, range(40, STEPS + 1, 40), number=1, late=2000)

    with pytest.raises(ArtifactError, match="several runs"):
        read_log(tmp_path)


def test_two_runs_at_once_are_refused_though_one_began_later(tmp_path: Path) -> None:
    write(tmp_path, range(8, STEPS + 1, 8))
    write(tmp_path, range(400, STEPS + 1, 8), number=1, late=10)

    with pytest.raises(ArtifactError, match="several runs"):
        read_log(tmp_path)


def test_two_writers_of_one_run_with_columns_of_their_own_are_joined(tmp_path: Path) -> None:
    write(tmp_path, range(8, STEPS + 1, 8), tags=("train/loss", "train/lr", "train/epoch"))
    write(tmp_path, range(8, STEPS + 1, 8), number=1, late=1, tags=("val/f1", "val/loss", "train/epoch"))
    log = read_log(tmp_path)

    assert (judge(log).outcome, log.run, log.notes) == ("pass", {}, ())


def test_the_rates_of_parameter_groups_are_read_from_events(tmp_path: Path) -> None:
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        for step in range(8, 80, 8):
            writer.add_scalar("loss", 3.0 / step, step)
            for group, share in (("lr-AdamW/pg1", 1.0), ("lr-AdamW/pg2", 0.1)):
                writer.add_scalar(group, share * PEAK * min(1.0, step / WARMUP), step)
    log = read_log(tmp_path)

    assert [row["lr"] for row in log.steps] == pytest.approx([PEAK * min(1.0, s / WARMUP) for s in range(8, 80, 8)])
