"""How tests wait for what other processes and threads do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 180.0


def wait_until(true: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds; fails when it does not for too long."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.002)
