"""One optimizer step: the window's micro-batches forward and backward, the finite check, then the optimizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.draws import splitmix64
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import Extent, TaggingLoss
from mw_pipeline.model.optimizer import flat_state, optimizer_of, restore_flat_state
from mw_pipeline.model.precision import multiplying_in, precision_as_asked
from mw_pipeline.model.uncertainty import TASKS, sigmas
from mw_pipeline.recipe import Precision
from mw_pipeline.tokenizer import Tokenizer
from mw_pipeline.train.compilation import CompiledEncoder, Network
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import Processes

FIRST_STEPS_LOGGED = 20
"""Steps whose losses are logged one by one, for whoever trains them again."""

TERMS = ("ce", "crf", "span")
"""The terms that a step's loss can have."""

_SIGMAS = {task: f"sigma_{task}" for task in TASKS}
_HOST = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class StepOutcome:
    """What one step measured, over the whole window of all processes (M35).

    measured  (N,) float32  what the device has found, as `names` says: to ask for it is to wait until it has
    pieces    real pieces of the window
    passes    whole passes over its source behind the most repeated row
    rows      rows of the window
    row_hash  sum of a hash of each row's number modulo 2⁶⁴: equal for the same rows in any order
    """

    measured: Tensor
    names: tuple[str, ...]
    pieces: int
    passes: int
    rows: int
    row_hash: int

    @cached_property
    def _values(self) -> dict[str, float]:
        return dict(zip(self.names, self.measured.tolist(), strict=True))

    @property
    def loss(self) -> float:
        """The window's mean, in nats."""
        return self._values["loss"]

    @property
    def grad_norm(self) -> float:
        """Euclidean norm of all gradients before clipping."""
        return self._values["grad_norm"]

    @property
    def sigmas(self) -> dict[str, float] | None:
        """Task → σ that this step weighed its losses by; None where the recipe fixes the weights."""
        return {task: self._values[name] for task, name in _SIGMAS.items() if name in self.names} or None

    @property
    def finite(self) -> bool:
        """Whether loss and gradient norm are numbers."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)

    def losses(self) -> dict[str, float]:
        """loss, and each of its terms that is trained: ce, crf or span."""
        return {name: value for name, value in self._values.items() if name in ("loss", *TERMS)}


def read_back(outcomes: Sequence[StepOutcome]) -> list[StepOutcome]:
    """The same steps with what they measured in the memory of the host, after one copy for all of them."""
    if not outcomes:
        return []
    measured = torch.stack([outcome.measured for outcome in outcomes]).cpu()
    return [replace(outcome, measured=row) for outcome, row in zip(outcomes, measured, strict=True)]


class Stepper:
    """What is trained: a tagger drawn from the recipe's seed, its loss and its optimizer, moved by numbered steps.

    A step whose loss or gradient is not finite leaves weights and optimizer untouched, and so do all after it: whoever
    asks for outcomes later than step by step finds the weights of the last one that was."""

    def __init__(
        self,
        plan: RunPlan,
        data: TrainingData,
        *,
        device: torch.device,
        processes: Processes,
        precision: Precision | None = None,
    ) -> None:
        """`precision` is what the recipe asks for on the device, unless it is given."""
        recipe, summary = plan.recipe, data.summary
        self.precision = precision or precision_as_asked(recipe.train.precision, device)
        torch.manual_seed(recipe.train.seed)
        self.tagger = Tagger(recipe.model, vocab_size=summary["vocab_size"], labels=recipe.label_set).to(device).train()
        if recipe.model.positions == "words":
            self.tagger.encoder.know_words(Tokenizer(plan.tokenizer_path).joints)
        self.loss = TaggingLoss(recipe.loss, recipe.label_set, label_counts=summary["label_counts"], device=device)
        self.tagger.crf.requires_grad_(self.loss.crf_weight > 0)
        self.tagger.log_variances.requires_grad_(self.loss.learns_weights)
        self.optimizer = optimizer_of(self.tagger, recipe.train)
        self._network: Network = self.tagger.encoder
        self._reads_words = recipe.model.positions == "words"
        self._names = ("loss", *self.loss.terms, "grad_norm", *(_SIGMAS.values() if self.loss.learns_weights else ()))
        self._halt = torch.zeros((), device=device)
        self._stream, self._course, self._config = data.stream, plan.course, recipe.train
        self._device, self._processes = device, processes
        self._parameters = [p for p in self.tagger.parameters() if p.requires_grad]

    def prepare(self) -> None:
        """Compiles the network where the recipe says so, once; a first step does it else. Raises RecipeError where the
        compiler cannot."""
        if not self._config.compile or isinstance(self._network, CompiledEncoder):
            return
        compiled = CompiledEncoder(self.tagger.encoder)
        compiled.make(self._course.batch_size, self._multiplying(), reads_words=self._reads_words)
        self._network = compiled

    def optimizer_state(self) -> dict[str, Tensor]:
        """What the optimizer keeps between steps, by name."""
        return flat_state(self.optimizer, self.tagger)

    def restore(self, tagger: Tagger, optimizer_state: Mapping[str, Tensor]) -> None:
        """Weights and optimizer as a checkpoint has them."""
        self.tagger.load_state_dict(tagger.state_dict())
        restore_flat_state(self.optimizer, self.tagger, optimizer_state)

    def take(self, step: int) -> StepOutcome:
        """Step `step` of the course, counted from 1. Nothing is read back from the device: it may lag behind."""
        self.prepare()
        rank, ranks = self._processes.rank, self._processes.count
        indices = self._course.micro_batches(step, rank=rank, ranks=ranks)
        window = [self._stream.batch(index) for index in indices]
        extents = [self.loss.extent(*tensors_of(batch, _HOST)[1:]) for batch in window]
        extent = self._processes.total(sum(extents[1:], start=extents[0]))
        self.optimizer.zero_grad()
        losses = torch.zeros(1 + len(self.loss.terms), device=self._device)
        for index, batch, own in zip(indices, window, extents, strict=True):
            torch.manual_seed(dropout_seed(self._config.seed, index))
            losses += self._backward(batch, own, extent)
        self._processes.sum_values(losses)
        self._processes.sum_gradients(self._parameters)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm)
        sigma = (sigmas(self.tagger.log_variances),) if self.loss.learns_weights else ()
        outcome = StepOutcome(
            measured=torch.cat((losses, norm[None], *sigma)),
            names=self._names,
            pieces=int(extent.pieces),
            passes=self._processes.largest(max(int(batch.passes.max()) for batch in window)),
            rows=int(extent.rows),
            row_hash=self._processes.sum_hash(sum(row_hash(batch.rows) for batch in window)),
        )
        self._update(step, finite=torch.stack((losses[0], norm)).isfinite().all())
        return outcome

    def _backward(self, batch: Batch, own: Extent, window: Extent) -> Tensor:
        """(1 + terms,) this micro-batch's part of loss and terms; its part of the gradient goes to the parameters."""
        input_ids, tags, mask = tensors_of(batch, self._device)
        tagger, words = self.tagger, batch.words if self._reads_words else input_ids.shape[1]
        with self._multiplying():
            logits = self._network(input_ids, mask, words).float()
        share = self.loss.share(
            logits, tags, mask, tagger.crf, window=window, own=own, log_variances=tagger.log_variances
        )
        share.total.backward()  # type: ignore[no-untyped-call]
        terms = (share.nats, share.ce, share.crf, share.span)
        return torch.stack([term.detach() for term in terms if term is not None])

    def _multiplying(self) -> AbstractContextManager[object]:
        return multiplying_in(self.precision, self._device)

    def _update(self, step: int, *, finite: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._course.lr(step)
        self._halt = torch.maximum(self._halt, (~finite).float())
        self.optimizer.step(halt=self._halt)


def row_hash(rows: NDArray[np.int64]) -> int:
    """The sum of a hash of each row's number, below 2⁶⁴: equal for the same rows in any order."""
    return int(splitmix64(rows.astype(np.uint64)).sum())


def dropout_seed(seed: int, index: int) -> int:
    """The seed of a micro-batch's dropout: a resumed run drops what the unbroken one would have, in any process."""
    text = f"{seed} {index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
