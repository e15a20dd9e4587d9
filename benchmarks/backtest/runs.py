"""Runs of this project's own training step with nobody watching, so that a run which fails shows how it ends."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from pathlib import Path

import numpy as np
import torch

from backtest.cases import Case, Fault
from backtest.corpus import Corpus, digest_of_corpus
from mw_pipeline.dataset.batches import Batch, BatchStream
from mw_pipeline.digest import digest_of
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.folder import digests_of
from mw_pipeline.train.log import EVALS, STEPS, TrainingLog
from mw_pipeline.train.plan import RunKind, RunPlan
from mw_pipeline.train.processes import ALONE
from mw_pipeline.train.step import Stepper
from mw_pipeline.train.validation import examine
from mw_pipeline.train.window import LossWindow


def run_path(runs: Path, case: Case, corpus: Corpus, kind: RunKind) -> Path:
    """Where the run lies, by the digest of what decides it. A smoke does not depend on the full run's schedule.

    The code is not part of it, but stands in run.json: delete the cache after a change of the training step."""
    same = {"train": {"schedule": "constant"}} if kind == "smoke" else {}
    return runs / f"{kind}-{digest_of([case.digest(**same), digest_of_corpus(corpus)])[:16]}"


def is_done(path: Path) -> bool:
    """Whether the run lies there: run.json is written last."""
    return (path / "run.json").exists()


def train_unwatched(case: Case, corpus: Corpus, kind: RunKind, out: Path) -> None:
    """Leaves steps.jsonl, evals.jsonl and run.json in `out`. The run ends with its steps, or with the first NaN."""
    if is_done(out):
        return
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    plan = RunPlan(kind, case.recipe(), corpus.dataset, corpus.tokenizer, out)
    begun = time.process_time()
    step = _Unwatched(plan, case.fault).go()
    facts = {
        "kind": kind,
        **plan.course.as_json(),
        "label_entropy": TrainingData.open(plan).summary["label_entropy"],
        "digests": digests_of(plan),
        "step": step,
        "cpu_seconds": time.process_time() - begun,
        "case": case.name,
    }
    TrainingLog(out).write_run(facts)


class _Unwatched:
    """The trainer's step, data, loss, optimizer and validation, in a loop that nothing but a NaN ends."""

    def __init__(self, plan: RunPlan, fault: Fault) -> None:
        self.plan, self.fault, self.log = plan, fault, TrainingLog(plan.out)
        torch.set_num_threads(plan.recipe.train.threads)
        data = TrainingData.open(plan)
        stream = Corrupted(data.stream, fault, tags=len(plan.recipe.label_set.tags))
        self.data = dataclasses.replace(data, stream=stream)
        self.stepper = Stepper(plan, self.data, device=torch.device("cpu"), processes=ALONE)

    def go(self) -> int:
        """Trains to the end; returns the last step."""
        config, course = self.plan.recipe.train, self.plan.course
        window, begun = LossWindow(), time.perf_counter()
        for step in range(1, course.steps + 1):
            outcome = self.stepper.take(step)
            if self.fault.rounds_weights:
                self._round_weights()
            window.add(outcome)
            if step % config.log_every == 0 or not outcome.finite:
                row = {"step": step, "lr": course.lr(step), **window.means(), "grad_norm": outcome.grad_norm}
                row |= {"tokens": window.pieces, "wall_seconds": time.perf_counter() - begun}
                self.log.append(STEPS, row)
                window = LossWindow()
            if not outcome.finite:
                return step
            if course.is_due(step, every=course.eval_every):
                found = examine(
                    self.stepper.tagger, self.data.validation, self.plan.recipe.label_set, loss=self.stepper.loss
                )
                self.log.append(EVALS, {"step": step, **found.scores})
                if not math.isfinite(found.scores["val_loss"]):
                    return step
        return course.steps

    @torch.no_grad()
    def _round_weights(self) -> None:
        for parameter in filter(lambda p: p.requires_grad, self.stepper.tagger.parameters()):
            held = [parameter, *self.stepper.optimizer.state_of(parameter).values()]
            for tensor in held:
                if tensor.dim():  # the step counter is no weight
                    tensor.copy_(tensor.bfloat16())


class Corrupted(BatchStream):
    """Another stream's batches with some rows' tags wrong: always the same rows, in the same way."""

    def __init__(self, stream: BatchStream, fault: Fault, *, tags: int) -> None:
        self._stream, self._fault, self._tags = stream, fault, tags

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run with its faults in."""
        found, fault = self._stream.batch(index), self._fault
        poison = fault.poison_share if index + 1 >= fault.poison_from else 0.0  # one batch a step: steps count from 1
        if not fault.noise_share and not poison and not fault.slip_share:
            return found
        draws = np.array([np.random.default_rng(int(row)).random(2) for row in found.rows])
        shifts = np.where(draws[:, 0] < poison, 1, 0)
        noisy = draws[:, 0] < fault.noise_share
        shifts = np.where(noisy, 1 + (draws[:, 1] * (self._tags - 1)).astype(int), shifts)
        labels = shifted(found.labels, shifts, self._tags)
        return dataclasses.replace(found, labels=slipped(labels, found.attention_mask, draws[:, 0] < fault.slip_share))


def shifted(labels: np.ndarray, shifts: np.ndarray, tags: int) -> np.ndarray:
    """(B, T) labels with the tags of each row moved on by its shift (B,); O stays, and legal rows stay legal."""
    moved = (labels - 1 + 2 * shifts[:, None]) % (2 * tags) + 1
    return np.where(labels == 0, 0, moved)


def slipped(labels: np.ndarray, mask: np.ndarray, late: np.ndarray) -> np.ndarray:
    """(B, T) labels with those of the `late` rows (B,) one piece to the right, O first: legal rows stay legal."""
    moved = np.zeros_like(labels)
    moved[:, 1:] = labels[:, :-1]
    return np.where(late[:, None] & mask, moved, labels)
