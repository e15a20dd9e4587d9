"""Failures are classed by their cure, and only what a retry cures is tried again, while it gains steps (M41)."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path

import pytest

from mw_pipeline.errors import ArtifactError, CorpusError, GateError, RecipeError, UnfinishedError
from mw_pipeline.failures import (
    Attempt,
    Cure,
    cure_of_error,
    cure_of_exit,
    exit_status_of,
    next_move,
    words_of_exit,
)
from mw_pipeline.stages.attempts import AttemptLog, keep_trying

ERRORS: list[tuple[BaseException, Cure]] = [
    (RecipeError("a key"), "fix"),
    (CorpusError("a row"), "fix"),
    (ArtifactError("half a checkpoint"), "fix"),
    (GateError("a failed smoke"), "never"),
    (UnfinishedError("stopped at step 7"), "retry"),
    (KeyboardInterrupt(), "never"),
    (MemoryError(), "retry"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), "retry"),
    (OSError(errno.EIO, "the disk did not answer"), "retry"),
    (OSError(errno.ENOSPC, "the disk is full"), "fix"),
    (FileNotFoundError(errno.ENOENT, "no such file"), "fix"),
    (ZeroDivisionError(), "fix"),
]


@pytest.mark.parametrize(("error", "cure"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_has_one_cure_and_its_exit_status_the_same(error: BaseException, cure: Cure) -> None:
    assert cure_of_error(error) == cure
    assert cure_of_exit(exit_status_of(error)) == cure


@pytest.mark.parametrize(
    ("status", "cure", "words"),
    [
        (1, "never", "a gate refused"),
        (2, "fix", "bad input"),
        (70, "fix", "an unexpected error"),
        (75, "retry", "stopped before its end"),
        (-signal.SIGKILL, "retry", "killed by SIGKILL, as when memory runs out"),
        (128 + signal.SIGKILL, "retry", "killed by SIGKILL, as when memory runs out"),
        (-signal.SIGTERM, "retry", "killed by SIGTERM"),
        (-signal.SIGSEGV, "retry", "killed by SIGSEGV"),
        (-signal.SIGINT, "never", "killed by SIGINT"),
        (130, "never", "killed by SIGINT"),
        (64, "fix", "exit 64"),
    ],
)
def test_an_exit_status_has_one_cure_and_words(status: int, cure: Cure, words: str) -> None:
    assert (cure_of_exit(status), words_of_exit(status)) == (cure, words)


def attempts(*steps: int, cure: Cure = "retry") -> list[Attempt]:
    return [Attempt(cure, "killed", step) for step in steps]


def test_waits_double_and_are_bounded() -> None:
    waits = [next_move(attempts(*range(n)), allowed=20, backoff_seconds=5.0).wait_seconds for n in range(1, 9)]

    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_a_first_attempt_that_gained_nothing_may_have_a_second() -> None:
    assert next_move(attempts(0), allowed=3, backoff_seconds=1.0).restarts


def test_an_attempt_that_gained_no_step_is_the_last() -> None:
    stuck = next_move(attempts(100, 100), allowed=9, backoff_seconds=1.0)

    assert not stuck.restarts
    assert stuck.reason == "killed: no step was gained since the attempt before, at step 100"
    assert next_move(attempts(100, 101), allowed=9, backoff_seconds=1.0).restarts


@pytest.mark.parametrize(
    ("tried", "allowed", "reason"),
    [
        (attempts(5, cure="fix"), 9, "killed: no retry cures it, repair what it names"),
        (attempts(5, cure="never"), 9, "killed: the same again is not tried"),
        (attempts(5, 6, 7), 3, "killed: 3 attempts were allowed"),
    ],
)
def test_what_no_retry_cures_is_not_tried_again(tried: list[Attempt], allowed: int, reason: str) -> None:
    move = next_move(tried, allowed=allowed, backoff_seconds=1.0)

    assert (move.restarts, move.reason) == (False, reason)


def test_a_command_is_started_until_it_is_done_and_every_failure_is_written_down(tmp_path: Path) -> None:
    exits, steps, waited, said = iter([-9, 137, 0]), iter([10, 20]), [], []
    log = AttemptLog(tmp_path / "attempts.jsonl", run="r1", allowed=5, backoff_seconds=5.0)

    def start() -> tuple[int, Cure, str]:
        status = next(exits)
        return status, cure_of_exit(status), words_of_exit(status)

    status = keep_trying(start, log, step=lambda: next(steps), say=said.append, sleep=waited.append)

    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert (status, waited) == (0, [5.0, 10.0])
    assert [(row["attempt"], row["step"], row["cure"]) for row in rows] == [(1, 10, "retry"), (2, 20, "retry")]
    assert said[0].endswith("attempt 2 of 5 begins at step 10; waiting 5 s")


def test_what_a_kill_left_of_an_attempt_is_dropped_said_and_does_not_damage_the_next(tmp_path: Path) -> None:
    # M80: the next row was glued to it, and no later failure could be written down.
    path = tmp_path / "attempts.jsonl"
    log = AttemptLog(path, run="r1", allowed=5, backoff_seconds=0.0)
    assert "cut short" not in log.failed("retry", "killed", step=5).reason
    with path.open("a") as stream:
        stream.write('{"run": "r1", "at')

    move = log.failed("retry", "killed", step=10)

    assert move.reason.endswith("; attempts.jsonl: the last line was cut short after 17 bytes and was dropped")
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [5, 10]


def test_an_attempt_in_the_midst_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_text('{"run": "r1", "at\n{"run": "r2"}\n')

    with pytest.raises(ArtifactError, match=r"attempts\.jsonl:1: not JSON"):
        AttemptLog(path, run="r1", allowed=5, backoff_seconds=0.0).failed("retry", "killed", step=5)


@pytest.mark.parametrize("status", [1, 2, 70])
def test_a_permanent_failure_is_started_once(tmp_path: Path, status: int) -> None:
    # M41: restarted on any exit, also on errors that no retry can cure.
    started = []
    log = AttemptLog(tmp_path / "attempts.jsonl", run="r1", allowed=5, backoff_seconds=5.0)

    def start() -> tuple[int, Cure, str]:
        started.append(status)
        return status, cure_of_exit(status), words_of_exit(status)

    assert keep_trying(start, log, step=lambda: 0, say=lambda line: None, sleep=lambda s: None) == status
    assert started == [status]


def test_failures_of_another_run_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    AttemptLog(path, run="r1", allowed=2, backoff_seconds=0.0).failed("retry", "killed", step=5)

    assert AttemptLog(path, run="r2", allowed=2, backoff_seconds=0.0).failed("retry", "killed", step=5).restarts
