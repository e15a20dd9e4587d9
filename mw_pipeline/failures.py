"""Failures classed by what cures them: the same command again, a person, or nothing that is still the same (M41).

retry  the machine failed: out of memory, killed, a disk or network that did not answer. The same again may do.
fix    an input, a recipe, a disk or this code is wrong: until a person changes it, the same again fails the same way.
never  a gate refused, the run diverged, or a person stopped it: what was asked for has been answered.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mw_pipeline.errors import GateError, MwError, StoreError, UnfinishedError

Cure = Literal["retry", "fix", "never"]

EXIT_DONE, EXIT_REFUSED, EXIT_BAD_INPUT, EXIT_BUG, EXIT_UNFINISHED, EXIT_STOPPED = 0, 1, 2, 70, 75, 130
"""What a process of this project ends with; 70 and 75 are EX_SOFTWARE and EX_TEMPFAIL of sysexits.h."""

LONGEST_WAIT_SECONDS = 300.0
_PASSING_ERRNOS = (
    *(errno.EIO, errno.EAGAIN, errno.ENOMEM, errno.EBUSY, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPIPE),
)
_OF_A_PERSON = (signal.SIGINT, signal.SIGQUIT)
_SHELL_ADDS = 128  # to a signal's number, in the exit status of a shell and of containers


def cure_of_error(error: BaseException) -> Cure:
    """What cures an exception that ended a run."""
    if isinstance(error, GateError | KeyboardInterrupt):
        return "never"
    if isinstance(error, UnfinishedError | StoreError | MemoryError | TimeoutError | ConnectionError):
        return "retry"
    if isinstance(error, MwError):
        return "fix"
    return "retry" if isinstance(error, OSError) and error.errno in _PASSING_ERRNOS else "fix"


def exit_status_of(error: BaseException) -> int:
    """What a process that ends with an exception says of it: `cure_of_exit` gives its cure back."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_STOPPED
    own = EXIT_BAD_INPUT if isinstance(error, MwError | OSError) else EXIT_BUG
    return {"retry": EXIT_UNFINISHED, "fix": own, "never": EXIT_REFUSED}[cure_of_error(error)]


def cure_of_exit(status: int) -> Cure:
    """What cures a process that ended with a status other than 0: negative, or above 128, for a signal.

    A signal is the machine's (SIGKILL of a full memory, SIGTERM of a machine that is taken back, a crash of native
    code), unless it is one that a person sends from a keyboard."""
    number = _signal_of(status)
    if number is not None:
        return "never" if number in _OF_A_PERSON else "retry"
    return {EXIT_REFUSED: "never", EXIT_UNFINISHED: "retry"}.get(status, "fix")  # type: ignore[return-value]


def words_of_exit(status: int) -> str:
    """An exit status as people say it."""
    number = _signal_of(status)
    if number is None:
        named = {EXIT_REFUSED: "a gate refused", EXIT_BAD_INPUT: "bad input", EXIT_BUG: "an unexpected error"}
        return named.get(status, "stopped before its end") if status in (*named, EXIT_UNFINISHED) else f"exit {status}"
    hint = ", as when memory runs out" if number == signal.SIGKILL else ""
    return f"killed by {_name_of(number)}{hint}"


def _signal_of(status: int) -> int | None:
    number = -status if status < 0 else status - _SHELL_ADDS
    return number if 0 < number < signal.NSIG else None


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True)
class Attempt:
    """One run of a command that failed. `step` is the last training step that a checkpoint holds after it."""

    cure: Cure
    reason: str
    step: int


@dataclass(frozen=True)
class Move:
    """Whether to start again, after how many seconds, and why or why not."""

    restarts: bool
    wait_seconds: float
    reason: str


def next_move(attempts: Sequence[Attempt], *, allowed: int, backoff_seconds: float) -> Move:
    """What follows the last of some failed attempts: each wait is twice the one before.

    An attempt that gained no step on the one before it would end like both of them: it is the last."""
    last = attempts[-1]
    if last.cure == "fix":
        return Move(False, 0.0, f"{last.reason}: no retry cures it, repair what it names")
    if last.cure == "never":
        return Move(False, 0.0, f"{last.reason}: the same again is not tried")
    if len(attempts) >= allowed:
        return Move(False, 0.0, f"{last.reason}: {allowed} attempts were allowed")
    if len(attempts) > 1 and last.step <= attempts[-2].step:
        return Move(False, 0.0, f"{last.reason}: no step was gained since the attempt before, at step {last.step}")
    wait = min(LONGEST_WAIT_SECONDS, backoff_seconds * 2 ** (len(attempts) - 1))
    return Move(True, wait, f"{last.reason}: attempt {len(attempts) + 1} of {allowed} begins at step {last.step}")
