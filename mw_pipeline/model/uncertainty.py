"""Learned weights of two losses: Σ L/(2σ²) + log σ (Kendall, Gal and Cipolla 2018), σ² learned as its logarithm.

The sum is at rest where σ² = L: the weights say how large each loss is, not how much it matters. Whether they have come
to rest at all is judged by `mw_pipeline.verdict.task_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

TASKS: tuple[str, ...] = ("ce", "crf")
"""The losses that are weighted, in the order of a tagger's `log_variances`."""


def uncertainty_weighted(losses: Sequence[Tensor], log_variances: Tensor, *, share: float = 1.0) -> Tensor:
    """Σ L/(2σ²) + share · log σ over the tasks; log σ is half the log-variance.

    `share` is the part of a window that the losses are of: the shares of its micro-batches count log σ once."""
    return (torch.stack(tuple(losses)) * torch.exp(-log_variances) / 2 + share * log_variances / 2).sum()


def sigmas(log_variances: Tensor) -> Tensor:
    """σ of each of TASKS, in that order."""
    return torch.exp(log_variances.detach() / 2)
