"""What may end a run from outside, and the clock that measures it."""

from __future__ import annotations

import functools
import os
import platform
import re
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal acts as it did before.

    Outside the main thread, which alone receives signals, the event is never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, former[signal.Signals(number)])

    for number in former:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def memory_by_name() -> Iterator[None]:
    """Raises MemoryError where torch finds no more memory, the machine's or a GPU's: it has no one name for it."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate" in str(error):
            raise MemoryError(str(error)) from error
        raise


@dataclass
class RunClock:
    """Seconds of this process and of those before it; steps are timed apart from evaluations and saving."""

    before_seconds: float = 0.0
    begun: float = field(default_factory=time.perf_counter)
    step_seconds: list[float] = field(default_factory=list)
    eval_seconds: float = 0.0
    save_seconds: float = 0.0

    @property
    def here_seconds(self) -> float:
        """Seconds since this process began the run."""
        return time.perf_counter() - self.begun

    @property
    def total_seconds(self) -> float:
        """Seconds over all processes that worked on the run, one after the other."""
        return self.before_seconds + self.here_seconds

    @contextmanager
    def step(self) -> Iterator[None]:
        """Times one step."""
        begun = time.perf_counter()
        yield
        self.step_seconds.append(time.perf_counter() - begun)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Times the writing of a checkpoint; the longest counts."""
        begun = time.perf_counter()
        yield
        self.save_seconds = max(self.save_seconds, time.perf_counter() - begun)

    @property
    def seconds_per_step(self) -> float:
        """Median of the last hundred steps, so that a busy moment does not count."""
        return statistics.median(self.step_seconds[-100:]) if self.step_seconds else 0.0

    def must_end(self, limit: float | None, *, evaluates_next: bool) -> bool:
        """Whether another step, its evaluation and the saving after it could overrun a limit in seconds.

        Not before the first step here: a limit that is too short for any would be met again and again and gain none."""
        if limit is None or not self.step_seconds:
            return False
        next_seconds = self.seconds_per_step + (self.eval_seconds if evaluates_next else 0.0)
        return self.here_seconds + next_seconds + self.save_seconds >= limit
