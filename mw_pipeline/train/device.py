"""The device of a run: the one that the recipe names, and what its arithmetic and its random numbers come from."""

from __future__ import annotations

import functools
import os
import platform
import re
from pathlib import Path

import torch

from mw_pipeline.errors import RecipeError


def device_as_asked(device: str) -> torch.device:
    """The device of a recipe, never another one in its place (M63); under torchrun each process has its own card.

    "auto" is a GPU where torch finds one, else the CPU. Raises RecipeError when the one that was named is not there."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if there else "cpu"
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return torch.device(device)
    if not there:
        raise RecipeError(
            f"train.device is {device!r} and torch finds no such device here. Train where there is one, or set "
            "train.device = 'cpu'."
        )
    index = int(number or os.environ.get("LOCAL_RANK", "0"))
    if index >= there:
        who = (
            f"train.device is {device!r}"
            if number
            else f"process {index} of this machine would train on 'cuda:{index}'"
        )
        raise RecipeError(
            f"{who}, and torch finds {there} such device{'s' if there > 1 else ''} here, numbered from 0. Name one of "
            "them, or start no more processes than there are."
        )
    return torch.device("cuda", index)


def width_multiple(device: torch.device) -> int:
    """What padded lengths are a multiple of. A GPU runs full tiles whatever they hold, and few shapes are made ready
    for many batches; a CPU would work on the padding."""
    return 8 if device.type == "cuda" else 1


def machine_of(device: torch.device) -> str:
    """What does the arithmetic: the same numbers are promised on one kind of it alone."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()} {torch.backends.cpu.get_cpu_capability()}"


def drawing_of(device: torch.device) -> str:
    """What draws random numbers: the same ones from the same seed on one kind of it alone, whatever the rounding."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"


@functools.cache
def _processor() -> str:
    """The processor by its maker's name: two that know the same instructions may still round differently (M80)."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    first = dict(re.findall(r"^(model name|CPU implementer|CPU part)\s*:\s*(.+?)\s*$", text.partition("\n\n")[0], re.M))
    return " ".join((platform.machine(), *(first.values() or [platform.processor()])))
