"""Who reads portions and does pieces of a build: this process, a pool of processes on this machine, or a Ray cluster.

Which one is a matter of the place, never of the result. Tasks are functions of a module, their arguments can be
pickled, and doing one twice does no harm: a piece whose worker was killed is simply done again by another.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import pyarrow as pa

from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.errors import CorpusError

Task = Callable[..., Receipt]
Calls = Iterable[tuple[Any, ...]]
Run = Callable[[Task, Calls], Iterator[Receipt]]
"""Does a task once per call and yields what each returns, in any order; takes calls as workers are free."""

MAX_DEATHS = 3
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_QUEUED_PER_WORKER = 2  # calls per worker that are handed out before they are asked for


class WorkersLostError(CorpusError):
    """Workers died again and again; what was done by then is kept."""


@contextmanager
def working_in(work: Path, *, passing: bool) -> Iterator[None]:
    """Leaves what is done in a folder to whoever goes on with it, unless that would end here again, or the disk is full
    and should not stay so. Other errors are of this moment, or of this machine. `passing` work is left to nobody."""
    try:
        yield
    except WorkersLostError:
        raise
    except (CorpusError, OSError) as error:
        if isinstance(error, CorpusError) or error.errno in _NO_ROOM:
            _remove_at_once(work)
        raise
    finally:
        if passing:
            shutil.rmtree(work, ignore_errors=True)


def _remove_at_once(folder: Path) -> None:
    """Removes a folder under another name: who copies it meanwhile has what was in it, or nothing, and no half."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


@dataclass(frozen=True)
class Workers:
    """How many processes do the pieces of a build, and where: `ray` is None for this machine, "" for a Ray cluster
    that is started and stopped here, else the address of one that runs."""

    count: int = 1
    ray: str | None = None

    @classmethod
    def parsed(cls, text: str) -> Workers:
        """`4` for that many processes, `ray` or `ray:4` for a cluster of this machine, `ray://host:10001` for another.

        Raises CorpusError for anything else."""
        if text.startswith("ray://") or text == "ray:auto":
            return cls(ray=text.removeprefix("ray:") if text == "ray:auto" else text)
        kind, _, number = text.rpartition(":")
        if text == "ray":
            return cls(count=os.cpu_count() or 1, ray="")
        if not number.isdecimal() or int(number) < 1 or kind not in ("", "ray"):
            raise CorpusError(
                f"workers are {text!r}: expected a number from 1, ray, ray:NUMBER, ray:auto or ray://HOST:PORT. "
                "Correct MW_WORKERS."
            )
        return cls(count=int(number), ray="" if kind else None)

    @contextmanager
    def started(self, progress: Callable[[str], None] = lambda line: None) -> Iterator[Run]:
        """Workers that are ready; they end with the block. `progress` hears of a cluster that was found or started.

        Raises CorpusError for Ray where it is not installed, or does not answer at its address."""
        if self.ray is not None:
            try:
                cluster = importlib.import_module("mw_pipeline.corpus.ray_workers")
            except ModuleNotFoundError as error:
                raise CorpusError(
                    f"workers are on Ray, which is not installed ({error}). Run `pip install 'mw-pipeline[ray]'`."
                ) from None
            with cluster.started(self.ray, self.count, progress) as run:
                yield run
        elif self.count == 1:
            yield in_process
        else:
            with contextlib.closing(_Pool(self.count)) as pool:
                yield pool.run


HERE = Workers()
"""This process alone."""


def in_process(task: Task, calls: Calls) -> Iterator[Receipt]:
    """One call after the other, here."""
    for call in calls:
        yield task(*call)


class _Pool:
    """Processes of this machine. When one is killed all are started anew, and what they had in hand is done again."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"), initializer=_prepare)

    def close(self) -> None:
        """Ends the processes, without waiting for what no one asks for any more."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, task: Task, calls: Calls) -> Iterator[Receipt]:
        """As `Run`. Raises WorkersLostError when workers die MAX_DEATHS times without finishing a piece in between."""
        waiting, at_work, deaths = iter(calls), dict[Future[Receipt], tuple[Any, ...]](), 0
        while True:
            for call in islice(waiting, self._workers * _QUEUED_PER_WORKER - len(at_work)):
                at_work[self._submit(task, call)] = call
            if not at_work:
                return
            lost = []
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                call = at_work.pop(future)
                try:
                    receipt = future.result()
                except BrokenProcessPool:
                    lost.append(call)
                else:
                    deaths = 0
                    yield receipt
            if lost:
                deaths += 1
                if deaths == MAX_DEATHS:
                    raise WorkersLostError(lost_message(lost[0][1]))
                waiting = chain([*lost, *at_work.values()], waiting)
                at_work.clear()
                self.close()
                self._pool = self._start()

    def _submit(self, task: Task, call: tuple[Any, ...]) -> Future[Receipt]:
        try:
            return self._pool.submit(task, *call)
        except BrokenProcessPool as error:  # a worker died since the last answer: told as those in hand are
            broken = Future[Receipt]()
            broken.set_exception(error)
            return broken


def lost_message(piece: object) -> str:
    """What to say when workers keep dying."""
    return (
        f"workers died {MAX_DEATHS} times in a row, the last at piece {piece}: killed, or out of memory. "
        "Ask again with fewer workers: what is done is kept."
    )


def _prepare() -> None:
    """A worker uses one core, leaves Ctrl-C to its parent, and does not outlive it."""
    pa.set_cpu_count(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers are started by a build"
    threading.Thread(target=_end_with, args=[parent.sentinel], daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
