"""Claims of one machine: a lock of the kernel on a file, which ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mw_pipeline.errors import ArtifactError

_ASKED_EVERY_SECONDS = 0.05


@contextmanager
def claimed(path: Path, what: str, *, patience_seconds: float) -> Iterator[None]:
    """Holds the claim in a file. Raises ArtifactError naming the owner when another process has it for longer than the
    patience lasts."""
    ends = time.monotonic() + patience_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        while not _is_mine(stream):
            if time.monotonic() >= ends:
                stream.seek(0)
                raise ArtifactError(
                    f"{what} is being made by {stream.read().strip() or 'another process'}. "
                    "Wait for it to end, or stop it."
                )
            time.sleep(_ASKED_EVERY_SECONDS)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        stream.flush()
        yield


def _is_mine(stream: IO[str]) -> bool:
    """Whether this process holds the lock of an open file now; it keeps it until the file is closed."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
