"""The pieces of a build on a Ray cluster: one task per piece, done again when its worker or machine is lost.

Every machine of the cluster needs this package and sees the work folder under the same path.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError

from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.corpus.workers import MAX_DEATHS, Calls, Run, Task, WorkersLostError, lost_message
from mw_pipeline.errors import CorpusError

_AHEAD = 2


@contextmanager
def started(address: str, count: int) -> Iterator[Run]:
    """A run on the cluster at `address`, or on one of `count` cores that is started here; "" starts one.

    A connection that this process has already is used, and left as it is. Raises CorpusError when nobody answers."""
    ours = not ray.is_initialized()
    if ours:
        settings: dict[str, Any] = {"address": address} if address else {"num_cpus": count, "include_dashboard": False}
        try:
            ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise CorpusError(
                f"no Ray cluster at {address!r} ({reason}). Start it, or leave the address out for one of this machine."
            ) from None
    try:
        yield _run
    finally:
        if ours:
            ray.shutdown()


def _run(task: Task, calls: Calls) -> Iterator[Receipt]:
    remote = ray.remote(num_cpus=1, max_retries=MAX_DEATHS - 1)(_done_on_one_core)
    waiting, at_work = iter(calls), dict[Any, Any]()
    cores: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    ahead = _AHEAD * max(1, int(cores.get("CPU", 1)))
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


def _done_on_one_core(task: Task, *call: Any) -> Receipt:
    pa.set_cpu_count(1)
    return task(*call)
