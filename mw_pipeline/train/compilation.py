"""The network as torch.compile makes it: graphs for batches of nearly every width, and what they are made by.

How a graph was made decides how its sums are rounded, so it may not follow from the batches that a process happened to
meet first. Graphs are made of shapes that no dataset or step changes, before any step is taken, and of none later: a
run that is resumed, and the lock that makes a smoke again, go on with the graphs of the unbroken run.

Shape letters: B rows, T pieces, W words, K labels.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import metadata, util
from typing import Any

import torch
from torch import Tensor

from mw_pipeline.errors import RecipeError
from mw_pipeline.model.encoder import Encoder

Network = Callable[[Tensor, Tensor | None, int | None], Tensor]
"""Ids (B, T), mask (B, T) or None, W or None -> logits (B, T, K), as `Encoder.forward` says."""

TRACED = ((24, 12), (12, 6))
"""T and W of the batches that graphs are made of. More than 4096 numbers are added up in another way on a CPU, so a
graph is for widths on one side of 4096 / B; the second shape makes one only where that of the first does not fit it."""

COMPILER: dict[str, Any] = {"backend": "inductor", "options": {"fallback_random": True}}
"""By what; from one seed a graph drops what the network drops without it."""


class CompiledEncoder:
    """An encoder's forward and backward as a graph, without a break in it, for B rows of any width.

    Pieces are looked up outside it: a compiled lookup adds its gradient up in whatever order threads come by. A batch
    that fits no graph, as one of single words, goes through the encoder as it is. Weights, names and `state_dict` stay
    the encoder's."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._graph: Callable[..., Tensor] = torch.compile(  # type: ignore[call-overload]
            encoder.logits_of, dynamic=True, fullgraph=True, isolate_recompiles=True, **COMPILER
        )

    def __call__(self, input_ids: Tensor, mask: Tensor | None, words: int | None) -> Tensor:
        """Logits as `Encoder.forward` gives them."""
        begins = self._encoder.word_begins(input_ids)
        mask = torch.ones_like(begins) if mask is None else mask
        with torch.compiler.set_stance("eager_on_recompile"):
            return self._graph(self._encoder.vectors_of(input_ids, begins), begins, mask, words)

    def make(self, rows: int, precision: AbstractContextManager[object], *, reads_words: bool) -> None:
        """Makes the graphs for B rows, forward in this precision and backward; it takes up to minutes.

        Raises RecipeError with the compiler's first words where it cannot."""
        parameters = list(self._encoder.parameters())
        device, width = parameters[0].device, self._encoder.head.in_features
        try:
            for pieces, words in TRACED:
                begins = torch.ones(rows, pieces, dtype=torch.bool, device=device)
                vectors = torch.zeros(rows, pieces, width, device=device, requires_grad=True)
                for tensor in (vectors, begins, mask := begins.clone()):
                    torch._dynamo.mark_static(tensor, 0)  # else B would be taken for T or W where they are equal here
                with precision:
                    logits = self._graph(vectors, begins, mask, words if reads_words else pieces)
                torch.autograd.grad(logits.float().sum(), (vectors, *parameters), allow_unused=True)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            cause = error.inner_exception
            raise RecipeError(
                f"train.compile is true and the network could not be compiled ({type(cause).__name__}: "
                f"{str(cause).partition(chr(10))[0]}). "
                "Repair the compiler, or set train.compile = false."
            ) from error


def demand_compiler(device: torch.device) -> None:
    """Returns where a network can be compiled for this device. Raises RecipeError elsewhere, with what to install."""
    if compiler_of(device) is None:
        missing = "triton" if device.type == "cuda" else "C++ compiler (g++, or another that CXX names)"
        raise RecipeError(
            f"train.compile is true and torch finds no {missing} here. Install one, or set train.compile = false."
        )


@functools.cache
def compiler_of(device: torch.device) -> str | None:
    """What makes the kernels of a graph, with its version: each rounds in its own way. None where there is none."""
    if device.type == "cuda":
        return f"triton {metadata.version('triton')}" if util.find_spec("triton") else None
    # What most runs never ask for takes a second to load.
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        compiler = get_cpp_compiler()
    except InvalidCxxCompiler:
        return None
    return subprocess.check_output([compiler, "--version"], text=True).splitlines()[0]
