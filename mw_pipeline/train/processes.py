"""The processes of one training run: torchrun starts them, gradients are summed over them, the first alone writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mw_pipeline.errors import RecipeError
from mw_pipeline.model.losses import Extent


@dataclass(frozen=True)
class Processes:
    """This process's place among `count`; every method is a no-op for a single one."""

    rank: int
    count: int

    @classmethod
    def join(cls, expected: int) -> Processes:
        """The group that torchrun's environment describes. Raises RecipeError when it is not of the recipe's size."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count != expected:
            raise RecipeError(
                f"train.processes is {expected!r} and {count} were started: the effective batch would differ. "
                f"Start it with torchrun --nproc-per-node {expected}, or change the recipe."
            )
        if count > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")
        return cls(rank=int(os.environ.get("RANK", "0")), count=count)

    @property
    def writes(self) -> bool:
        """True in the one process that writes files and evaluates."""
        return self.rank == 0

    def total(self, extent: Extent) -> Extent:
        """The extent of the window over all processes."""
        if self.count == 1:
            return extent
        sums = torch.tensor([extent.rows, extent.pieces, extent.weight], dtype=torch.float64)
        dist.all_reduce(sums)
        return Extent(*sums.tolist())

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up every gradient in one message; each process holds its part of one mean, so the sum is the mean's."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        begin = 0
        for gradient in gradients:
            gradient.copy_(flat[begin : begin + gradient.numel()].view_as(gradient))
            begin += gradient.numel()

    def sum_values(self, values: Tensor) -> Tensor:
        """The sum of a small tensor over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """True in all processes when it is true in one, so that they stop at the same step."""
        return bool(self.sum_values(torch.tensor(int(flag))).item()) if self.count > 1 else flag

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.count > 1:
            dist.barrier()
