"""What every adapter offers, so that the corpus can be built without knowing which one reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from mw_pipeline.records.tables import Portion, ReadRequest, Rejects


class Adapter(Protocol):
    """Turns the raw files of one upstream format into records.

    Rows under a share-alike licence may only enter a corpus that allows them.
    """

    @property
    def name(self) -> str:
        """The name that specs and the command line use."""
        ...

    @property
    def licence(self) -> str:
        """Of its rows, unless the source says otherwise."""
        ...

    @property
    def attribution(self) -> str:
        """The credit line of a model card."""
        ...

    @property
    def share_alike(self) -> bool:
        """Whether everything made from its rows must be shared alike."""
        ...

    @property
    def needs_input(self) -> bool:
        """False where the records are made without a file."""
        ...

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Batches of at most 65,536 records, as RECORD_SCHEMA or as `records` takes them.

        Every record that is not yielded is counted in `rejects`. Raises CorpusError, before the first batch where that
        can be known, for a file that is not of this format.
        """
        ...


@runtime_checkable
class ReadsPortions(Protocol):
    """An adapter whose files can be read in any order, by any worker: what `read` yields without a portion is what it
    yields for all of them, one after the other."""

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """The files, and stretches of large ones, in order: told by them and `portion_bytes` alone.

        Raises CorpusError as `read` does, before the first.
        """
        ...


@runtime_checkable
class MakesRecords(Protocol):
    """An adapter whose `read` cuts its files into columns and does no more; any worker makes records of these."""

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """The RECORD_SCHEMA records of a batch that `read` yielded, told from it and the request alone, without files.

        Every other one is counted in `rejects`.
        """
        ...


def records_of(adapter: Adapter, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The records of a batch that the adapter's `read` yielded."""
    return adapter.records(raw, request, rejects) if isinstance(adapter, MakesRecords) else raw


def read_records(adapter: Adapter, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Every record of the files, read and made in this process; empty batches are left out."""
    made = (records_of(adapter, raw, request, rejects) for raw in adapter.read(request, rejects))
    yield from (batch for batch in made if batch.num_rows)


@runtime_checkable
class NamesUpstreams(Protocol):
    """An adapter whose files come from many hands, each of which asks to be named."""

    def credits(self, request: ReadRequest) -> tuple[str, ...]:
        """Whom the files name, in alphabetical order, each once."""
        ...


@runtime_checkable
class ReadsCompanions(Protocol):
    """An adapter that also reads files which nobody named: descriptions and tables that lie beside its input."""

    def companions(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """Those that are there beside these files, in order: when one changes, so do the rows."""
        ...


def companion_files(adapter: Adapter, paths: Sequence[Path]) -> tuple[Path, ...]:
    """What the adapter would read beside these files; nothing for most."""
    return adapter.companions(paths) if isinstance(adapter, ReadsCompanions) else ()


@runtime_checkable
class StatesLicences(Protocol):
    """An adapter whose rows are not all under the licence that is stated for their source."""

    def licences(self, stated: str | None) -> tuple[str, ...]:
        """Those that its rows can be under where the source states this one; none are named where its files say it."""
        ...


def licences_of(adapter: Adapter, stated: str | None) -> tuple[str, ...]:
    """The licences that rows of a source can be under, as its adapter and `licence` of the source tell without any
    file; empty where the files alone say it."""
    if isinstance(adapter, StatesLicences):
        return adapter.licences(stated)
    return (stated or adapter.licence,)
