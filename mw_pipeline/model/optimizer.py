"""AdamW over a tagger's parameters, and its state as named tensors that a checkpoint can keep."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mw_pipeline.recipe import TrainConfig


def adamw_of(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on the matrices of linear layers only.

    Norms, biases, embeddings and CRF scores are not decayed: pulling them to zero changes what is predicted for rare
    pieces and labels without bounding any matrix product. Parameters and state are float32 in every precision (M34).
    """
    decayed = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Linear)}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in decayed], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.peak_lr, fused=True)


def flat_state(optimizer: torch.optim.AdamW, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state as `KEY.PARAMETER` → tensor, for example `exp_avg.crf.start`."""
    return {
        f"{key}.{name}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_flat_state(optimizer: torch.optim.AdamW, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts a state of `flat_state` back; a parameter that it does not name starts afresh."""
    parameters = dict(model.named_parameters())
    for full_name, value in state.items():
        key, name = full_name.split(".", maxsplit=1)
        parameter = parameters[name]
        optimizer.state[parameter][key] = value.to(parameter.device)
