"""The folder of a run: its log, its checkpoints best/ and last/, and what they say about how far it has come."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
from torch import Tensor

from mw_pipeline.dataset.build import DATASET_JSON
from mw_pipeline.digest import JSON, code_digest, sha256_file, toolchain
from mw_pipeline.errors import ArtifactError
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.model.checkpoint import CheckpointFacts, Tagger, recover_checkpoint, save_checkpoint
from mw_pipeline.train.log import BEST, EVALS, FIRST_STEPS, LAST, STEPS, TrainingLog, adopt_run, owner_of_this_process
from mw_pipeline.train.plan import ENDED, RunPlan, RunResult, Status
from mw_pipeline.verdict.early_stop import ROW_LOSSES, EvaluatedRows, Patience
from mw_pipeline.verdict.exposure import recipe_digests
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
        self._demand_same_run(facts)
        if facts["status"] not in ENDED:
            return None
        keys = ("converged", "status", "step", "best_step", "best_val_macro_f1", "finding")
        return RunResult(out=self.plan.out, resumed_from_step=None, **{key: facts[key] for key in keys})

    def rewind(self, step: int) -> None:
        """Log, best evaluation and watchdog as they were after `step`."""
        self.log.truncate_after(step)
        steps, evals = self.log.rows(STEPS), self.log.rows(EVALS)
        for row in sorted([*steps, *evals], key=lambda row: int(row["step"])):  # stable: a step before its evaluation
            self._watch(row, self._watchdog.observe_eval if "val_loss" in row else self._watchdog.observe_step)
        for row in evals:
            self._rank(row)
        for row in self.log.rows(ROW_LOSSES):
            self._wait(EvaluatedRows.of_json(row, f"{self.plan.out / ROW_LOSSES}: step {row.get('step')}"))
        if self.best is None:
            shutil.rmtree(self.plan.out / BEST, ignore_errors=True)

    def _demand_same_run(self, facts: Mapping[str, JSON]) -> None:
        """Going on under another recipe, other data or other code would make one run out of two."""
        mine = {"kind": self.plan.kind, **self.digests}
        theirs = {"kind": facts["kind"], **facts["digests"]}
        differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        if differing:
            name = differing[0]
            raise ArtifactError(
                f"{self.plan.out}: holds a run whose {name} is {theirs.get(name)!r}, this one's is {mine.get(name)!r}. "
                "Choose another folder, or delete it to train anew."
            )

    def log_step(self, row: Mapping[str, JSON]) -> None:
        """Adds a row to steps.jsonl."""
        self.log.append(STEPS, row)
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
        save_checkpoint(self.plan.out / name, tagger, facts, optimizer=optimizer)

    def open_run(self, *, step: int, **facts: JSON) -> None:
        """Writes run.json with status RUNNING; start time and earlier resumes of the same run are kept."""
        former = self.log.read_run() or {}
        self.facts = {
            "kind": self.plan.kind,
            "recipe": self.plan.recipe.name,
            **self.plan.course.as_json(),
            **facts,
            "digests": self.digests,
            "toolchain": toolchain(),
            "owner": owner_of_this_process(),
            "started_at": former.get("started_at", _now()),
            "resumed_from_steps": [*former.get("resumed_from_steps", []), *([step] if former else [])],
        }
        self.log.write_run(self.facts | self._state("RUNNING", step) | {"ended_at": None})

    def close_run(self, status: Status, *, step: int, **facts: JSON) -> RunResult:
        """Writes run.json with how the run ended, and with what its learned weights are worth where it has any."""
        learned = task_weights_of(self.log.rows(STEPS)) if self.plan.recipe.loss.kind == "uncertainty" else None
        worth: dict[str, JSON] = {"task_weights": learned.as_json()} if learned else {}
        self.log.write_run(self.facts | facts | worth | self._state(status, step) | {"ended_at": _now()})
        return self.result(status, step=step)

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
        self.last_eval = row
        if self.best is not None and not row["val_macro_f1"] > self.best["val_macro_f1"]:
            return False
        self.best = row
        return True


def prepare_folder(plan: RunPlan) -> None:
    """Makes the folder whole, whatever a killed run left there, and brings the run that must be resumed into it."""
    for name in (BEST, LAST):
        recover_checkpoint(plan.out / name)
    if plan.resume_from is not None:
        adopt_run(plan.resume_from, plan.out)


def digests_of(plan: RunPlan) -> dict[str, str]:
    """Digests of recipe sections, labels, data, tokenizer and code; those that the plan names are taken from it."""
    computed = {
        **recipe_digests(plan.recipe),
        "data": sha256_file(plan.dataset_path / DATASET_JSON),
        "tokenizer": sha256_file(plan.tokenizer_path),
    }
    named = computed | dict(plan.digests)
    return named if "code" in named else named | {"code": code_digest(("mw_pipeline.train.loop",))}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
