"""Trainings take turns on a machine: nobody who was killed holds one, and nobody who lives loses one (M74)."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mw_pipeline.turns import Turns

PATIENCE_SECONDS = 60.0
SCRIPT = """
import sys
from pathlib import Path
from mw_pipeline.turns import Turns

with Turns(Path(sys.argv[1]), run=sys.argv[2]).take("smoke of 'first'", say=lambda line: print(line, flush=True)):
    print("has it", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(folder: Path, *, until: str = "has it") -> Iterator[subprocess.Popen[str]]:
    """A process that takes a turn and keeps it; returns once it has said the words."""
    command = [sys.executable, "-c", SCRIPT, str(folder), "run-1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout is not None
        try:
            while until not in it.stdout.readline():
                assert it.poll() is None
            yield it
        finally:
            it.kill()


def waiter(folder: Path, said: list[str]) -> threading.Thread:
    """A thread that takes a turn in between, and ends when it had one."""

    def take() -> None:
        with Turns(folder).take("smoke of 'second'", say=said.append):
            pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread


def wait_for(said: list[str], words: str) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not any(words in line for line in said):
        assert time.monotonic() < limit, said
        time.sleep(0.01)


def test_the_second_is_told_for_whom_it_waits_and_goes_on_when_the_first_was_killed(tmp_path: Path) -> None:
    said: list[str] = []

    with another(tmp_path) as first:
        second = waiter(tmp_path, said)
        wait_for(said, "waits for its turn")
        first.kill()
        second.join(PATIENCE_SECONDS)

    assert not second.is_alive()
    assert said[0].startswith("smoke of 'second' waits for its turn. At work: smoke of 'first', process ")
    assert f"process {first.pid} of run run-1 on {platform.node()} since 2" in said[0]
    assert said[1:] == ["smoke of 'second': its turn has come"]


def test_a_process_that_lives_keeps_its_turn_though_it_does_nothing(tmp_path: Path) -> None:
    said: list[str] = []

    with another(tmp_path) as first:
        first.send_signal(signal.SIGSTOP)
        second = waiter(tmp_path, said)
        wait_for(said, "waits for its turn")
        second.join(3)
        assert second.is_alive()
        first.send_signal(signal.SIGCONT)
        first.kill()
        second.join(PATIENCE_SECONDS)

    assert not second.is_alive()


def test_nobody_waits_for_a_turn_that_is_free(tmp_path: Path) -> None:
    said: list[str] = []

    for _ in range(2):
        with Turns(tmp_path).take("smoke of 'second'", say=said.append):
            pass

    assert said == []


def test_as_many_work_at_once_as_there_are_turns(tmp_path: Path) -> None:
    said: list[str] = []

    with another(tmp_path), Turns(tmp_path, at_once=2).take("smoke of 'second'", say=said.append):
        third = waiter(tmp_path, said)
        wait_for(said, "waits for its turn")

    third.join(PATIENCE_SECONDS)
    assert not third.is_alive()


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    with another(tmp_path), another(tmp_path, until="waits for its turn") as second:
        second.send_signal(signal.SIGINT)
        assert second.wait(PATIENCE_SECONDS) != 0
        assert second.stderr is not None and "KeyboardInterrupt" in second.stderr.read()


def test_machines_that_share_a_folder_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    with another(tmp_path):
        monkeypatch.setattr(platform, "node", lambda: "another-machine")
        with Turns(tmp_path).take("smoke of 'second'", say=said.append):
            pass

    assert said == []
    assert [path.name for path in (tmp_path / "another-machine").iterdir()] == ["turn-0"]
