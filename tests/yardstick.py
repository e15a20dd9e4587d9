"""How long work takes, as a ratio to plain Python in the same process: the same limit holds on any machine."""

from __future__ import annotations

import time
from collections.abc import Callable

_TEXT = "13 rue de la République, 75001 Paris " * 4000


def in_yardsticks(work: Callable[[], object], *, tries: int = 3) -> float:
    """Processor time of `work` divided by that of splitting and counting 0.6 MB of words; the best of `tries` each.

    The two are timed in turn, so that a machine that slows down between them slows both."""
    pairs = [(_seconds(work), _seconds(_count_words)) for _ in range(tries)]
    return min(seconds for seconds, _ in pairs) / min(seconds for _, seconds in pairs)


def _count_words() -> dict[str, int]:
    counts: dict[str, int] = {}
    for _ in range(10):
        for word in _TEXT.split():
            counts[word] = counts.get(word, 0) + len(word)
    return counts


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
