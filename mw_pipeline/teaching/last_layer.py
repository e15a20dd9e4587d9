"""What the last layer of a tagger sees of each piece, and what the loss asks it to change there.

Shape letters: B rows, T pieces of the longest, N real pieces of all rows, C width, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import Extent, TaggingLoss


@dataclass(frozen=True)
class LastLayer:
    """Both factors of the last layer's gradient, piece by piece: a row's gradient is the sum of error ⊗ (hidden, 1).

    hidden  (N, C)  float32  what goes into the last layer
    errors  (N, K)  float64  derivative of the loss by the logits; a confident tagger's are tiny, and still have a sign
    """

    hidden: NDArray[np.float32]
    errors: NDArray[np.float64]

    def only(self, pieces: slice | NDArray[np.int64]) -> LastLayer:
        """The same of some of the pieces."""
        return LastLayer(self.hidden[pieces], self.errors[pieces])

    @property
    def square(self) -> float:
        """Squared length of the gradient of all of these pieces together, the bias with it."""
        weight, bias = self.errors.T @ self.hidden, self.errors.sum(axis=0)
        return float((weight**2).sum() + (bias**2).sum())


def last_layer(tagger: Tagger, loss: TaggingLoss, batch: Batch, window: Extent) -> LastLayer:
    """The last layer on the real pieces of a batch, row by row; `window` is what the loss takes its means over."""
    ids, tags, mask = tensors_of(batch, next(tagger.parameters()).device)
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    handle = tagger.encoder.head.register_forward_pre_hook(keep)
    with torch.no_grad():
        logits = tagger.encoder(ids, mask).double()
    handle.remove()
    logits.requires_grad_()
    log_variances = tagger.log_variances.detach()
    total = loss.share(logits, tags, mask, tagger.crf, window=window, log_variances=log_variances).total
    (errors,) = torch.autograd.grad(total, logits)
    real = batch.attention_mask
    return LastLayer(seen[0].float().cpu().numpy()[real], errors.cpu().numpy()[real])


def mean_extent(loss: TaggingLoss, batches: Sequence[Batch]) -> Extent:
    """The extent of one row on average: with it, every row weighs as it does in training."""
    total = Extent(0.0, 0.0, 0.0)
    for batch in batches:
        _, tags, mask = tensors_of(batch, torch.device("cpu"))
        total = total + loss.extent(tags, mask)
    return Extent(1.0, total.pieces / total.rows, total.weight / total.rows)
