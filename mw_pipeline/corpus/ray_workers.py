"""The pieces of a build on a Ray cluster: one task per piece, done again when its worker or machine is lost.

Every machine of the cluster needs this package and sees the work folder and the raw files under the same paths.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as count_from
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError

from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.corpus.workers import MAX_DEATHS, Calls, Run, Task, WorkersLostError, lost_message
from mw_pipeline.errors import CorpusError

_QUEUED_PER_CORE = 2
# What serves one client of a cluster hangs now and then while it starts, as grpc does in a process that was forked; the
# cluster says so after half a minute, and starts another for who asks again.
_HUNG, _MOST_TRIES = "Starting Ray client server failed", 3


@contextmanager
def started(address: str, count: int, progress: Callable[[str], None]) -> Iterator[Run]:
    """A run on the cluster at `address`, or on one of `count` cores that is started here; "" starts one.

    A connection that this process has already is used, and left as it is. Raises CorpusError when nobody answers."""
    ours = not ray.is_initialized()
    whose = "that this process was connected to"
    if ours:
        page = _connect(address, count)
        whose = (f"at {address}" if address else "of this run") + (f", see http://{page}" if page else "")
    try:
        cores = _cores()
        progress(f"pieces are done on {cores} core{'s' if cores > 1 else ''} of the Ray cluster {whose}")
        yield _run
    finally:
        if ours:
            ray.shutdown()


def _connect(address: str, count: int) -> str:
    """HOST:PORT of the cluster's dashboard, "" where it has none."""
    settings: dict[str, Any] = {"address": address}
    if not address:  # by default Ray joins whatever cluster it finds on this machine
        settings = {"address": "local", "num_cpus": count, "include_dashboard": False}
    tries = count_from(1)
    while True:
        try:
            return ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR).dashboard_url or ""
        except (ConnectionError, RuntimeError, ValueError) as error:
            if _HUNG not in str(error) or next(tries) == _MOST_TRIES:
                raise CorpusError(_no_cluster(address, error)) from None


def _no_cluster(address: str, error: Exception) -> str:
    first, *more = str(error).strip().splitlines() or [type(error).__name__]
    reason = f"{first} {more[-1]}" if more and first.endswith(":") else first  # a traceback of the other side
    if not address:
        return f"Ray started no cluster here ({reason}). Name one that runs, or let processes do it: MW_WORKERS=2."
    return f"no Ray cluster at {address!r} ({reason}). Start it, or leave the address out for one of this machine."


def _run(task: Task, calls: Calls) -> Iterator[Receipt]:
    remote = ray.remote(num_cpus=1, max_retries=MAX_DEATHS - 1)(_run_on_one_core)
    waiting, at_work = iter(calls), dict[Any, Any]()
    ahead = _QUEUED_PER_CORE * _cores()
    while True:
        for call in islice(waiting, ahead - len(at_work)):
            at_work[remote.remote(task, *call)] = call[1]
        if not at_work:
            return
        (done, *_), _ = ray.wait(list(at_work), num_returns=1)
        piece = at_work.pop(done)
        try:
            receipt = ray.get(done)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise WorkersLostError(lost_message(piece)) from error
        yield receipt


def _cores() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))


def _run_on_one_core(task: Task, *call: Any) -> Receipt:
    pa.set_cpu_count(1)
    return task(*call)
