"""Whether a process is certainly gone: asked on the machine that it ran on, and never guessed from elsewhere."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_OF_THE_MACHINE = "pid:[4026531836]"
"""The kernel's name for the process numbers of the machine itself: those of a container have another."""


@dataclass(frozen=True)
class ProcessName:
    """A process that no later one can be taken for: its number, when it began in ticks since boot, and where.

    `boot` is drawn anew at each start of a machine; `machine` stays; `numbers` tells the process numbers of a container
    from those of its host. What a system does not tell is empty."""

    pid: int
    began: str
    host: str
    machine: str
    boot: str
    numbers: str

    def is_gone(self, here: ProcessName) -> bool:
        """Whether it has certainly ended, asked by the process `here`. What runs elsewhere is never gone."""
        if "" in (self.boot, here.boot):
            return False
        if self.boot != here.boot:  # another machine, or this one before it was started again
            mine = (self.host, self.machine) == (here.host, here.machine)
            return mine and self.machine != "" and self.numbers == here.numbers == _OF_THE_MACHINE
        if (self.host, self.numbers) != (here.host, here.numbers):
            return False
        return _is_gone(self.pid, self.began)


def name_of(pid: int) -> ProcessName | None:
    """The name of a process of this machine, or None where there is none of this number."""
    if _is_gone(pid, ""):
        return None
    return ProcessName(
        pid=pid,
        began=_began(pid),
        host=platform.node(),
        machine=_text(Path("/etc/machine-id")),
        boot=_text(_PROC / "sys/kernel/random/boot_id"),
        numbers=_link(_PROC / "self/ns/pid"),
    )


def ancestors() -> Iterator[int]:
    """The number of this process, of its parent, and of theirs, as far as the system tells."""
    pid = os.getpid()
    yield pid
    pid = os.getppid()
    while pid > 1:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def _is_gone(pid: int, began: str) -> bool:
    try:
        with contextlib.suppress(PermissionError):  # there, and another person's
            os.kill(pid, 0)
    except ProcessLookupError:
        return True
    fields = _stat(pid)
    if not fields:  # a system that tells no more than that the number is in use
        return False
    return fields[0] in "ZX" or bool(began and fields[19] != began)


def _began(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: state, parent, ..., ticks from boot to start; none where unknown."""
    return _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()  # the second is the command, with any text in it


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""
