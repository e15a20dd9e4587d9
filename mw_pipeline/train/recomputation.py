"""A smoke made again from its plan, as far as that is cheap: curves can be typed, training cannot (M68).

Rules in the order of what they cost. Each compares something in the run's folder with what plan, sampler, checkpoints
or the training step give for it anew; a run that anyone has written by hand meets one of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import torch

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError, CorpusError, GateError, RecipeError
from mw_pipeline.model.checkpoint import Checkpoint, load_checkpoint, load_optimizer_state
from mw_pipeline.model.threads import threads_of_torch
from mw_pipeline.recipe import Precision
from mw_pipeline.train.compilation import compiler_of
from mw_pipeline.train.device import machine_of
from mw_pipeline.train.fixed_facts import digests_of, fixed_facts, other_facts, other_parts
from mw_pipeline.train.log import BEST, FIRST_STEPS, LAST
from mw_pipeline.train.loop import Run
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import ALONE
from mw_pipeline.train.step import FIRST_STEPS_LOGGED, TERMS, row_hash
from mw_pipeline.train.validation import examine, row_losses
from mw_pipeline.train.window import LossWindow
from mw_pipeline.verdict.parts import COMPILED_BY
from mw_pipeline.verdict.runlog import Row, RunLog, checked_row, read_lines, read_run

MOST_WINDOW_SHARE = 0.025
"""The share of a smoke up to which its first logged window is trained again to its end."""


@dataclass(frozen=True)
class Tolerance:
    """How far a number that was made again may lie from the logged one, as a share of it (formulas: the lock)."""

    losses: float
    evaluations: float


SAME_MACHINE = Tolerance(losses=1e-6, evaluations=1e-5)
OTHER_MACHINE = Tolerance(losses=1e-3, evaluations=1e-3)


class Reenactment:
    """The folder of a smoke, and what its plan makes of the same steps here."""

    def __init__(self, plan: RunPlan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.log: RunLog = read_run(plan.out)
        self.first_steps = _first_steps_of(plan.out / FIRST_STEPS)
        compiler = compiler_of(device) if plan.recipe.train.compile else None
        here = (machine_of(device), 1, compiler)
        facts = ("machine", "ranks", COMPILED_BY)
        one_kind = all(tuple(map(part.get, facts)) == here for part in _parts_of(self.log.run))
        self.tolerance = SAME_MACHINE if one_kind else OTHER_MACHINE

    @cached_property
    def run(self) -> Run:
        """The run before its first step, with weights, data, loss and optimizer as the trainer makes them."""
        return Run(self.plan, self.device, ALONE, lambda event: None, precision=self._precision)

    @cached_property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """best/ and last/. Raises ArtifactError for one that is not whole, or of another model, labels or tokenizer."""
        recipe, tokenizer = self.plan.recipe, self.digests["tokenizer"]
        load_optimizer_state(self.plan.out / LAST)
        return {
            name: load_checkpoint(
                self.plan.out / name, labels=recipe.label_set, tokenizer_sha256=tokenizer, config=recipe.model
            )
            for name in (LAST, BEST)
        }

    @cached_property
    def digests(self) -> dict[str, str]:
        """What this plan's run says that it was made from."""
        return digests_of(self.plan)

    @property
    def retrained_steps(self) -> int:
        """The steps that are logged one by one, and the rest of the first logged window where it costs little."""
        steps, every = self.plan.course.steps, self.plan.recipe.train.log_every
        window = every if every <= MOST_WINDOW_SHARE * steps else 0
        return min(steps, max(FIRST_STEPS_LOGGED, window))

    @property
    def same_dropout(self) -> bool:
        """Whether this kind of device drops what that of the smoke dropped: a CPU and a GPU draw differently."""
        return self.log.run.get("device") == self.device.type or self.plan.recipe.model.dropout == 0

    @property
    def _precision(self) -> Precision | None:
        """That of the smoke, where the recipe leaves it to the machine: it was another one's to choose."""
        chosen = self.log.run.get("precision")
        return chosen if self.plan.recipe.train.precision == "auto" and chosen in get_args(Precision) else None


def _parts_of(run: Row) -> list[Row]:
    """What run.json says of each part of a run: one that was resumed may have seen several machines."""
    return run.get("parts") or [run]


def _first_steps_of(path: Path) -> dict[int, Row]:
    if not path.exists():
        raise ArtifactError(f"{path.name} is missing. Smoke again.")
    rows = [checked_row(value, ("loss", *TERMS), f"{path.name}:{number}") for number, value in read_lines(path)[0]]
    return {int(row["step"]): row for row in rows}


def run_is_the_recipes(smoke: Reenactment) -> Iterator[str]:
    """run.json says what plan and data say: what the verdict reads there is not its author's choice."""
    plan = smoke.plan
    wanted = {
        **fixed_facts(plan, smoke.run.data.summary),
        "digests": smoke.digests,
        "rows": plan.course.steps * plan.course.effective_batch,
        "tokens": sum(row.get("tokens") or 0 for row in smoke.log.steps),
    }
    yield from other_facts(smoke.log.run, wanted)
    yield from other_parts(smoke.log.run, plan.recipe)


def steps_are_those_due(smoke: Reenactment) -> Iterator[str]:
    """Steps and evaluations are logged where the recipe has them, each at its rate: none was left out or put in."""
    course, config = smoke.plan.course, smoke.plan.recipe.train
    for name, rows, every in (
        ("steps.jsonl", smoke.log.steps, config.log_every),
        ("evals.jsonl", smoke.log.evals, course.eval_every),
    ):
        due = sorted({*range(every, course.steps + 1, every), course.steps})
        found = [row["step"] for row in rows]
        if found != due:
            first = next(step for step in sorted({*found, *due}) if (step in found) != (step in due))
            yield f"{name} {'has' if first in found else 'lacks'} step {first}, every {every} of {course.steps} are due"
    for row in smoke.log.steps:
        if not _near(row.get("lr"), course.lr(row["step"]), SAME_MACHINE.losses):
            yield f"the rate at step {row['step']} is logged as {row.get('lr')!r}, it is {course.lr(row['step']):.9g}"


def checkpoints_are_whole(smoke: Reenactment) -> Iterator[str]:
    """last/ and best/ load, and fit model, labels and tokenizer."""
    try:
        _ = smoke.checkpoints
    except (ArtifactError, OSError) as error:
        yield str(error).partition(". ")[0]


def checkpoints_are_of_this_run(smoke: Reenactment) -> Iterator[str]:
    """last/ is of the last step, best/ of the run's best evaluation, and both name what this run was made from."""
    steps = {int(row["step"]) for row in smoke.log.evals}
    for name, step in ((LAST, smoke.plan.course.steps), (BEST, smoke.log.run.get("best_step"))):
        facts = smoke.checkpoints[name].facts
        if facts.step != step or step not in steps:
            yield f"{name}/ holds step {facts.step}, the run's is {step!r}"
        differing = [key for key, value in smoke.digests.items() if facts.digests.get(key) != value]
        if differing:
            yield f"{name}/ is of a run with another {', '.join(differing)}"


def rows_are_those_dealt(smoke: Reenactment) -> Iterator[str]:
    """Each logged window has the rows, the pieces and the hash of the rows that the sampler deals it."""
    course, stream = smoke.plan.course, smoke.run.data.stream
    ends = [0, *(int(row["step"]) for row in smoke.log.steps)]
    for (begin, end), logged in zip(itertools.pairwise(ends), smoke.log.steps, strict=True):
        batches = [
            stream.row_numbers(index)
            for step in range(begin + 1, end + 1)
            for index in course.micro_batches(step, rank=0, ranks=1)
        ]
        dealt = {
            "rows": sum(map(len, batches)),
            "tokens": sum(int(smoke.run.data.pieces_of(rows).sum()) for rows in batches),
            "row_hash": f"{sum(map(row_hash, batches)) % 2**64:016x}",
        }
        for name, value in dealt.items():
            if logged.get(name) != value:
                yield f"{name} at step {end} is logged as {logged.get(name)!r}, the sampler deals {value!r}"


def evaluations_come_again(smoke: Reenactment) -> Iterator[str]:
    """last/ and best/, evaluated again, have the losses and scores that are logged for their steps."""
    logged = {int(row["step"]): row for row in smoke.log.evals}
    last, best = smoke.checkpoints[LAST], smoke.checkpoints[BEST]
    asked = {LAST: last} if _same_weights(last, best) else {LAST: last, BEST: best}
    for name, checkpoint in asked.items():
        found = _evaluated(smoke, checkpoint)
        for key, value in found.items():
            there = logged[checkpoint.step].get(key)
            if not _near(there, value, smoke.tolerance.evaluations):
                yield f"{key} at step {checkpoint.step} is logged as {there!r}, {name}/ evaluated again has {value!r}"


def _same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    there = other.tagger.state_dict()
    return one.step == other.step and all(
        torch.equal(value, there[name]) for name, value in one.tagger.state_dict().items()
    )


def _evaluated(smoke: Reenactment, checkpoint: Checkpoint) -> dict[str, JSON]:
    """The numbers of an evaluation; those by tag where the machine is the same: one span is much of a rare tag."""
    run, labels = smoke.run, smoke.plan.recipe.label_set
    tagger = checkpoint.tagger.to(smoke.device)
    scores = examine(tagger, run.data.validation, labels, loss=run.stepper.loss).scores
    scores["train_eval_loss"] = row_losses(tagger, run.data.train_sample, labels, loss=run.stepper.loss).mean
    by_tag = smoke.tolerance == SAME_MACHINE
    return {name: value for name, value in scores.items() if by_tag or not isinstance(value, dict)}


def first_steps_come_again(smoke: Reenactment) -> Iterator[str]:
    """The first steps, trained again, have the losses that are logged for each of them and for the first windows."""
    steps, config = smoke.retrained_steps, smoke.plan.recipe.train
    windows = {int(row["step"]): row for row in smoke.log.steps}
    window = LossWindow()
    for step in range(1, steps + 1):
        outcome = smoke.run.stepper.take(step)
        window.add(outcome)
        if step <= FIRST_STEPS_LOGGED:
            yield from _other_losses(outcome.losses(), smoke.first_steps.get(step, {}), FIRST_STEPS, step, smoke)
        if smoke.plan.course.is_due(step, every=config.log_every):
            means = {name: value for name, value in window.means().items() if value is not None}
            yield from _other_losses(means, windows[step], "steps.jsonl", step, smoke)
            window = LossWindow()


def _other_losses(made: Mapping[str, JSON], logged: Row, name: str, step: int, smoke: Reenactment) -> Iterator[str]:
    for term in ("loss", *TERMS):
        if not _near(logged.get(term), made.get(term), smoke.tolerance.losses):
            yield f"{term} of step {step} is {logged.get(term)!r} in {name}, trained again it is {made.get(term)!r}"


RULES: tuple[Callable[[Reenactment], Iterator[str]], ...] = (
    run_is_the_recipes,
    steps_are_those_due,
    checkpoints_are_whole,
    checkpoints_are_of_this_run,
    rows_are_those_dealt,
    evaluations_come_again,
    first_steps_come_again,
)


def recompute(plan: RunPlan, device: torch.device) -> dict[str, JSON]:
    """What was made again of the smoke in `plan.out`, when all of it came out as logged; nothing is written there.

    Where dropout differs by kind of device the first steps are left out, and said to be: such an answer starts no full
    run, as that runs on the smoke's own kind. Raises GateError with the first rule that does not hold, and why.
    """
    with threads_of_torch(plan.recipe.train.threads):
        try:
            smoke = Reenactment(plan, device)
            asked = [rule for rule in RULES if rule is not first_steps_come_again or smoke.same_dropout]
            for rule in asked:
                problem = next(rule(smoke), None)
                if problem is not None:
                    raise GateError(f"{rule.__name__}: {problem}")
        except (ArtifactError, CorpusError, RecipeError) as error:
            raise GateError(f"the smoke cannot be made again: {str(error).partition('. ')[0]}") from error
    return {
        "rules": [rule.__name__ for rule in asked],
        "steps_trained_again": smoke.retrained_steps if smoke.same_dropout else 0,
        "tolerance_losses": smoke.tolerance.losses,
        "tolerance_evaluations": smoke.tolerance.evaluations,
        "precision": smoke.run.stepper.precision,
    }


def _near(logged: JSON, made: JSON, share: float) -> bool:
    """Whether two values agree: numbers to a share of the larger, tables key by key, all else exactly."""
    if isinstance(made, dict):
        same_keys = isinstance(logged, dict) and logged.keys() == made.keys()
        return same_keys and all(_near(logged[key], value, share) for key, value in made.items())
    if isinstance(made, float):
        number = isinstance(logged, int | float) and not isinstance(logged, bool)
        return number and math.isclose(logged, made, rel_tol=share, abs_tol=1e-12)
    return bool(logged == made)
