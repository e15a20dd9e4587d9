"""The processes of one training run: torchrun starts them, gradients are summed over them, the first alone writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mw_pipeline.errors import RecipeError
from mw_pipeline.model.losses import Extent

_HASHES = 2**64


class PeerLostError(Exception):
    """Another process of the run is gone: nothing can be added up with it any more."""


@contextmanager
def _together() -> Iterator[None]:
    """Names the error that gloo raises, within seconds, when the connection to another process breaks."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(str(error)) from error


def demand_even_shares(ranks: int, micro_batches: int) -> None:
    """Raises RecipeError when `ranks` processes cannot share the micro-batches of a step evenly."""
    if ranks < 1 or micro_batches % ranks:
        raise RecipeError(
            f"{ranks} processes cannot share the {micro_batches} micro-batches (train.accumulation × train.processes) "
            "of a step evenly, and the effective batch must stay. Start a number that divides them."
        )


@dataclass(frozen=True)
class Processes:
    """This process's place among `count`; every method is a no-op for a single one."""

    rank: int
    count: int

    @classmethod
    def join(cls, micro_batches: int) -> Processes:
        """The group that torchrun's environment describes; its processes share the micro-batches of a step evenly.

        Raises RecipeError when they cannot: the effective batch would differ."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        demand_even_shares(count, micro_batches)
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
        with _together():
            dist.all_reduce(sums)
        return Extent(*sums.tolist())

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up every gradient in one message; each process holds its part of one mean, so the sum is the mean's."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _together():
            dist.all_reduce(flat)
        begin = 0
        for gradient in gradients:
            gradient.copy_(flat[begin : begin + gradient.numel()].view_as(gradient))
            begin += gradient.numel()

    def sum_values(self, values: Tensor) -> Tensor:
        """The sum of a small tensor over all processes."""
        if self.count > 1:
            with _together():
                dist.all_reduce(values)
        return values

    def any(self, *flags: bool) -> list[bool]:
        """Each flag as True in all processes when it is true in one, so that they stop at the same step."""
        if self.count == 1:
            return [*flags]
        return [count > 0 for count in self.sum_values(torch.tensor(flags, dtype=torch.int64)).tolist()]

    def largest(self, value: int) -> int:
        """The largest of a number over all processes."""
        if self.count == 1:
            return value
        found = torch.tensor(value)
        with _together():
            dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def sum_hash(self, value: int) -> int:
        """The sum over all processes, modulo 2⁶⁴."""
        wrapped = value % _HASHES
        if self.count == 1:
            return wrapped
        signed = torch.tensor(wrapped - _HASHES if wrapped >= _HASHES // 2 else wrapped, dtype=torch.int64)
        return int(self.sum_values(signed)) % _HASHES

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.count > 1:
            with _together():
                dist.barrier()
