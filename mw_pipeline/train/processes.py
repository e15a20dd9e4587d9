"""The processes of one training run: torchrun starts them, gradients are summed over them, the first alone writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before any group: its default arguments keep the one that they find alive
from torch import Tensor, nn

from mw_pipeline.errors import RecipeError
from mw_pipeline.model.losses import Extent

_HASHES = 2**64
T = TypeVar("T")


class PeerLostError(Exception):
    """Another process of the run is gone: nothing can be added up with it any more."""


@contextmanager
def _raising_peer_lost() -> Iterator[None]:
    """Raises PeerLostError where gloo, within seconds, has an error when the connection to another process breaks."""
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


def sums_on_gpus(device: torch.device, *, asked: str) -> bool:
    """Whether NCCL adds up what lies on GPUs, the same in all processes: it can where each has a card of its own, and
    so not where the recipe has `asked` for one by its number."""
    return device.type == "cuda" and ":" not in asked and dist.is_nccl_available()


@dataclass(frozen=True)
class Processes:
    """This process's place among `count`; every method is a no-op for a single one. As a context, it leaves at the end.

    Numbers of the host are added up by gloo, tensors of GPUs by NCCL where that can (`sums_on_gpus`), else by gloo."""

    rank: int
    count: int
    sums_on_gpus: bool = False

    @classmethod
    def join(cls, micro_batches: int, *, device: torch.device, asked: str) -> Processes:
        """The group that torchrun's environment describes; its processes share the micro-batches of a step evenly.

        Raises RecipeError when they cannot: the effective batch would differ."""
        count, on_gpus = int(os.environ.get("WORLD_SIZE", "1")), sums_on_gpus(device, asked=asked)
        demand_even_shares(count, micro_batches)
        if count > 1 and not dist.is_initialized():
            if on_gpus:
                torch.cuda.set_device(device)
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
        return cls(rank=int(os.environ.get("RANK", "0")), count=count, sums_on_gpus=on_gpus)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Closes this process's part of the group, whoever else is gone: left open, its threads meet the end of the
        interpreter, and abort a process that had its own error to end with."""
        if self.count > 1 and dist.is_initialized():
            with suppress(RuntimeError):  # of a peer that is gone, which has been told where it was missed
                dist.destroy_process_group()

    @property
    def writes(self) -> bool:
        """True in the one process that writes files."""
        return self.rank == 0

    def total(self, extent: Extent) -> Extent:
        """The extent of the window over all processes."""
        parts = torch.tensor([extent.rows, extent.pieces, extent.weight], dtype=torch.float64)
        return Extent(*self.sum_values(parts).tolist())

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up every gradient in one message; each process holds its part of one mean, so the sum is the mean's."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.sum_values(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum_values(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in its place."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of what all share out."""
        return items[self.rank :: self.count]

    def together(self, own: Sequence[T]) -> list[T]:
        """What all processes have made of their shares, in the order of what they shared out. Objects go by pickle."""
        if self.count == 1:
            return list(own)
        parts: list[list[T]] = [[] for _ in range(self.count)]
        with _raising_peer_lost():
            dist.all_gather_object(parts, list(own))
        return [parts[at % self.count][at // self.count] for at in range(sum(map(len, parts)))]

    def any(self, *flags: bool) -> list[bool]:
        """Each flag as True in all processes when it is true in one, so that they stop at the same step."""
        return [count > 0 for count in self.sum_values(torch.tensor(flags, dtype=torch.int64)).tolist()]

    def largest(self, value: int) -> int:
        """The largest of a number over all processes."""
        return int(self._reduce(torch.tensor([value]), dist.ReduceOp.MAX).tolist()[0])

    def sum_hash(self, value: int) -> int:
        """The sum over all processes, modulo 2⁶⁴."""
        signed = (value + _HASHES // 2) % _HASHES - _HASHES // 2
        return int(self.sum_values(torch.tensor([signed], dtype=torch.int64)).tolist()[0]) % _HASHES

    def _reduce(self, values: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        if self.count > 1:
            with _raising_peer_lost():
                dist.all_reduce(values, op=operation)
        return values

    def wait(self) -> None:
        """Returns when all processes have come here."""
        self.any(False)


ALONE = Processes(rank=0, count=1)
"""The one process of a run that has no others."""
