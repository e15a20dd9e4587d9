"""Adapters made of hand-written records, and specs over them: what the corpus tests build from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from mw_pipeline.recipe import Augmentations, Budgets, CorpusSpec, SourceSpec
from mw_pipeline.records.tables import ReadRequest, Rejects, record_batch
from mw_pipeline.sources import registry

REQUIRED = ("source_id", "base_id", "country_code", "locale", "license", "line", "region_key")


def record(number: int, **values: Any) -> dict[str, Any]:
    """One American record; every field can be replaced."""
    shared = {
        "source_id": f"id{number}",
        "base_id": f"family {number}",
        "country_code": "US",
        "locale": "en-US",
        "license": "CC0-1.0",
        "line": number,
        "region_key": "",
    }
    return shared | values


def address(number: int, **values: Any) -> dict[str, Any]:
    """One American address with a number, a street, a city, a state and a ZIP."""
    parts = {"house_number": str(number), "street": f"{number // 7} Oak Street", "locality": f"City {number % 50}"}
    return record(number, **({**parts, "region": "CO", "postcode": f"{80000 + number % 900}"} | values))


def batch_of(records: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """The records as one batch."""
    names = dict.fromkeys((*REQUIRED, *(name for row in records for name in row)))
    return record_batch({name: [row.get(name) for row in records] for name in names})


@dataclass
class HandMade:
    """An adapter that yields the batches it is given, and rejects `unreadable` lines of its own."""

    batches: Sequence[Sequence[dict[str, Any]]]
    unreadable: int = 0
    unwanted: int = 0
    error: Exception | None = None
    name: str = "hand-made"
    licence: str = "CC0-1.0"
    attribution: str = "nobody"
    share_alike: bool = False
    needs_input: bool = False
    requests: list[ReadRequest] = field(default_factory=list)

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        for number in range(self.unreadable):
            rejects.add(9_000 + number, "", "unreadable_line", f"line {number}")
        rejects.filtered("no_street", self.unwanted)
        for records in self.batches:
            yield batch_of(records)


def install(monkeypatch: pytest.MonkeyPatch, adapter: HandMade) -> HandMade:
    """Makes the adapter known under its name for one test."""
    monkeypatch.setitem(registry.ADAPTERS, adapter.name, adapter)
    return adapter


def spec_of(**changes: Any) -> CorpusSpec:
    """A corpus of one hand-made source, three variants, every method at a dose of 0.3."""
    settings: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "seed": 7,
        "countries": ("US", "FR"),
        "sources": {"made": SourceSpec(adapter="hand-made")},
        "variants": 3,
        "validation_share": 0.1,
        "test_share": 0.1,
        "augmentations": Augmentations(**dict.fromkeys(Augmentations.model_fields, 0.1)),
        "budgets": Budgets(),
    }
    return CorpusSpec(**(settings | changes))
