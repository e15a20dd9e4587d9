"""Muon (Jordan et al. 2024) with its iterations in float32.

torch's own counts them in bf16, whatever it moves: on a CPU that has no instructions for it these few small products
then take four fifths of a training step (docs/training.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """torch.optim.Muon, its groups and its state, for steps of AdamW's size: `adjust_lr_fn` is "match_rms_adamw"."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every matrix that has a gradient."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for matrix in (p for p in group["params"] if p.grad is not None):
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                ahead = matrix.grad.lerp(average, momentum) if group["nesterov"] else average
                update = orthogonalised(ahead, group["ns_coefficients"], steps=group["ns_steps"], eps=group["eps"])
                matrix.mul_(1 - rate * group["weight_decay"])
                matrix.add_(update, alpha=-0.2 * math.sqrt(max(matrix.shape)) * rate)


def orthogonalised(matrix: Tensor, coefficients: tuple[float, float, float], *, steps: int, eps: float) -> Tensor:
    """U Vᵀ of a matrix U S Vᵀ, roughly: singular values come out near 1, by Newton and Schulz's iteration.

    In the precision of the matrix (rows, columns), over its smaller side."""
    a, b, c = coefficients
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
