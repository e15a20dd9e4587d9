"""The log of failed attempts at a training stage, and how far a checkpoint has come."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.errors import MwError, StoreError
from mw_pipeline.failures import Attempt, Cure, Move, next_move
from mw_pipeline.json_lines import append_line, mend, sync
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.stage import Stage
from mw_pipeline.verdict.runlog import read_lines

ATTEMPTS_FILE = "attempts.jsonl"
_LAST = ("last", ".last.new", ".last.old")  # a kill may have come between the two renames of a checkpoint


class AttemptLog:
    """Failed attempts in a file of JSON lines, each with the move that followed it; `run` names who tries."""

    def __init__(self, path: Path, *, run: str, allowed: int, backoff_seconds: float) -> None:
        self.path = path
        self._run = run
        self._allowed = allowed
        self._backoff_seconds = backoff_seconds

    def failed(self, cure: Cure, reason: str, *, step: int) -> Move:
        """Writes a failure down and returns what to do after it, in view of the earlier ones of this run.

        Its reason says too when a kill had cut the last row short (M80)."""
        torn = mend(self.path)  # else this row would be glued to what a kill left of the one before
        attempts = [*self._earlier(), Attempt(cure, reason, step)]
        move = next_move(attempts, allowed=self._allowed, backoff_seconds=self._backoff_seconds)
        move = dataclasses.replace(move, reason=f"{move.reason}; {torn}") if torn else move
        row: JSON = {
            "run": self._run,
            "attempt": len(attempts),
            **dataclasses.asdict(attempts[-1]),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "move": dataclasses.asdict(move),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, row)
        sync(self.path)
        return move

    def _earlier(self) -> list[Attempt]:
        rows = [row for _, row in read_lines(self.path)[0]] if self.path.is_file() else []
        return [Attempt(row["cure"], row["reason"], row["step"]) for row in rows if row["run"] == self._run]


def saved_step(place: Place, stage: Stage, recipe_name: str) -> int:
    """The step of the last checkpoint of a training stage that has not ended; 0 before the first, or elsewhere.

    A place that remembers has it looked for where it was before when the store does not answer."""
    try:
        work = _work_of(place, stage, recipe_name)
        return next((step for name in _LAST if (step := _step_in(work / name)) is not None), 0)
    except (KeyError, MwError, OSError, ValueError):
        return 0


def _work_of(place: Place, stage: Stage, recipe_name: str) -> Path:
    memory = {} if place.memory is None else place.memory
    name = ("work", stage.name, recipe_name)
    try:
        request = stage.request(place, recipe_name)
    except StoreError:
        return Path(memory[name])
    memory[name] = work = place.store.root / "work" / request.kind / request.key
    return work


def _step_in(checkpoint: Path) -> int | None:
    path = checkpoint / "checkpoint.json"
    return int(json.loads(path.read_text(encoding="utf-8"))["step"]) if path.is_file() else None


def keep_trying(
    start: Callable[[], tuple[int, Cure, str]],
    log: AttemptLog,
    *,
    step: Callable[[], int],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Starts until the status is 0 or no further attempt is worth it; returns the last status.

    `start` answers an exit status, its cure and its words."""
    while True:
        status, cure, words = start()
        if status == 0:
            return status
        move = log.failed(cure, words, step=step())
        say(move.reason + (f"; waiting {move.wait_seconds:.0f} s" if move.restarts else ""))
        if not move.restarts:
            return status
        sleep(move.wait_seconds)
