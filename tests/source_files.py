"""What the adapter tests share: writing small raw files and reading them to the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mw_pipeline.records.adapter import Adapter, read_records
from mw_pipeline.records.tables import RECORD_BATCH_ROWS, RECORD_SCHEMA, ReadRequest, Rejects


class Reading(NamedTuple):
    """All records of a read as dictionaries without nulls, and what was left out."""

    records: list[dict[str, Any]]
    quarantined: dict[str, int]
    filtered: dict[str, int]
    quarantine: list[dict[str, Any]]

    @property
    def read(self) -> int:
        return len(self.records) + sum(self.quarantined.values()) + sum(self.filtered.values())


def read_all(adapter: Adapter, *paths: Path, **settings: Any) -> Reading:
    """Reads through the adapter, checking every batch against the schema."""
    rejects = Rejects(source="test")
    records: list[dict[str, Any]] = []
    for batch in read_records(adapter, ReadRequest(paths=paths, source="test", **settings), rejects):
        _check(batch)
        records += [{k: v for k, v in row.items() if v is not None} for row in batch.to_pylist()]
    return Reading(records, dict(rejects.counts), dict(rejects.filters), rejects.drain().to_pylist())


def drained(batches: Iterator[pa.RecordBatch]) -> list[dict[str, Any]]:
    """All rows of the batches."""
    return [row for batch in batches for row in batch.to_pylist()]


def _check(batch: pa.RecordBatch) -> None:
    batch.validate(full=True)
    assert batch.schema.equals(RECORD_SCHEMA)
    assert batch.num_rows <= RECORD_BATCH_ROWS
    for field in RECORD_SCHEMA:
        assert field.nullable or not batch[field.name].null_count, field.name


def lines_by_shell(path: Path) -> int:
    """The number of lines of a packed file, counted by zcat and wc."""
    command = f"zcat {str(path)!r} | wc -l"
    return int(subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True).stdout)
