"""Raw formats: one adapter per upstream format, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from mw_pipeline.corpus.records import ReadRequest, Rejects
from mw_pipeline.errors import CorpusError


class Adapter(Protocol):
    """Turns the raw files of one upstream format into RECORD_SCHEMA batches.

    `licence` and `attribution` are what the upstream asks for; `share_alike` says that its rows may not be mixed into a
    corpus that has not allowed it. `needs_input` is False where the adapter makes its records without a file.
    """

    @property
    def name(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def attribution(self) -> str: ...
    @property
    def share_alike(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Batches of at most 65,536 records; every record that is not yielded is counted in `rejects`.

        Raises CorpusError, before the first batch where that can be known, for a file that is not of this format.
        """
        ...


ADAPTERS: dict[str, Adapter] = {}


def get_adapter(name: str) -> Adapter:
    """The adapter of that name. Raises CorpusError that names the nearest one."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    near = difflib.get_close_matches(name, ADAPTERS, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise CorpusError(f"{name!r} is not an adapter: there are {', '.join(sorted(ADAPTERS))}{hint}")
