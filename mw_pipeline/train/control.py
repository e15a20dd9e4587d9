"""What may end a run from outside, and the clock that measures it."""

from __future__ import annotations

import os
import platform
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from mw_pipeline.errors import RecipeError


def device_as_asked(device: str) -> torch.device:
    """The device of a recipe, never another one in its place (M63); under torchrun each process has its own card.

    "auto" is a GPU where torch finds one, else the CPU. Raises RecipeError when the one that was named is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RecipeError(
            "train.device is 'cuda' and torch finds no such device here. Train where there is one, or set "
            "train.device = 'cpu'."
        )
    if device == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(device)


def machine_of(device: torch.device) -> str:
    """What does the arithmetic: the same numbers are promised on one kind of it alone."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


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
