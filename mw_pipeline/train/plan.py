"""What a training run is asked to do, and how smoke and full differ: step count, schedule and evaluation interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.recipe import Recipe
from mw_pipeline.schedule import lr_share

RunKind = Literal["smoke", "full"]
Status = Literal[
    "RUNNING", "COMPLETED", "CONVERGED", "DIVERGED", "DIVERGED_NONFINITE", "INTERRUPTED", "BUDGET_EXHAUSTED", "REFUSED"
]

ENDED: tuple[Status, ...] = ("COMPLETED", "CONVERGED", "DIVERGED", "DIVERGED_NONFINITE")
"""Statuses after which nothing is left to resume; a run that was stopped or whose seconds ran short can go on."""

DIVERGENCES: tuple[Status, ...] = ("DIVERGED", "DIVERGED_NONFINITE")
"""Statuses of a run that a failure rule ended."""

_SMOKE_SCHEDULES = {"constant": "constant", "long-tail": "cosine", "cosine": "cosine"}


@dataclass(frozen=True)
class Permit:
    """The name of what the lock gave out for a full run: the store that it lies in, and its digest."""

    store: str
    digest: str


@dataclass(frozen=True)
class RunPlan:
    """One run of `train`: a recipe on a tokenized dataset, written to (and resumed from) the folder `out`.

    `digests` name recipe, data, tokenizer, labels and code; what is missing is computed. `resume_from` is the folder of
    a run that must be resumed: the run continues it in `out`. `max_wall_seconds` ends the run in good order before a
    machine's limit would kill it (M42); with `in_parts` it may be too short for the whole run, without it such a run is
    refused as soon as its steps have been timed. A full run is trained with the lock's `permit` alone."""

    kind: RunKind
    recipe: Recipe
    dataset_path: Path
    tokenizer_path: Path
    out: Path
    digests: Mapping[str, str] = field(default_factory=dict)
    resume_from: Path | None = None
    max_wall_seconds: float | None = None
    in_parts: bool = False
    permit: Permit | None = None

    @property
    def course(self) -> Course:
        """The lengths and rates of this run."""
        train, smoke = self.recipe.train, self.recipe.smoke
        if self.kind == "full":
            return Course(
                steps=train.steps,
                schedule=train.schedule,
                warmup_steps=train.warmup_steps,
                cooldown_from=train.cooldown_from,
                peak_lr=train.peak_lr,
                batch_size=train.batch_size,
                accumulation=train.accumulation,
                processes=train.processes,
                eval_every=train.eval_every,
            )
        return Course(
            steps=smoke.steps,
            schedule=_SMOKE_SCHEDULES[smoke.mode],
            warmup_steps=train.warmup_steps,
            cooldown_from=None,
            peak_lr=train.peak_lr,
            batch_size=smoke.batch_size or train.batch_size,
            accumulation=smoke.accumulation or train.accumulation,
            processes=train.processes,
            eval_every=smoke.eval_every,
        )


@dataclass(frozen=True)
class Course:
    """The lengths and rates of one run. Steps are numbered from 1 to `steps`."""

    steps: int
    schedule: str
    warmup_steps: int
    cooldown_from: int | None
    peak_lr: float
    batch_size: int
    accumulation: int
    processes: int
    eval_every: int

    @property
    def effective_batch(self) -> int:
        """Rows that one optimizer step sees."""
        return self.batch_size * self.accumulation * self.processes

    def lr(self, step: int) -> float:
        """The learning rate of a step, a function of nothing else (M37)."""
        share = lr_share(
            step,
            schedule=self.schedule,
            warmup_steps=self.warmup_steps,
            steps=self.steps,
            cooldown_from=self.cooldown_from,
        )
        return self.peak_lr * share

    def is_due(self, step: int, *, every: int) -> bool:
        """Whether what comes every so many steps, and after the last one, comes after this one."""
        return step % every == 0 or step == self.steps

    @property
    def micro_batches_per_step(self) -> int:
        """Batches of `batch_size` rows that one optimizer step adds up, over all processes."""
        return self.accumulation * self.processes

    def micro_batches(self, step: int, *, rank: int, ranks: int) -> range:
        """Indices of the batches that one process of `ranks` adds up in a step; over steps and ranks each comes once.

        However many ranks share a step, their batches together are the same ones."""
        share = self.micro_batches_per_step // ranks
        first = (step - 1) * self.micro_batches_per_step + rank * share
        return range(first, first + share)

    def is_of_rank(self, indices: NDArray[np.int64], *, rank: int, ranks: int) -> NDArray[np.bool_]:
        """(N,): which batches are among the `micro_batches` of one process of `ranks`, in whichever step."""
        share = self.micro_batches_per_step // ranks
        return np.equal(indices % self.micro_batches_per_step // share, rank)

    def as_json(self) -> dict[str, JSON]:
        """The fields of `run.json` that describe the course."""
        return {
            "schedule": self.schedule,
            "max_steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "cooldown_from": self.cooldown_from,
            "peak_lr": self.peak_lr,
            "batch_size": self.batch_size,
            "accumulation": self.accumulation,
            "processes": self.processes,
            "effective_batch": self.effective_batch,
            "eval_every": self.eval_every,
        }


@dataclass(frozen=True)
class RunResult:
    """How a run ended: `finding` is the watchdog's rule, step and reason, `converged` why patience ended, if so."""

    status: Status
    step: int
    out: Path
    best_step: int | None
    best_val_macro_f1: float | None
    finding: Mapping[str, JSON] | None
    resumed_from_step: int | None
    converged: str | None = None

    def as_json(self) -> dict[str, JSON]:
        """The result as a line of JSON holds it."""
        return dataclasses.asdict(self) | {"out": str(self.out)}
