"""Turns: work that would only slow down other work of its kind on this machine goes on one at a time."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

ASKED_EVERY_SECONDS = 0.5
TOLD_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Turns:
    """`at_once` turns of this machine; `run` names who asks, beside its process.

    A turn is a lock of the kernel and ends with the process that took it, however that ends: nobody who was killed can
    hold it, and nobody who lives can lose it (M74). Each machine has its own, also where they share the folder."""

    folder: Path
    at_once: int = 1
    run: str = ""

    @contextmanager
    def take(self, work: str, *, say: Callable[[str], None]) -> Iterator[None]:
        """Holds a turn for as long as the block takes; whoever has to wait for one is told for whom, once a minute."""
        told = float("-inf")
        while (stream := self._free_turn()) is None:
            if time.monotonic() - told >= TOLD_EVERY_SECONDS:
                told = time.monotonic()
                say(f"{work} waits for its turn. At work: {'; '.join(self.holders())}. Ctrl-C ends the wait.")
            time.sleep(ASKED_EVERY_SECONDS)
        with stream:
            stream.truncate(0)
            stream.write(f"{work}, {self._who()}")
            stream.flush()
            if told > 0:
                say(f"{work}: its turn has come")
            yield

    def holders(self) -> list[str]:
        """Who wrote itself into each turn, as far as can be read: the last holder, where nobody holds it now."""
        return [
            path.read_text(encoding="utf-8", errors="replace").strip() or "another process" for path in self._paths()
        ]

    def _paths(self) -> list[Path]:
        here = self.folder / (platform.node() or "this-machine")
        here.mkdir(parents=True, exist_ok=True)
        paths = [here / f"turn-{number}" for number in range(self.at_once)]
        for path in paths:
            path.touch()
        return paths

    def _free_turn(self) -> TextIO | None:
        for path in self._paths():
            stream = path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
            else:
                return stream
        return None

    def _who(self) -> str:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        run = f" of run {self.run}" if self.run else ""
        return f"process {os.getpid()}{run} on {platform.node()} since {since}"
