"""`mw-pipeline train --attempts N`: the same command in a child process, again where a retry cures its failure."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from mw_pipeline.failures import Cure, cure_of_exit, words_of_exit


class ChildCommand:
    """A command of this project in a process group of its own; signals to this process are handed on, each once."""

    def __init__(self, arguments: Sequence[str], *, seconds: float | None) -> None:
        self._arguments = [sys.executable, "-m", "mw_pipeline", *arguments]
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> tuple[int, Cure, str]:
        """Exit status, its cure and its words; after a signal to this process nothing is worth another attempt."""
        left = None if self._ends is None else max(1.0, self._ends - time.monotonic())
        limit = [] if left is None else ["--time-limit", f"{left:.0f}"]
        former = {number: signal.signal(number, self._forward_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with subprocess.Popen([*self._arguments, *limit], process_group=0) as self._child:
                status = self._child.wait()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
        if self._stopped:
            return status, "never", "stopped by a signal"
        if status != 0 and self._ends is not None and left is not None and self._ends - time.monotonic() < 0.1 * left:
            return status, "never", "the time limit is spent: run it again to go on"
        return status, cure_of_exit(status), words_of_exit(status)

    def _forward_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        if self._child is not None:
            self._child.send_signal(number)
