"""One optimizer step: the window's micro-batches forward and backward, the finite check, then the optimizer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mw_pipeline.draws import splitmix64
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import Extent, LossShare, TaggingLoss
from mw_pipeline.model.optimizer import flat_state, optimizer_of, restore_flat_state
from mw_pipeline.model.uncertainty import sigmas
from mw_pipeline.tokenizer import Tokenizer
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import Processes

FIRST_STEPS_LOGGED = 20
"""Steps whose losses are logged one by one, for whoever trains them again."""


@dataclass(frozen=True)
class StepOutcome:
    """What one step measured, over the whole window of all processes (M35).

    loss, ce, crf, span  nats, the window's mean; None for a term without weight
    grad_norm            Euclidean norm of all gradients before clipping
    pieces               real pieces of the window
    passes               whole passes over its source behind the most repeated row
    rows                 rows of the window
    row_hash             sum of a hash of each row's number modulo 2⁶⁴: equal for the same rows in any order
    sigmas               task → σ that this step weighed its losses by; None where the recipe fixes the weights
    """

    loss: float
    ce: float | None
    crf: float | None
    grad_norm: float
    pieces: int
    passes: int
    rows: int
    row_hash: int
    span: float | None = None
    sigmas: Mapping[str, float] | None = None

    @property
    def finite(self) -> bool:
        """Whether loss and gradient norm are numbers."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)

    def losses(self) -> dict[str, float]:
        """loss, and each of its terms that is trained."""
        terms = {"loss": self.loss, "ce": self.ce, "crf": self.crf, "span": self.span}
        return {name: value for name, value in terms.items() if value is not None}


class Stepper:
    """What is trained: a tagger drawn from the recipe's seed, its loss and its optimizer, moved by numbered steps.

    A step whose loss or gradient is not finite leaves weights and optimizer untouched."""

    def __init__(self, plan: RunPlan, data: TrainingData, *, device: torch.device, processes: Processes) -> None:
        recipe, summary = plan.recipe, data.summary
        torch.manual_seed(recipe.train.seed)
        self.tagger = Tagger(recipe.model, vocab_size=summary["vocab_size"], labels=recipe.label_set).to(device).train()
        if recipe.model.positions == "words":
            self.tagger.encoder.know_words(Tokenizer(plan.tokenizer_path).joints)
        self.loss = TaggingLoss(recipe.loss, recipe.label_set, label_counts=summary["label_counts"], device=device)
        self.tagger.crf.requires_grad_(self.loss.crf_weight > 0)
        self.tagger.log_variances.requires_grad_(self.loss.learns_weights)
        self.optimizer = optimizer_of(self.tagger, recipe.train)
        self._stream, self._course, self._config = data.stream, plan.course, recipe.train
        self._device, self._processes = device, processes
        self._parameters = [p for p in self.tagger.parameters() if p.requires_grad]

    def optimizer_state(self) -> dict[str, Tensor]:
        """What the optimizer keeps between steps, by name."""
        return flat_state(self.optimizer, self.tagger)

    def restore(self, tagger: Tagger, optimizer_state: Mapping[str, Tensor]) -> None:
        """Weights and optimizer as a checkpoint has them."""
        self.tagger.load_state_dict(tagger.state_dict())
        restore_flat_state(self.optimizer, self.tagger, optimizer_state)

    def take(self, step: int) -> StepOutcome:
        """Step `step` of the course, counted from 1."""
        rank, ranks = self._processes.rank, self._processes.count
        indices = self._course.micro_batches(step, rank=rank, ranks=ranks)
        window = [self._stream.batch(index) for index in indices]
        tensors = [tensors_of(batch, self._device) for batch in window]
        extents = [self.loss.extent(tags, mask) for _, tags, mask in tensors]
        extent = self._processes.total(sum(extents[1:], start=extents[0]))
        self.optimizer.zero_grad()
        values = torch.zeros(4)
        for index, micro_batch in zip(indices, tensors, strict=True):
            torch.manual_seed(dropout_seed(self._config.seed, index))
            values += self._backward(*micro_batch, extent)
        loss, ce, crf, span = self._processes.sum_values(values).tolist()
        self._processes.sum_gradients(self._parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm))
        outcome = StepOutcome(
            loss=loss,
            ce=ce if self.loss.ce_weight else None,
            crf=crf if self.loss.crf_weight else None,
            grad_norm=norm,
            pieces=int(extent.pieces),
            passes=self._processes.largest(max(int(batch.passes.max()) for batch in window)),
            rows=int(extent.rows),
            row_hash=self._processes.sum_hash(sum(row_hash(batch.rows) for batch in window)),
            span=span if self.loss.positive_weights is not None else None,
            sigmas=sigmas(self.tagger.log_variances) if self.loss.learns_weights else None,
        )
        if outcome.finite:
            self._update(step)
        return outcome

    def _backward(self, input_ids: Tensor, tags: Tensor, mask: Tensor | None, window: Extent) -> Tensor:
        """(4,) this micro-batch's part of loss, CE, CRF and span; its part of the gradient goes to the parameters."""
        with self._precision():
            logits = self.tagger.encoder(input_ids, mask)
        tagger = self.tagger
        share = self.loss.share(
            logits.float(), tags, mask, tagger.crf, window=window, log_variances=tagger.log_variances
        )
        share.total.backward()  # type: ignore[no-untyped-call]
        return _values_of(share)

    def _precision(self) -> AbstractContextManager[object]:
        """bf16 changes how matrices are multiplied; weights, gradients, optimizer and loss stay float32 (M34)."""
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._config.precision == "bf16")

    def _update(self, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._course.lr(step)
        self.optimizer.step()


def _values_of(share: LossShare) -> Tensor:
    nothing = torch.zeros(())
    terms = (nothing if term is None else term for term in (share.ce, share.crf, share.span))
    return torch.stack([term.detach().cpu() for term in (share.nats, *terms)])


def row_hash(rows: NDArray[np.int64]) -> int:
    """The sum of a hash of each row's number, below 2⁶⁴: equal for the same rows in any order."""
    return int(splitmix64(rows.astype(np.uint64)).sum())


def dropout_seed(seed: int, index: int) -> int:
    """The seed of a micro-batch's dropout: a resumed run drops what the unbroken one would have, in any process."""
    text = f"{seed} {index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
