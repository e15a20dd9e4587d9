"""What a piece leaves on disk: rows as Parquet, work in progress as Arrow, and a receipt that says it is all there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mw_pipeline.digest import JSON, json_value, sha256_file, write_json_atomically
from mw_pipeline.records.tables import QUARANTINE_SCHEMA, ROW_SCHEMA, Rejects

PART_ROWS = 65_536
GROUP_ROWS = 65_536

# Readers skip groups by these; of ids and texts the bounds say nothing, and cost a sixth of the writing.
_BOUNDED_COLUMNS = ["country", "source", "split"]


@dataclass(frozen=True)
class Receipt:
    """One piece of one step that is done: what it was asked, the files that it left, and what it counted."""

    piece: int
    request: str
    files: Mapping[str, str]
    facts: Mapping[str, JSON]

    def as_json(self) -> JSON:
        """The receipt as it is written; `files` are names and their sha256."""
        return {"piece": self.piece, "request": self.request, "files": dict(self.files), "facts": dict(self.facts)}


def write_receipt(path: Path, *, request: str, piece: int, files: Iterable[Path], facts: Mapping[str, JSON]) -> Receipt:
    """Signs for files beside the receipt, which are whole by then: it is written last."""
    receipt = Receipt(piece, request, {file.name: sha256_file(file) for file in files}, facts)
    write_json_atomically(path, receipt.as_json())
    return receipt


def find_receipt(path: Path, *, request: str) -> Receipt | None:
    """The receipt, or None when there is none, it answers another request, or its files are not as it says."""
    try:
        receipt = Receipt(**json_value(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # a piece without a sound receipt is made again
    if receipt.request != request:
        return None
    files = ((path.parent / name, sha256) for name, sha256 in receipt.files.items())
    return receipt if all(file.is_file() and sha256_file(file) == sha256 for file, sha256 in files) else None


def write_arrow(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Work in progress: the tables in their order as one Arrow file, whole or not there."""
    with arrow_writer(path, schema) as writer:
        for table in tables:
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)


@contextmanager
def arrow_writer(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """Takes the batches of an Arrow file, which is there when the block has ended, and not before."""
    draft = draft_of(path)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        yield writer
    draft.replace(path)


def read_arrow(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow file, one at a time."""
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def write_rows(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """One shard: rows of ROW_SCHEMA in groups of at most 65,536, whole or not there. Equal rows give equal bytes."""
    draft = draft_of(path)
    with _rows_writer(draft) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= GROUP_ROWS:
                waiting = _write_groups(writer, waiting, at_least=GROUP_ROWS)
        _write_groups(writer, waiting, at_least=1)
    draft.replace(path)


def write_quarantine(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Every rejected record in one Parquet file of QUARANTINE_SCHEMA."""
    with pq.ParquetWriter(path, QUARANTINE_SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def write_rejects(path: Path, *logs: Rejects) -> list[Path]:
    """Keeps rejected records for the quarantine; returns the file, or nothing where nothing was rejected."""
    if not any(rejects.pending for rejects in logs):
        return []
    write_arrow(path, (pa.Table.from_batches([rejects.drain()]) for rejects in logs), QUARANTINE_SCHEMA)
    return [path]


def draft_of(path: Path) -> Path:
    """Where a file is written before it takes its name; two workers at one piece do not meet there."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _write_groups(writer: pq.ParquetWriter, waiting: list[pa.RecordBatch], *, at_least: int) -> list[pa.RecordBatch]:
    rest = pa.Table.from_batches(waiting, schema=ROW_SCHEMA)
    while rest.num_rows >= at_least:
        writer.write_table(rest.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
        rest = rest.slice(GROUP_ROWS)
    return list(rest.to_batches())


def _rows_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, ROW_SCHEMA, compression="zstd", write_statistics=_BOUNDED_COLUMNS)
