"""The clock of a run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RunClock:
    """Seconds of this process and of those before it; steps are timed apart from evaluations and saving."""

    before_seconds: float = 0.0
    begun: float = field(default_factory=time.perf_counter)
    step_seconds: list[float] = field(default_factory=list)
    eval_seconds: float = 0.0
    save_seconds: float = 0.0
    reported_seconds: float = 0.0

    @property
    def here_seconds(self) -> float:
        """Seconds since this process began the run."""
        return time.perf_counter() - self.begun

    @property
    def total_seconds(self) -> float:
        """Seconds over all processes that worked on the run, one after the other."""
        return self.before_seconds + self.here_seconds

    @contextmanager
    def step(self) -> Iterator[None]:
        """Times one step."""
        begun = time.perf_counter()
        yield
        self.step_seconds.append(time.perf_counter() - begun)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Times the writing of a checkpoint; the longest counts."""
        begun = time.perf_counter()
        yield
        self.save_seconds = max(self.save_seconds, time.perf_counter() - begun)

    def report_is_due(self, every_seconds: float) -> bool:
        """Whether so long has passed since it last was."""
        now = self.here_seconds
        if now - self.reported_seconds < every_seconds:
            return False
        self.reported_seconds = now
        return True

    @property
    def seconds_per_step(self) -> float:
        """Median of the last hundred steps, so that a busy moment does not count."""
        return statistics.median(self.step_seconds[-100:]) if self.step_seconds else 0.0

    def must_end(self, limit: float | None, *, evaluates_next: bool) -> bool:
        """Whether another step, its evaluation and the saving after it could overrun a limit in seconds.

        Not before the first step here: a limit that is too short for any would be met again and again and gain none."""
        if limit is None or not self.step_seconds:
            return False
        next_seconds = self.seconds_per_step + (self.eval_seconds if evaluates_next else 0.0)
        return self.here_seconds + next_seconds + self.save_seconds >= limit
