"""Parquet out: rows into shards of a bounded size, and quarantined records into one file, both as streams."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from mw_pipeline.corpus.records import QUARANTINE_SCHEMA, ROW_SCHEMA, Rejects

SHARD_ROWS = 200_000
GROUP_ROWS = 50_000


class ShardWriter:
    """Writes rows to `part-00000.parquet`, `part-00001.parquet`, … in their order, at most 200,000 rows each.

    Equal rows in equal order give equal bytes. At least one shard is written, so that an empty source shows its schema.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._shard_rows = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write_groups(at_least=1)
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: pa.Table) -> None:
        """Takes rows of ROW_SCHEMA; they reach the disk in groups of 50,000."""
        self._pending.append(rows)
        self._pending_rows += rows.num_rows
        self._write_groups(at_least=GROUP_ROWS)

    def _write_groups(self, *, at_least: int) -> None:
        while self._pending_rows >= at_least:
            table = pa.concat_tables(self._pending)
            if self._shard_rows >= SHARD_ROWS:
                self._open()
            assert self._writer is not None
            self._writer.write_table(table.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
            self._shard_rows += min(GROUP_ROWS, table.num_rows)
            rest = table.slice(GROUP_ROWS)
            self._pending, self._pending_rows = [rest], rest.num_rows

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.paths.append(self.folder / f"part-{len(self.paths):05d}.parquet")
        self._writer = pq.ParquetWriter(self.paths[-1], ROW_SCHEMA, compression="zstd")
        self._shard_rows = 0


class QuarantineWriter:
    """Writes every rejected record to one Parquet file of QUARANTINE_SCHEMA."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, QUARANTINE_SCHEMA, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def drain(self, *logs: Rejects) -> None:
        """Writes what the logs hold since the last drain."""
        for rejects in logs:
            if rejects.pending:
                self._writer.write_batch(rejects.drain())
