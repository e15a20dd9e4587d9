"""What a gate is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.runlog import RunLog


@dataclass(frozen=True)
class Smoke:
    """A smoke's log, and what the full run that it is to license declares about itself before it starts."""

    log: RunLog
    full: RunFacts


@dataclass(frozen=True)
class Answer:
    """Whether the full run may start, in one word why not, and how many steps of the smoke it took to know."""

    passes: bool
    why: str
    steps: int


Gate = Callable[[Smoke], Answer]
