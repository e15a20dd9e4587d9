"""dBASE tables, the attribute part of a shapefile, as a stream of columns.

pyshp is not used for this: it seeks in what it reads and takes a stream that cannot seek, such as a gzip, into memory
as a whole; it hands out one record at a time as Python objects, four times slower; and a byte that it cannot decode
ends the iteration. The tests compare this reader with it.
Layout: dBASE III, as in "Xbase File Format Description", sections 1.1 and 1.2. Numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.streams import ByteStream

BATCH_RECORDS = 16_384

_HEAD_BYTES = _FIELD_BYTES = 32
_LIVE, _DELETED = b" ", b"*"


@dataclass(frozen=True)
class DbaseTable:
    """What the head of a table says: how many records, how many bytes each, and where each field begins and ends."""

    records: int
    record_bytes: int
    fields: dict[str, tuple[int, int]]


def read_head(stream: ByteStream, needed: tuple[str, ...], *, label: str) -> DbaseTable:
    """The head of a table; the stream then stands at the first record.

    Raises CorpusError for a file that is no dBASE table, and for one without a needed field.
    """
    head = _exactly(stream, _HEAD_BYTES)
    if len(head) < _HEAD_BYTES or head[0] & 0b111 != 3:
        raise CorpusError(f"{label}: starts with {head[:8]!r}, expected a dBASE III table (.dbf). Check the input.")
    records, head_bytes, record_bytes = struct.unpack_from("<IHH", head, 4)
    rest = _exactly(stream, head_bytes - _HEAD_BYTES) if head_bytes > _HEAD_BYTES else b""
    fields = _fields(rest)
    if len(rest) < head_bytes - _HEAD_BYTES or record_bytes != 1 + sum(end - start for start, end in fields.values()):
        raise CorpusError(
            f"{label}: its {len(fields)} fields do not fill the {record_bytes} bytes of a record. Fetch the file again."
        )
    missing = [name for name in needed if name not in fields]
    if missing:
        raise CorpusError(
            f"{label}: the table has no field {', '.join(missing)}: found {', '.join(fields)}. Check the input."
        )
    return DbaseTable(records, record_bytes, fields)


def _fields(descriptors: bytes) -> dict[str, tuple[int, int]]:
    """First byte and the byte after the last one of each field; a record begins with its deletion mark."""
    fields: dict[str, tuple[int, int]] = {}
    start = 1
    for at in range(0, len(descriptors) - _FIELD_BYTES + 1, _FIELD_BYTES):
        if descriptors[at] == 0x0D:
            break
        name = descriptors[at : at + 11].split(b"\0")[0].decode("latin-1")
        length = descriptors[at + 16]
        fields[name] = (start, start + length)
        start += length
    return fields


def read_records(
    stream: ByteStream, table: DbaseTable, names: tuple[str, ...], *, label: str, rejects: Rejects
) -> Iterator[pa.RecordBatch]:
    """Batches of at most 16,384 records: `source_id` ("file:record"), `line` (the record, from 1) and the named fields.

    Values are text without outer blanks; a field that the table lacks is null. Text is UTF-8 or, where it is not,
    Latin-1, the two that the Census Bureau has used. Filtered: `deleted_record`. Quarantined: `bad_record` (no deletion
    mark). Raises CorpusError when the file ends before the records do.
    """
    done = 0
    while done < table.records:
        wanted = min(BATCH_RECORDS, table.records - done)
        data = _exactly(stream, wanted * table.record_bytes)
        found = len(data) // table.record_bytes
        cells = np.frombuffer(data, np.uint8, found * table.record_bytes).reshape(found, table.record_bytes)
        yield _batch(cells, np.arange(done + 1, done + found + 1), table, names, label, rejects)
        done += found
        if found < wanted:
            raise CorpusError(
                f"{label}: not readable to its end: ends after {done} of {table.records} records. Fetch it again."
            )


def _batch(
    cells: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    table: DbaseTable,
    names: tuple[str, ...],
    label: str,
    rejects: Rejects,
) -> pa.RecordBatch:
    """The live records among the bytes, (records, bytes of one)."""
    live, deleted = cells[:, 0] == _LIVE[0], cells[:, 0] == _DELETED[0]
    rejects.filtered("deleted_record", int(deleted.sum()))
    for number, mark in zip(numbers[~live & ~deleted], cells[~live & ~deleted, 0], strict=True):
        rejects.add(int(number), f"{label}:{number}", "bad_record", f"deletion mark {bytes([mark])!r}")
    cells, numbers = cells[live], numbers[live]
    columns = {
        "source_id": pa.array([f"{label}:{number}" for number in numbers.tolist()], pa.string()),
        "line": pa.array(numbers, pa.int64()),
    }
    for name in names:
        span = table.fields.get(name)
        columns[name] = pa.nulls(len(cells), pa.string()) if span is None else _texts(cells[:, span[0] : span[1]])
    return pa.RecordBatch.from_pydict(columns)


def _texts(cells: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> pa.StringArray:
    width = cells.shape[1]
    values = np.ascontiguousarray(cells).view(f"S{width}").ravel().tolist() if width else [b""] * len(cells)
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()


def _exactly(stream: ByteStream, size: int) -> bytes:
    """The next `size` bytes, fewer only at the end: a stream may hand out less than it is asked for."""
    parts: list[bytes] = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
