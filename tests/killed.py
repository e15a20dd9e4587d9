"""Processes that are killed by SIGKILL before one file operation after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

OPERATIONS = ("open", "os.rename", "os.remove", "os.truncate", "shutil.rmtree")


def kill_before(number: int, below: Path) -> None:
    """This process dies before its operation of this number on a file in a folder, counted from 0; for good."""
    left = [number]

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if event not in OPERATIONS or not str(arguments[0]).startswith(str(below)):
            return
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    sys.addaudithook(count)


def killed_at_every_file_operation(work: Callable[[Path], None], *, start: Callable[[int], Path]) -> Iterator[Path]:
    """Folders as `start` makes them, in each of which `work` was killed at another moment, the first to the last."""
    number, alive = 0, False
    while not alive:
        folder = start(number)
        child = os.fork()
        if child == 0:
            kill_before(number, folder)
            work(folder)
            os._exit(0)
        alive = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        number += 1
        yield folder
