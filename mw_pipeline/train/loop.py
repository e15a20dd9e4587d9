"""Training: one loop for smoke and full runs, resumable at any step to the same weights bit for bit.

Everything that a step does follows from (plan, step): the rows, the rate, the dropout. So a checkpoint holds weights,
optimizer state and a step number, and a resume can neither replay nor skip anything (M36, M37).
"""

from __future__ import annotations

import dataclasses
import threading
import time
from contextlib import nullcontext

import torch

from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.model.checkpoint import Tagger, load_checkpoint, load_optimizer_state
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.optimizer import flat_state, optimizer_of, restore_flat_state
from mw_pipeline.train.clock import RunClock
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.device import device_as_asked
from mw_pipeline.train.facts import opening_facts
from mw_pipeline.train.folder import RunFolder, prepare_folder
from mw_pipeline.train.log import BEST, EVALS, LAST, sole_writer
from mw_pipeline.train.memory import memory_by_name
from mw_pipeline.train.permit import demand_permit
from mw_pipeline.train.plan import RunPlan, RunResult, Status
from mw_pipeline.train.preflight import PREFLIGHT_STEPS, Preflight
from mw_pipeline.train.processes import PeerLostError, Processes
from mw_pipeline.train.progress import Listener
from mw_pipeline.train.signals import stop_signals
from mw_pipeline.train.step import FIRST_STEPS_LOGGED, StepOutcome, Stepper
from mw_pipeline.train.validation import examine, row_losses, validate
from mw_pipeline.train.window import LossWindow

PROGRESS_SECONDS = 2.0


def train(plan: RunPlan, *, on_event: Listener = lambda event: None) -> RunResult:
    """Trains to the end of the plan's course, from scratch or from the checkpoint that lies in `plan.out`.

    Leaves steps.jsonl, evals.jsonl, run.json, best/ (highest validation macro-F1) and last/ there. A run that has
    ended is returned as it is. SIGINT and SIGTERM save last/ and end with INTERRUPTED, seconds that ran out with
    BUDGET_EXHAUSTED; a watchdog finding ends with DIVERGED, a number that is not finite with DIVERGED_NONFINITE, and
    best/ stays; patience that ended with CONVERGED. Raises RecipeError when device or processes are not as the recipe
    asks, ArtifactError when data, tokenizer or checkpoint do not fit it, MemoryError when that is full, GateError when
    the first steps show that the run cannot end in time, or when a full run comes without the lock's permit.
    """
    config = plan.recipe.train
    device = device_as_asked(config.device)
    demand_permit(plan, device=device.type)
    processes = Processes.join(plan.course.micro_batches_per_step)
    torch.set_num_threads(config.threads)
    writer = sole_writer(plan.out) if processes.writes else nullcontext()
    with memory_by_name(), writer, stop_signals() as stop:
        if processes.writes:
            prepare_folder(plan)
        processes.wait()
        run = Run(plan, device, processes, on_event if processes.writes else lambda event: None)
        return run.folder.former_result() or run.go(stop)


class Run:
    """One run: a Stepper, what is due between its steps, and the counters that a checkpoint keeps."""

    def __init__(self, plan: RunPlan, device: torch.device, processes: Processes, tell: Listener) -> None:
        self.plan, self.course, self.processes, self.tell = plan, plan.course, processes, tell
        self.data = TrainingData.open(plan)
        vocab_size = self.data.summary["vocab_size"]
        self.folder = RunFolder(plan, vocab_size=vocab_size)
        torch.manual_seed(plan.recipe.train.seed)
        self.tagger = Tagger(plan.recipe.model, vocab_size=vocab_size, labels=plan.recipe.label_set).to(device).train()
        counts = self.data.summary["label_counts"]
        self.loss = TaggingLoss(plan.recipe.loss, plan.recipe.label_set, label_counts=counts, device=device)
        self.tagger.crf.requires_grad_(self.loss.crf_weight > 0)
        self.tagger.log_variances.requires_grad_(self.loss.learns_weights)
        self.optimizer = optimizer_of(self.tagger, plan.recipe.train)
        self.stepper = Stepper(
            self.tagger,
            self.optimizer,
            self.loss,
            self.data.stream,
            course=self.course,
            config=plan.recipe.train,
            processes=processes,
        )
        self.clock = RunClock()
        self.outcome: StepOutcome | None = None
        self.preflight: Preflight | None = None
        self.step = 0
        self.tokens = 0
        self.window = LossWindow()
        self.passes = 0
        self.told_at = 0.0

    def go(self, stop: threading.Event) -> RunResult:
        """Steps to the end of the course, or to what ends the run before it."""
        resumed_from = self._resume()
        self.open()
        status = self._ending(stop) if self.step else None
        try:
            while status is None:
                self.advance()
                status = self._ending(stop)
                if status is None and self.step % self.plan.recipe.train.checkpoint_every == 0:
                    self._save(LAST)
        except PeerLostError:
            status = "INTERRUPTED"  # between two steps in every process that is left, for none is taken alone
        if not status.startswith("DIVERGED"):
            self._save(LAST)
        result = dataclasses.replace(self._close(status), resumed_from_step=resumed_from)
        if status == "REFUSED" and self.preflight is not None:
            raise GateError(
                f"the {self.plan.kind} run of {self.plan.recipe.name!r} stops here: {self.preflight.refusal}."
            )
        return result

    def _resume(self) -> int | None:
        """State and log as when last/ was written; without one, as before the first step."""
        resumed_from = self._load_last() if (self.plan.out / LAST).exists() else None
        if self.processes.writes:
            self.folder.rewind(self.step, pieces=self.tokens - self.window.pieces)
            best = self.folder.best
            if best is not None and best["step"] == self.step:  # a kill may have come between last/ and best/
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
        self.tagger.load_state_dict(checkpoint.tagger.state_dict())
        restore_flat_state(self.optimizer, self.tagger, load_optimizer_state(self.plan.out / LAST))
        progress = checkpoint.facts.progress
        self.tokens, self.passes = progress["tokens"], progress["passes"]
        last_eval = self.folder.log.rows(EVALS)[-1:]
        self.clock.eval_seconds = last_eval[0]["seconds"] if last_eval else 0.0
        self.window = LossWindow(**progress["window"])
        self.clock.before_seconds = progress["wall_seconds"]
        self.step = checkpoint.step
        return checkpoint.step

    def _save(self, name: str) -> None:
        """Replaces best/ or last/; last/ holds all that a resume needs."""
        if not self.processes.writes:
            return
        with self.clock.saving():
            self.folder.save(
                name,
                self.tagger,
                step=self.step,
                optimizer=flat_state(self.optimizer, self.tagger) if name == LAST else {},
                tokens=self.tokens,
                window=self.window.state(),
                passes=self.passes,
                wall_seconds=self.clock.total_seconds,
            )

    def open(self) -> None:
        """Says that the run begins, or goes on, in run.json and to whoever listens."""
        facts = opening_facts(
            self.plan,
            self.tagger,
            self.data,
            ranks=self.processes.count,
            initial_val_loss=self._initial_val_loss(),
        ) | {"notes": self.folder.notes}
        if self.processes.writes:
            self.folder.open_run(step=self.step, **facts)
        self.tell({"event": "started", "kind": self.plan.kind, "step": self.step, **self.course.as_json(), **facts})

    def _initial_val_loss(self) -> float | None:
        """Validation loss before the first step, which also shows what an evaluation takes."""
        former = self.folder.log.read_run() or {}
        if self.step or not self.processes.writes:
            return former.get("initial_val_loss")
        begun = time.perf_counter()
        found = validate(self.tagger, self.data.validation, self.plan.recipe.label_set, loss=self.loss)
        self.clock.eval_seconds = time.perf_counter() - begun
        return float(found["val_loss"])

    def _close(self, status: Status) -> RunResult:
        facts = {
            "tokens": self.tokens,
            "rows": self.step * self.course.effective_batch,
            "wall_seconds": self.clock.total_seconds,
            "passes": self.data.passes_after(self.step * self.course.effective_batch),
        }
        if self.processes.writes:
            result = self.folder.close_run(status, step=self.step, **facts)
        else:
            result = self.folder.result(status, step=self.step)
        self.tell({"event": "ended", "steps": self.course.steps, **result.as_json()})
        return result

    def advance(self) -> None:
        """One step, and the rows of the log that it is due for."""
        with self.clock.step():
            outcome = self.stepper.take(self.step + 1)
        self.step += 1
        self.outcome = outcome
        self.tokens += outcome.pieces
        self.window.add(outcome)
        self._note_pass(outcome)
        if self.step <= FIRST_STEPS_LOGGED and self.processes.writes:
            self.folder.log_first_step(self.step, outcome.losses())
        last_step = self.step == self.course.steps
        if self.step % self.plan.recipe.train.log_every == 0 or last_step or not outcome.finite:
            self._log(outcome)
        if outcome.finite and (self.step % self.course.eval_every == 0 or last_step):
            self._evaluate()
        if len(self.clock.step_seconds) == PREFLIGHT_STEPS:
            self._look_ahead()

    def _ending(self, stop: threading.Event) -> Status | None:
        """The status that the run ends with after this step, if any: the same in all processes, though one watches."""
        found, limit = self.folder.finding, self.plan.max_wall_seconds
        finite = self.outcome is None or self.outcome.finite
        evaluates_next = (self.step + 1) % self.course.eval_every == 0 or self.step + 1 == self.course.steps
        asked: dict[Status, bool] = {
            "DIVERGED_NONFINITE": not finite or (found is not None and found.rule == "nonfinite"),
            "DIVERGED": found is not None,
            "COMPLETED": self.step == self.course.steps,
            "CONVERGED": self.folder.converged is not None,
            "INTERRUPTED": stop.is_set(),
            "REFUSED": self.preflight is not None and self.preflight.cannot_fit and not self.plan.in_parts,
            "BUDGET_EXHAUSTED": self.clock.must_end(limit, evaluates_next=evaluates_next),
        }
        agreed = self.processes.any(*asked.values())
        return next((status for status, holds in zip(asked, agreed, strict=True) if holds), None)

    def _log(self, outcome: StepOutcome) -> None:
        """The row of this step: losses and `tokens` since the row before, so that nothing is left out."""
        row: dict[str, JSON] = {
            "step": self.step,
            "pass": self.passes,
            "lr": self.course.lr(self.step),
            **self.window.means(),
            **({} if outcome.sigmas is None else {"sigmas": outcome.sigmas}),
            "grad_norm": outcome.grad_norm,
            "tokens": self.window.pieces,
            "rows": self.window.rows,
            "row_hash": f"{self.window.row_hash:016x}",
            "tokens_per_second": outcome.pieces / self.clock.step_seconds[-1],
            "wall_seconds": self.clock.total_seconds,
        }
        self.window = LossWindow()
        if self.processes.writes:
            self.folder.log_step(row)
        self._tell_step(row)

    def _evaluate(self) -> None:
        """The row of an evaluation; last/ is saved before best/, so that best/ is never ahead of what can resume."""
        if not self.processes.writes:
            return
        begun, labels = time.perf_counter(), self.plan.recipe.label_set
        found = examine(self.tagger, self.data.validation, labels, loss=self.loss)
        seen = row_losses(self.tagger, self.data.train_sample, labels, loss=self.loss)
        of_train = {"train_eval_loss": seen.mean, "train_eval_loss_se": seen.standard_error}
        self.clock.eval_seconds = time.perf_counter() - begun
        row = {"step": self.step, **found.scores, **of_train, "seconds": self.clock.eval_seconds}
        is_best = self.folder.log_eval(row, found.losses)
        if is_best:
            self._save(LAST)
            self._save(BEST)
        self.tell({"event": "evaluated", "steps": self.course.steps, "is_best": is_best, **row})

    def _note_pass(self, outcome: StepOutcome) -> None:
        if outcome.passes > self.passes:
            self.passes = outcome.passes
            self.tell({"event": "pass", "step": self.step, "pass": self.passes})

    def _tell_step(self, row: dict[str, JSON]) -> None:
        now = self.clock.here_seconds
        if now - self.told_at < PROGRESS_SECONDS and self.step < self.course.steps:
            return
        self.told_at = now
        scores = self.folder.last_eval
        self.tell(
            {
                "event": "step",
                "steps": self.course.steps,
                "eta_seconds": (self.course.steps - self.step) * now / len(self.clock.step_seconds),
                "val_macro_f1": scores["val_macro_f1"] if scores else None,
                **row,
            }
        )

    def _look_ahead(self) -> None:
        """The time that the rest will take, before it is spent (M42)."""
        config, limit = self.plan.recipe.train, self.plan.max_wall_seconds
        self.preflight = Preflight.measured(
            self.clock.step_seconds,
            steps_left=self.course.steps - self.step,
            evals_left=-(-self.course.steps // self.course.eval_every) - self.step // self.course.eval_every,
            saves_left=self.course.steps // config.checkpoint_every - self.step // config.checkpoint_every,
            seconds_per_eval=self.clock.eval_seconds,
            seconds_per_save=self.clock.save_seconds,
            seconds_left=None if limit is None else limit - self.clock.here_seconds,
        )
        self.tell({"event": "preflight", **self.preflight.as_json()})
