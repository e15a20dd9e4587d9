"""The time that a run will take, from its first steps, held against the time that it has (M42)."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.train.progress import clock_time

PREFLIGHT_STEPS = 10


@dataclass(frozen=True)
class Preflight:
    """What is left to do, what each part of it was measured to take, and the seconds that there are (None: no limit).

    `seconds_per_step` is the median of the measured steps and `least_seconds_per_step` their lower quartile: a busy
    machine slows some steps down, and none of them can be taken faster than it was."""

    steps_left: int
    evals_left: int
    saves_left: int
    seconds_per_step: float
    least_seconds_per_step: float
    seconds_per_eval: float
    seconds_per_save: float
    seconds_left: float | None

    @classmethod
    def measured(
        cls,
        step_seconds: Sequence[float],
        *,
        steps_left: int,
        evals_left: int,
        saves_left: int,
        seconds_per_eval: float,
        seconds_per_save: float,
        seconds_left: float | None,
    ) -> Preflight:
        """From the times of at least two steps."""
        return cls(
            steps_left=steps_left,
            evals_left=evals_left,
            saves_left=saves_left,
            seconds_per_step=statistics.median(step_seconds),
            least_seconds_per_step=statistics.quantiles(step_seconds, n=4)[0],
            seconds_per_eval=seconds_per_eval,
            seconds_per_save=seconds_per_save,
            seconds_left=seconds_left,
        )

    @property
    def expected_seconds(self) -> float:
        """What the rest should take."""
        return self.steps_left * self.seconds_per_step + self._between_steps

    @property
    def fits(self) -> bool:
        """Whether the rest should end in time."""
        return self.seconds_left is None or self.expected_seconds <= self.seconds_left

    @property
    def cannot_fit(self) -> bool:
        """Whether the rest would end too late even if every step were a fast one."""
        least = self.steps_left * self.least_seconds_per_step + self._between_steps
        return self.seconds_left is not None and least > self.seconds_left

    @property
    def _between_steps(self) -> float:
        return self.evals_left * self.seconds_per_eval + self.saves_left * self.seconds_per_save

    @property
    def refusal(self) -> str:
        """Why the run is not worth starting, and what to do."""
        assert self.seconds_left is not None
        return (
            f"the time limit leaves {clock_time(self.seconds_left)} and the rest takes about "
            f"{clock_time(self.expected_seconds)} ({self.steps_left} steps of {self.seconds_per_step:.3g} s, "
            f"{self.evals_left} evaluations of {self.seconds_per_eval:.3g} s). Give it more time, say --in-parts to "
            "train up to the limit and go on in a later run, or lower train.steps"
        )

    def as_json(self) -> dict[str, JSON]:
        """All of it, for the event."""
        return dataclasses.asdict(self) | {"expected_seconds": self.expected_seconds, "fits": self.fits}
