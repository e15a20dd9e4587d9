"""Training: one loop for smoke and full runs, resumable at any step to the same weights bit for bit.

Everything that a step does follows from (plan, step): the rows, the rate, the dropout. So a checkpoint holds weights,
optimizer state and a step number, and a resume can neither replay nor skip anything (M36, M37).
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext

import torch

from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError, RecipeError, UnfinishedError
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.model.checkpoint import load_checkpoint, load_optimizer_state
from mw_pipeline.model.precision import precision_as_asked
from mw_pipeline.recipe import Precision
from mw_pipeline.train.clock import RunClock
from mw_pipeline.train.compilation import demand_compiler
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.device import device_as_asked, width_multiple
from mw_pipeline.train.facts import opening_facts
from mw_pipeline.train.folder import RunFolder, demand_same_precision, prepare_folder
from mw_pipeline.train.log import BEST, EVALS, LAST, sole_writer
from mw_pipeline.train.memory import memory_by_name
from mw_pipeline.train.permit import demand_permit
from mw_pipeline.train.plan import RunPlan, RunResult, Status
from mw_pipeline.train.preflight import PREFLIGHT_STEPS, Preflight
from mw_pipeline.train.processes import ALONE, PeerLostError, Processes
from mw_pipeline.train.progress import Listener
from mw_pipeline.train.signals import stop_signals
from mw_pipeline.train.state import TrainState
from mw_pipeline.train.step import FIRST_STEPS_LOGGED, StepOutcome, Stepper
from mw_pipeline.train.validation import Validation, examine, row_losses

PROGRESS_SECONDS = 2.0


def train(plan: RunPlan, *, on_event: Listener = lambda event: None) -> RunResult:
    """Trains to the end of the plan's course, from scratch or from the checkpoint that lies in `plan.out`.

    Leaves steps.jsonl, evals.jsonl, run.json, best/ (highest validation macro-F1) and last/ there. A run that has
    ended is returned as it is. SIGINT and SIGTERM save last/ and end with INTERRUPTED, seconds that ran out with
    BUDGET_EXHAUSTED; a watchdog finding ends with DIVERGED, a number that is not finite with DIVERGED_NONFINITE, and
    best/ stays; patience that ended with CONVERGED. Raises RecipeError when device, compiler or processes are not as
    the recipe asks, ArtifactError when data, tokenizer or checkpoint do not fit it, MemoryError when that is full,
    GateError when the first steps show that the run cannot end in time, or when a full run comes without the lock's
    permit, UnfinishedError when another process was lost in the midst of a sum on GPUs.
    """
    config = plan.recipe.train
    device = device_as_asked(config.device)
    if config.compile:
        demand_compiler(device)
    precision = precision_as_asked(config.precision, device)
    torch.set_num_threads(config.threads)
    joined = Processes.join(plan.course.micro_batches_per_step, device=device, asked=config.device)
    with joined as processes, memory_by_name():
        # What one process alone would refuse, the others would wait for: so all have joined before any is asked.
        _demand_agreement(precision, processes)
        demand_permit(plan, device=device.type, precision=precision)
        with sole_writer(plan.out) if processes.writes else nullcontext(), stop_signals() as stop:
            if processes.writes:
                prepare_folder(plan, precision=precision)
            processes.wait()
            emit = on_event if processes.writes else lambda event: None
            run = Run(plan, device, processes, emit, precision=precision)
            return run.folder.former_result() or run.go(stop)


def _demand_agreement(precision: Precision, processes: Processes) -> None:
    """Raises RecipeError where processes differ in their precision: gradients of two are not those of one run."""
    if all(processes.any(precision == "fp32", precision == "bf16")):
        raise RecipeError(
            f"train.precision is 'auto', which is {precision!r} here and another one in other processes of the run. "
            "Name one in the recipe, and smoke in it."
        )


class Run:
    """One run: what is trained, how far it has come, and what is due between two steps.

    Steps wait to be read until something is due that stands on them. One that was not finite is the last: those that
    were taken after it have moved nothing and are forgotten."""

    def __init__(
        self,
        plan: RunPlan,
        device: torch.device,
        processes: Processes,
        emit: Listener,
        *,
        precision: Precision | None = None,
    ) -> None:
        """`precision` is what the recipe asks for on the device, unless it is given."""
        self.plan, self.course, self.processes, self.emit = plan, plan.course, processes, emit
        self.data = TrainingData.open(plan, multiple=width_multiple(device), processes=processes)
        self.folder = RunFolder(plan, vocab_size=self.data.summary["vocab_size"])
        self.stepper = Stepper(plan, self.data, device=device, processes=processes, precision=precision)
        self.state = TrainState()
        self.finite = True
        self.clock = RunClock()
        self.preflight: Preflight | None = None

    def go(self, stop: threading.Event) -> RunResult:
        """Steps to the end of the course, or to what ends the run before it."""
        resumed_from = self._resume()
        self.open()
        status = self._ending(stop) if self.state.taken else None
        if status is None and self.plan.recipe.train.compile:
            self._compile()
        try:
            while status is None:
                self.advance()
                status = self._ending(stop)
                if status is None and self.state.taken % self.plan.recipe.train.checkpoint_every == 0:
                    self._save(LAST)
        except PeerLostError as error:
            if self.processes.sums_on_gpus:
                raise UnfinishedError(
                    f"{self.plan.out}: a process of the run is gone ({error}), and what GPUs were adding up with it "
                    "cannot be trusted. Start the run again: it goes on from its last checkpoint."
                ) from error
            self._settle(self.state.read())  # between two steps in every process that is left, for none is taken alone
            status = "INTERRUPTED" if self.finite else "DIVERGED_NONFINITE"
        if not status.startswith("DIVERGED"):
            self._save(LAST)
        result = dataclasses.replace(self._close(status), resumed_from_step=resumed_from)
        if status == "REFUSED" and self.preflight is not None:
            raise GateError(
                f"the {self.plan.kind} run of {self.plan.recipe.name!r} stops here: {self.preflight.refusal}."
            )
        return result

    def _compile(self) -> None:
        """The network is made ready before any step, so that no step's time counts it."""
        begun = time.perf_counter()
        self.stepper.prepare()
        self.emit({"event": "compiled", "seconds": time.perf_counter() - begun})

    def _resume(self) -> int | None:
        """State and log as when last/ was written; without one, as before the first step."""
        demand_same_precision(self.plan, self.plan.out, self.stepper.precision)
        resumed_from = self._load_last() if (self.plan.out / LAST).exists() else None
        if self.processes.writes:
            self.folder.rewind(self.state.step, pieces=self.state.logged_tokens)
            best = self.folder.best
            if best is not None and best["step"] == self.state.step:  # a kill may have come between last/ and best/
                self._save(BEST)
        self.processes.wait()
        return resumed_from

    def _load_last(self) -> int:
        checkpoint = load_checkpoint(
            self.plan.out / LAST,
            labels=self.plan.recipe.label_set,
            tokenizer_sha256=self.folder.digests["tokenizer"],
            config=self.plan.recipe.model,
        )
        self.stepper.restore(checkpoint.tagger, load_optimizer_state(self.plan.out / LAST))
        self.state = TrainState.of_checkpoint(checkpoint.facts)
        self.clock.before_seconds = checkpoint.facts.progress["wall_seconds"]
        last_eval = self.folder.log.rows(EVALS)[-1:]
        self.clock.eval_seconds = last_eval[0]["seconds"] if last_eval else 0.0
        return checkpoint.step

    def _save(self, name: str) -> None:
        """Replaces best/ or last/; last/ holds all that a resume needs."""
        if not self.processes.writes:
            return
        with self.clock.saving():
            self.folder.save(
                name,
                self.stepper.tagger,
                step=self.state.step,
                optimizer=self.stepper.optimizer_state() if name == LAST else {},
                **self.state.progress(),
                wall_seconds=self.clock.total_seconds,
            )

    def open(self) -> None:
        """Says that the run begins, or goes on, in run.json and to whoever listens."""
        facts = opening_facts(
            self.plan,
            self.stepper,
            self.data,
            ranks=self.processes.count,
            initial_val_loss=self._initial_val_loss(),
        ) | {"notes": self.folder.notes}
        step = self.state.step
        if self.processes.writes:
            self.folder.open_run(step=step, **facts)
        self.emit({"event": "started", "step": step, **facts})

    def _initial_val_loss(self) -> float | None:
        """Validation loss before the first step, which also shows what an evaluation takes."""
        former = self.folder.log.read_run() or {}
        if self.state.step:
            return former.get("initial_val_loss")
        begun = time.perf_counter()
        try:
            found, _ = self._examined(self.processes)
        except PeerLostError as error:
            raise UnfinishedError(
                f"{self.plan.out}: a process of the run went before its first step ({error}). Start the run again."
            ) from error
        self.clock.eval_seconds = time.perf_counter() - begun
        return float(found.scores["val_loss"])

    def _close(self, status: Status) -> RunResult:
        step, rows = self.state.step, self.state.step * self.course.effective_batch
        facts = {
            "tokens": self.state.tokens,
            "rows": rows,
            "wall_seconds": self.clock.total_seconds,
            "passes": self.data.passes_after(rows),
        }
        if self.processes.writes:
            result = self.folder.close_run(status, step=step, **facts)
        else:
            result = self.folder.result(status, step=step)
        self.emit({"event": "ended", "steps": self.course.steps, **result.as_json()})
        return result

    def advance(self) -> None:
        """One step, and the rows of the log and the evaluation that it is due for."""
        step = self.state.taken + 1
        with self.clock.step():
            self.state.unread.append(self.stepper.take(step))
            outcomes = self.state.read() if self._is_read_after(step) else []
        self._settle(outcomes)
        if self.finite and self.course.is_due(step, every=self.course.eval_every):
            self._evaluate()
        if len(self.clock.step_seconds) == PREFLIGHT_STEPS:
            self._check_time()

    def _is_read_after(self, step: int) -> bool:
        """Whether a row of the log, an evaluation or a checkpoint stands on what was measured up to this step."""
        config = self.plan.recipe.train
        due = (config.log_every, self.course.eval_every, config.checkpoint_every)
        return step <= FIRST_STEPS_LOGGED or any(self.course.is_due(step, every=every) for every in due)

    def _settle(self, outcomes: Sequence[StepOutcome]) -> None:
        """Takes steps into the state and writes their rows of the log, up to the first one that is not finite."""
        seconds = sum(self.clock.step_seconds[-len(outcomes) :])
        for outcome in outcomes:
            if self.state.add(outcome):
                self.emit({"event": "pass", "step": self.state.step, "pass": self.state.passes})
            if self.state.step <= FIRST_STEPS_LOGGED and self.processes.writes:
                self.folder.log_first_step(self.state.step, outcome.losses())
            if self.course.is_due(self.state.step, every=self.plan.recipe.train.log_every) or not outcome.finite:
                self._log(outcome, tokens_per_second=sum(each.pieces for each in outcomes) / seconds)
            if not outcome.finite:
                self.finite = False
                return

    def _ending(self, stop: threading.Event) -> Status | None:
        """The status that the run ends with after this step, if any: with all of its steps read."""
        status = self._asked_ending(stop)
        if status is not None and self.state.unread:
            self._settle(self.state.read())
            status = self._asked_ending(stop)
        return status

    def _asked_ending(self, stop: threading.Event) -> Status | None:
        """The status as far as steps are read: the same in all processes, though one watches."""
        found, limit = self.folder.finding, self.plan.max_wall_seconds
        evaluates_next = self.course.is_due(self.state.taken + 1, every=self.course.eval_every)
        asked: dict[Status, bool] = {
            "DIVERGED_NONFINITE": not self.finite or (found is not None and found.rule == "nonfinite"),
            "DIVERGED": found is not None,
            "COMPLETED": self.state.step == self.course.steps,
            "CONVERGED": self.folder.converged is not None,
            "INTERRUPTED": stop.is_set(),
            "REFUSED": self.preflight is not None and self.preflight.cannot_fit and not self.plan.in_parts,
            "BUDGET_EXHAUSTED": self.clock.must_end(limit, evaluates_next=evaluates_next),
        }
        agreed = self.processes.any(*asked.values())
        return next((status for status, holds in zip(asked, agreed, strict=True) if holds), None)

    def _log(self, outcome: StepOutcome, *, tokens_per_second: float) -> None:
        """The row of this step: losses and `tokens` since the row before, so that nothing is left out."""
        window = self.state.close_window()
        row: dict[str, JSON] = {
            "step": self.state.step,
            "pass": self.state.passes,
            "lr": self.course.lr(self.state.step),
            **window.means(),
            **({} if outcome.sigmas is None else {"sigmas": outcome.sigmas}),
            "grad_norm": outcome.grad_norm,
            "tokens": window.pieces,
            "rows": window.rows,
            "row_hash": f"{window.row_hash:016x}",
            "tokens_per_second": tokens_per_second,
            "wall_seconds": self.clock.total_seconds,
        }
        if self.processes.writes:
            self.folder.log_step(row)
        self._emit_step(row)

    def _evaluate(self) -> None:
        """The row of an evaluation; last/ is saved before best/, so that best/ is never ahead of what can resume.

        A process that goes meanwhile takes its part along: the one that writes does all of it, and then says so."""
        begun, lost = time.perf_counter(), None
        try:
            found, seen = self._examined(self.processes)
        except PeerLostError as error:
            if not self.processes.writes:
                raise
            lost = error
            found, seen = self._examined(ALONE)
        self.clock.eval_seconds = time.perf_counter() - begun
        if self.processes.writes:
            of_train = {"train_eval_loss": seen.mean, "train_eval_loss_se": seen.standard_error}
            row = {"step": self.state.step, **found.scores, **of_train, "seconds": self.clock.eval_seconds}
            is_best = self.folder.log_eval(row, found.losses)
            if is_best:
                self._save(LAST)
                self._save(BEST)
            self.emit({"event": "evaluated", "steps": self.course.steps, "is_best": is_best, **row})
        if lost is not None:
            raise lost

    def _examined(self, processes: Processes) -> tuple[Validation, RowLosses]:
        """The scores of the weights as they are, and the losses of rows that they were trained on."""
        tagger, labels, loss = self.stepper.tagger, self.plan.recipe.label_set, self.stepper.loss
        found = examine(tagger, self.data.validation, labels, loss=loss, processes=processes)
        return found, row_losses(tagger, self.data.train_sample, labels, loss=loss, processes=processes)

    def _emit_step(self, row: dict[str, JSON]) -> None:
        if not self.clock.report_is_due(PROGRESS_SECONDS) and self.state.step < self.course.steps:
            return
        scores, seconds_per_step = self.folder.last_eval, self.clock.here_seconds / len(self.clock.step_seconds)
        self.emit(
            {
                "event": "step",
                "steps": self.course.steps,
                "eta_seconds": (self.course.steps - self.state.step) * seconds_per_step,
                "val_macro_f1": scores["val_macro_f1"] if scores else None,
                **row,
            }
        )

    def _check_time(self) -> None:
        """The time that the rest will take, before it is spent (M42)."""
        step, course, limit = self.state.taken, self.course, self.plan.max_wall_seconds
        saves_every = self.plan.recipe.train.checkpoint_every
        self.preflight = Preflight.measured(
            self.clock.step_seconds,
            steps_left=course.steps - step,
            evals_left=-(-course.steps // course.eval_every) - step // course.eval_every,
            saves_left=course.steps // saves_every - step // saves_every,
            seconds_per_eval=self.clock.eval_seconds,
            seconds_per_save=self.clock.save_seconds,
            seconds_left=None if limit is None else limit - self.clock.here_seconds,
        )
        self.emit({"event": "preflight", **self.preflight.as_json()})
