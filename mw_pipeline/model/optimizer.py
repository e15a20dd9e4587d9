"""The optimizer of a tagger, and its state as named tensors that a checkpoint can keep."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.muon import Muon
from mw_pipeline.model.threads import threads_of_torch
from mw_pipeline.recipe import TrainConfig


class TaggerOptimizer:
    """Optimizers of disjoint parameters that step as one. Each parameter is in one group of one of them.

    Their products are so small that a second thread in each costs more than it saves. So every one counts on a single
    thread, and on a CPU of which torch has two or more, the last one steps beside the others; no bit depends on it."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        """Each is an optimizer by itself; one step of each by hand is a step of all."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts; a learning rate that is written into a group counts from the next step on."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self, *, halt: Tensor | None = None) -> None:
        """One step of every part; it moves nothing where `halt`, () float32 on the parameters' device, is 1.

        That is decided there, so nobody has to wait until it is known."""
        *first, last = self.parts
        on_cpu = halt is None or halt.device.type == "cpu"
        side_by_side = first and on_cpu and torch.get_num_threads() > 1
        with threads_of_torch(1):
            if not side_by_side:
                _step_each(self.parts, halt)
                return
            beside = _hand(os.getpid()).submit(_step_each, [last], halt)
            try:
                _step_each(first, halt)
            finally:  # whatever went wrong here, nothing moves any more once the step has ended
                beside.result()

    def state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What is kept of a parameter between steps, to be read and written; empty before its first step."""
        part = next(part for part in self.parts if any(parameter is p for g in part.param_groups for p in g["params"]))
        state: dict[str, Tensor] = part.state[parameter]
        return state


@functools.cache
def _hand(process: int) -> ThreadPoolExecutor:
    """The thread that steps beside the others, in each process its own: a fork leaves threads behind."""
    return ThreadPoolExecutor(1, "optimizer", initializer=torch.set_num_threads, initargs=(1,))


def _step_each(parts: Iterable[torch.optim.Optimizer], halt: Tensor | None) -> None:
    for part in parts:
        _step(part, halt)


def _step(part: torch.optim.Optimizer, halt: Tensor | None) -> None:
    if halt is None or isinstance(part, torch.optim.AdamW):
        part.found_inf = halt  # type: ignore[attr-defined]  # the fused kernels ask for it
        part.step()
    elif halt.device.type != "cpu":
        step_unless(halt, part)
    elif not halt.numpy():  # a CPU has the answer at once, and the copies would cost a twentieth of a step
        part.step()


@torch.no_grad()
def step_unless(halt: Tensor, part: torch.optim.Optimizer) -> None:
    """A step of kernels that know no condition: parameters and state are put back where `halt` is 1."""
    parameters = [p for group in part.param_groups for p in group["params"]]
    before = [(p.clone(), {name: value.clone() for name, value in part.state[p].items()}) for p in parameters]
    part.step()
    for parameter, (weights, state) in zip(parameters, before, strict=True):
        parameter.copy_(torch.where(halt > 0, weights, parameter))
        for name, value in part.state[parameter].items():
            former = state.get(name, torch.zeros_like(value))
            value.copy_(torch.where(halt > 0, former, value))


def optimizer_of(model: Tagger, config: TrainConfig) -> TaggerOptimizer:
    """AdamW over all that is trained, or Muon over the weight matrices of the encoder's layers and AdamW over the rest.

    Weight decay falls on the matrices of linear layers only. Norms, biases, embeddings and CRF scores are not decayed:
    pulling them to zero changes what is predicted for rare pieces and labels without bounding any matrix product.
    Parameters and state are float32 in every precision (M34). Muon (Jordan et al. 2024) takes steps of AdamW's size, so
    both go with one learning rate (Liu et al. 2025, "Muon is scalable for LLM training").
    """
    hidden = {id(layer.weight) for layer in model.encoder.layers.modules() if isinstance(layer, nn.Linear)}
    decayed = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)}
    by_muon = hidden if config.optimizer == "muon" else set()
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in decayed - by_muon], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=config.peak_lr, fused=True)]
    for matrices in halves([p for p in trained if id(p) in by_muon]):
        decay = config.weight_decay
        parts.append(Muon(matrices, lr=config.peak_lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return TaggerOptimizer(parts)


def halves(matrices: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """At most two parts, none of them empty, which cost Muon about the same: its products grow with the square of a
    matrix's smaller side times the other."""
    parts: list[list[nn.Parameter]] = [[], []]
    cost = [0, 0]
    for matrix in sorted(matrices, key=lambda matrix: -min(matrix.shape) * matrix.numel()):
        least = cost.index(min(cost))
        parts[least].append(matrix)
        cost[least] += min(matrix.shape) * matrix.numel()
    return [part for part in parts if part]


def flat_state(optimizer: TaggerOptimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state as `KEY.PARAMETER` → tensor, for example `exp_avg.crf.start`."""
    return {
        f"{key}.{name}": value
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        for key, value in optimizer.state_of(parameter).items()
    }


def restore_flat_state(optimizer: TaggerOptimizer, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts a state of `flat_state` back; a parameter that it does not name starts afresh."""
    parameters = dict(model.named_parameters())
    for full_name, value in state.items():
        key, name = full_name.split(".", maxsplit=1)
        parameter = parameters[name]
        optimizer.state_of(parameter)[key] = value.to(parameter.device)
