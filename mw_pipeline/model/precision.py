"""In which precision matrices are multiplied: the one that a recipe names, or the one that the device is made for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

from mw_pipeline.recipe import Precision

_BF16_OF_CPUS = ("avx512_bf16", "amx_bf16", "bf16")  # instructions of x86, and of ARM, by torch's names
_BF16_SINCE = (8, 0)  # compute capability; all GPUs of AMD that torch works on have it


def precision_as_asked(asked: Literal["auto"] | Precision, device: torch.device) -> Precision:
    """The precision of a recipe. "auto" is bf16 where the device has instructions for it, else fp32: a processor that
    has none takes many times longer for bf16."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        native = bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= _BF16_SINCE
    else:
        there = torch.cpu.get_capabilities()
        native = any(there.get(name) for name in _BF16_OF_CPUS)
    return "bf16" if native else "fp32"


def multiplying_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """bf16 changes how matrices are multiplied; weights, gradients, optimizer and loss stay float32 (M34)."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
