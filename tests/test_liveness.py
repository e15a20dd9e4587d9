"""A process counts as gone only where that is certain: not elsewhere, not in another container, not by its number."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mw_pipeline.liveness import ProcessName, ancestors, name_of

HOST_NUMBERS = "pid:[4026531836]"
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def this_process() -> ProcessName:
    found = name_of(os.getpid())
    assert found is not None
    return found


def name_of_child(process: subprocess.Popen[bytes]) -> ProcessName:
    found = name_of(process.pid)
    assert found is not None
    return found


def test_a_process_that_lives_is_not_gone_also_when_it_is_stopped(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of_child(sleeper)

    assert not name.is_gone(this_process())
    sleeper.send_signal(signal.SIGSTOP)
    assert not name.is_gone(this_process())
    assert not this_process().is_gone(this_process())


def test_a_killed_process_is_gone_whether_or_not_its_parent_has_asked(sleeper: subprocess.Popen[bytes]) -> None:
    name = name_of_child(sleeper)

    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    assert name.is_gone(this_process())
    sleeper.wait()
    assert name.is_gone(this_process())
    assert name_of(sleeper.pid) is None


def test_a_later_process_of_the_same_number_is_not_taken_for_it(sleeper: subprocess.Popen[bytes]) -> None:
    earlier = dataclasses.replace(name_of_child(sleeper), began="7")

    assert earlier.is_gone(this_process())


GONE = ProcessName(pid=2**22 + 1, began="7", host="a", machine="m", boot="b", numbers=HOST_NUMBERS)
ASKED_BY = dataclasses.replace(GONE, pid=1)


def test_a_number_that_nobody_has_is_gone_on_the_machine_that_had_it() -> None:
    assert GONE.is_gone(ASKED_BY)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"host": "c", "machine": "n", "boot": "d"}, id="another machine"),
        pytest.param({"boot": "d", "machine": "n"}, id="another machine of the same name"),
        pytest.param({"boot": "d", "host": "c"}, id="a copy of the machine under another name"),
        pytest.param({"boot": "d", "machine": ""}, id="one that does not tell which it is"),
        pytest.param({"boot": ""}, id="one that does not tell when it was started"),
        pytest.param({"numbers": "pid:[4026532201]"}, id="another container of the machine"),
        pytest.param({"boot": "d", "numbers": "pid:[4026532201]"}, id="a container elsewhere"),
    ],
)
def test_what_runs_elsewhere_is_never_gone(other: dict[str, str]) -> None:
    assert not dataclasses.replace(GONE, **other).is_gone(ASKED_BY)


def test_all_processes_are_gone_from_before_the_machine_was_started_again() -> None:
    assert dataclasses.replace(GONE, pid=1, boot="earlier").is_gone(ASKED_BY)


def test_the_ancestors_of_a_process_begin_with_itself_and_its_parent() -> None:
    parent = os.getppid()

    assert list(ancestors())[:2] == [os.getpid(), *([parent] if parent > 1 else [])]
