"""Raw formats: one adapter per upstream format, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from mw_pipeline.corpus.records import ReadRequest, Rejects
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.ban import Ban
from mw_pipeline.sources.builtin import Builtin
from mw_pipeline.sources.geonames_postal import GeonamesPostal
from mw_pipeline.sources.openaddresses import Openaddresses
from mw_pipeline.sources.usgov_imls_pls import UsgovImlsPls


class Adapter(Protocol):
    """Turns the raw files of one upstream format into RECORD_SCHEMA batches.

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
        """Batches of at most 65,536 records; every record that is not yielded is counted in `rejects`.

        Raises CorpusError, before the first batch where that can be known, for a file that is not of this format.
        """
        ...


_ALL: tuple[Adapter, ...] = (Ban(), Builtin(), GeonamesPostal(), Openaddresses(), UsgovImlsPls())

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in _ALL}


def get_adapter(name: str) -> Adapter:
    """The adapter of that name. Raises CorpusError that names the nearest one."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    near = difflib.get_close_matches(name, ADAPTERS, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise CorpusError(f"{name!r} is not an adapter: there are {', '.join(sorted(ADAPTERS))}{hint}")
