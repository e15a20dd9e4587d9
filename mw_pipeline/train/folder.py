"""The folder of a run: its log, its checkpoints best/ and last/, and what they say about how far it has come."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from torch import Tensor

from mw_pipeline.digest import JSON, toolchain
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.model.checkpoint import (
    CheckpointFacts,
    Tagger,
    load_checkpoint,
    recover_checkpoint,
    save_checkpoint,
)
from mw_pipeline.train.fixed_facts import digests_of
from mw_pipeline.train.log import (
    BEST,
    EVALS,
    FIRST_STEPS,
    LAST,
    RUN,
    STEPS,
    TrainingLog,
    adopt_run,
    demand_whole_copy,
    owner_of_this_process,
)
from mw_pipeline.train.plan import ENDED, RunPlan, RunResult, Status
from mw_pipeline.train.step import FIRST_STEPS_LOGGED
from mw_pipeline.verdict.early_stop import ROW_LOSSES, EvaluatedRows, Patience
from mw_pipeline.verdict.parts import OF_A_PART
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.task_weights import task_weights_of
from mw_pipeline.verdict.watchdog import Finding, Watchdog


class RunFolder:
    """Writes what a run does and watches what it writes: `finding` is the first failure rule that fired."""

    def __init__(self, plan: RunPlan, *, vocab_size: int) -> None:
        self.plan = plan
        self.vocab_size = vocab_size
        self.digests = digests_of(plan)
        self.log = TrainingLog(plan.out)
        self.facts: dict[str, JSON] = {}
        self.best: Mapping[str, JSON] | None = None
        self.last_eval: Mapping[str, JSON] | None = None
        self.finding: Finding | None = None
        self.converged: str | None = None
        self.notes: list[str] = []
        self._part = 0
        train = plan.recipe.train
        self._watchdog = Watchdog()
        self._patience = Patience(evals=train.patience_evals or 0, margin_share=train.patience_margin_share)
        self._stops_early = plan.kind == "full" and train.patience_evals is not None

    def former_result(self) -> RunResult | None:
        """The result of this very run when it has ended here; None when something is left to do.

        Raises ArtifactError when the folder holds another run."""
        facts = self.log.read_run()
        if facts is None:
            return None
        _demand_same_run(self.plan, self.plan.out, facts, self.digests)
        if facts.get("status") not in ENDED:
            return None
        keys = ("converged", "status", "step", "best_step", "best_val_macro_f1", "finding")
        if lacking := [key for key in keys if key not in facts]:
            raise ArtifactError(
                f"{self.plan.out / RUN}: {lacking[0]} is missing. Restore the folder, or delete it to train anew."
            )
        return RunResult(out=self.plan.out, resumed_from_step=None, **{key: facts[key] for key in keys})

    def rewind(self, step: int, *, pieces: int) -> None:
        """Log, best evaluation and watchdog as they were after `step`, with what had to be dropped in `notes`.

        Raises ArtifactError when the log has lost rows of the `pieces` that had been logged by then: the run that goes
        on there would be refused at its end, after it was paid for (M80)."""
        former = self.log.read_run() or {}
        self.notes = [*run_facts(former).notes, *self.log.truncate_after(step)]
        self._watchdog = Watchdog(resumed_from=_resumes(former, step))
        steps, evals = self.log.rows(STEPS), self.log.rows(EVALS)
        self._demand_whole_log(step, pieces)
        for row in sorted([*steps, *evals], key=lambda row: int(row["step"])):  # stable: a step before its evaluation
            if "val_loss" in row:
                self._watch(row, self._watchdog.observe_eval)
                self._rank(row)
            else:
                self._watch(row, self._watchdog.observe_step)
        for row in self.log.rows(ROW_LOSSES):
            self._wait(EvaluatedRows.of_json(row, f"{self.plan.out / ROW_LOSSES}: step {row.get('step')}"))
        self._agree_on_best(step)

    def _demand_whole_log(self, step: int, pieces: int) -> None:
        """Every piece that was logged before the checkpoint is in a row, and every row that was due by then there."""
        every = self.plan.course.eval_every
        evaluated, first = range(every, step + 1, every), range(1, min(step, FIRST_STEPS_LOGGED) + 1)
        logged = sum(int(row.get("tokens") or 0) for row in self.log.rows(STEPS))
        found = [] if logged == pieces else [f"{STEPS} has {logged} pieces of {pieces}"]
        found += [f"{EVALS} has no macro-F1 at step {step}" for step in self._unscored()]
        for name, due in ((EVALS, evaluated), (ROW_LOSSES, evaluated), (FIRST_STEPS, first)):
            lost = {*due} - {row["step"] for row in self.log.rows(name)}
            found += [f"{name} lacks step {min(lost)}"] if lost else []
        if found:
            raise ArtifactError(
                f"{self.plan.out}: {found[0]}, and {LAST}/ is of step {step}: rows were lost, and no check would "
                "believe the run. Restore the file, or delete the folder to train anew."
            )

    def _agree_on_best(self, step: int) -> None:
        """best/ holds the best evaluation of the log, or there is neither: what is named is what can be loaded.

        The checkpoint of `step` itself is at hand: a kill may have come between last/ and best/."""
        path, named = self.plan.out / BEST, self.best["step"] if self.best else None
        held = load_checkpoint(path).step if path.exists() else None
        if named in (held, step):
            return
        self.best = None
        shutil.rmtree(path, ignore_errors=True)
        had = "was not there" if held is None else f"held step {held}"
        self.notes.append(f"best/ {had} where the log's best up to step {step} is {named}: it is chosen anew")

    def _unscored(self) -> list[int]:
        return [row["step"] for row in self.log.rows(EVALS) if row.get("val_macro_f1") is None]

    def log_step(self, row: Mapping[str, JSON]) -> None:
        """Adds a row to steps.jsonl; it says in which part of the run it was made."""
        self.log.append(STEPS, {**row, "part": self._part})
        self._watch(row, self._watchdog.observe_step)

    def log_first_step(self, step: int, losses: Mapping[str, JSON]) -> None:
        """Adds one of the first steps to first_steps.jsonl, which whoever trains them again compares."""
        self.log.append(FIRST_STEPS, {"step": step, **losses})

    def log_eval(self, row: Mapping[str, JSON], losses: RowLosses) -> bool:
        """Adds a row to evals.jsonl and one to row_losses.jsonl; true when its macro-F1 is the highest so far."""
        evaluated = EvaluatedRows.rounded(int(row["step"]), losses)
        self.log.append(ROW_LOSSES, evaluated.as_json())
        self.log.append(EVALS, row)
        self._wait(evaluated)
        self._watch(row, self._watchdog.observe_eval)
        return self._rank(row)

    def save(self, name: str, tagger: Tagger, *, step: int, optimizer: Mapping[str, Tensor], **progress: JSON) -> None:
        """Replaces best/ or last/; a soft-span tagger is kept with the thresholds of the last evaluation."""
        loss_kind = self.plan.recipe.loss.kind
        facts = CheckpointFacts(
            config=self.plan.recipe.model,
            labels=self.plan.recipe.label_set,
            vocab_size=self.vocab_size,
            tokenizer_sha256=self.digests["tokenizer"],
            step=step,
            digests=self.digests,
            metrics=self.last_eval or {},
            progress=progress,
            thresholds=(self.last_eval or {}).get("thresholds", {}) if loss_kind == "soft-span" else None,
        )
        self.log.sync()
        save_checkpoint(self.plan.out / name, tagger, facts, optimizer=optimizer)
        if name == BEST and self.facts:
            self._write("RUNNING", step, ended_at=None)

    def open_run(self, *, step: int, **facts: JSON) -> None:
        """Writes run.json with status RUNNING; start time and earlier parts of the same run are kept."""
        former = self.log.read_run() or {}
        versions = toolchain()
        part = {name: facts[name] for name in OF_A_PART if name in facts} | {"torch": versions.get("torch")}
        parts = [*(former.get("parts") or []), {"from_step": step, **part, "started_at": _now()}]
        self._part = len(parts) - 1
        self.facts = {
            "recipe": self.plan.recipe.name,
            **facts,
            "digests": self.digests,
            "toolchain": versions,
            "owner": owner_of_this_process(),
            "started_at": former.get("started_at", _now()),
            "resumed_from_steps": _resumes(former, step),
            "parts": parts,
        }
        self._write("RUNNING", step, ended_at=None)

    def close_run(self, status: Status, *, step: int, **facts: JSON) -> RunResult:
        """Writes run.json with how the run ended, and with what its learned weights are worth where it has any."""
        learned = task_weights_of(self.log.rows(STEPS)) if self.plan.recipe.loss.kind == "uncertainty" else None
        worth: dict[str, JSON] = {"task_weights": learned.as_json()} if learned else {}
        self.log.sync()
        self._write(status, step, **facts, **worth, ended_at=_now())
        return self.result(status, step=step)

    def _write(self, status: Status, step: int, **facts: JSON) -> None:
        self.log.write_run(self.facts | facts | self._state(status, step))

    def result(self, status: Status, *, step: int) -> RunResult:
        """The end of a run as its caller sees it."""
        return RunResult(out=self.plan.out, resumed_from_step=None, **self._state(status, step))

    def _state(self, status: Status, step: int) -> dict[str, JSON]:
        return {
            "status": status,
            "step": step,
            "best_step": self.best["step"] if self.best else None,
            "best_val_macro_f1": self.best["val_macro_f1"] if self.best else None,
            "finding": vars(self.finding) if self.finding else None,
            "converged": self.converged,
        }

    def _wait(self, evaluated: EvaluatedRows) -> None:
        if self._stops_early and np.isfinite(evaluated.losses.nats).all():
            self.converged = self.converged or self._patience.observe(evaluated)

    def _watch(self, row: Mapping[str, JSON], observe: Callable[[Mapping[str, JSON]], Finding | None]) -> None:
        self.finding = self.finding or observe(row)

    def _rank(self, row: Mapping[str, JSON]) -> bool:
        """Whether a row is the best so far; none is after a failure rule has fired, for best/ is not saved any more."""
        self.last_eval = row
        if self.finding is not None:
            return False
        if self.best is not None and not row["val_macro_f1"] > self.best["val_macro_f1"]:
            return False
        self.best = row
        return True


def _resumes(former: Mapping[str, JSON], step: int) -> list[JSON]:
    """The steps that a run was resumed from, with this one where it is not the first."""
    return [*(former.get("resumed_from_steps") or []), *([step] if former else [])]


def prepare_folder(plan: RunPlan, *, precision: str) -> None:
    """Makes the folder whole, whatever a killed run left there, and brings the run that must be resumed into it.

    Brings nothing, and raises ArtifactError when that is another run, RecipeError when it was not trained in the
    `precision` that it would go on in."""
    for name in (BEST, LAST):
        recover_checkpoint(plan.out / name)
    if plan.resume_from is not None:
        if facts := TrainingLog(plan.resume_from).read_run():
            _demand_same_run(plan, plan.resume_from, facts, digests_of(plan))
        demand_same_precision(plan, plan.resume_from, precision)
        adopt_run(plan.resume_from, plan.out)
    for draft in plan.out.glob(f".{RUN}.*"):  # that a kill left
        draft.unlink()
    demand_whole_copy(plan.out)


def _demand_same_run(plan: RunPlan, folder: Path, facts: Mapping[str, JSON], digests: Mapping[str, str]) -> None:
    """Going on under another recipe, other data or other code would make one run out of two."""
    mine = {"kind": plan.kind, **digests}
    theirs = {"kind": facts.get("kind"), **(facts.get("digests") or {})}
    differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if differing:
        name = differing[0]
        raise ArtifactError(
            f"{folder}: holds a run whose {name} is {theirs.get(name)!r}, this one's is {mine.get(name)!r}. "
            + _way_out(plan, folder)
        )


def demand_same_precision(plan: RunPlan, folder: Path, precision: str) -> None:
    """Raises RecipeError when a part of the run in a folder was trained in another precision: at its end the run would
    be refused. One that has ended does not go on."""
    run = TrainingLog(folder).read_run()
    if run is None or run.get("status") in ENDED:
        return
    told = [run.get("precision"), *(part.get("precision") for part in run.get("parts") or ())]
    if other := [began for began in told if began != precision]:
        began = f"began in {other[0]!r}" if other[0] else "does not say in which precision it began"
        raise RecipeError(
            f"{folder}: the run {began}, and train.precision {plan.recipe.train.precision!r} is {precision!r} here. "
            f"Go on where it began, or: {_way_out(plan, folder)}"
        )


def _way_out(plan: RunPlan, folder: Path) -> str:
    """What to do with a folder whose run cannot go on: the one that was named to resume is somebody's to keep."""
    if folder == plan.resume_from:
        return "Name another run to resume, or train anew without one."
    return "Choose another folder, or delete it to train anew."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
