"""Raw files as portions that are read in any order: small files together, a large one in stretches where it can be cut.

Where the cuts are is told by the files alone, so that it does not matter who reads them, or how many do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import IO

import numpy as np
import pyarrow as pa

from mw_pipeline.records.tables import Portion, RawFile, ReadRequest
from mw_pipeline.sources.columns import at_most
from mw_pipeline.sources.reading import BLOCK_BYTES, errors_with_file

RecordEnd = Callable[[bytes], int | None]
"""How many bytes into some whole lines a record surely ends, whatever stands before them; None where none does."""

_LINE_END = ord("\n")


def nowhere(file: RawFile) -> RecordEnd | None:
    """For files that are not cut."""
    return None


def after_any_line(lines: bytes) -> int:
    """For files in which every line is a record."""
    return 0


def portions_of(
    files: Sequence[RawFile], size: int, record_end: Callable[[RawFile], RecordEnd | None] = nowhere
) -> Iterator[Portion]:
    """The files in their order, in portions of about `size` bytes.

    A larger file is cut as its `record_end` says, behind its first block; where that is None, or finds no end within a
    block, it is not.
    """
    waiting: list[RawFile] = []
    held = 0
    for file in files:
        with errors_with_file(file):
            file_bytes = file.path.stat().st_size
        if waiting and held + file_bytes > size:
            yield tuple(waiting)
            waiting, held = [], 0
        if file_bytes > size and (end := record_end(file)) is not None:
            for stretch in _stretches(file, file_bytes, size, end):
                yield (stretch,)
        else:
            waiting.append(file)
            held += file_bytes
    if waiting:
        yield tuple(waiting)


def read_files(
    request: ReadRequest,
    portions: Callable[[ReadRequest], Iterable[Portion]],
    read: Callable[[RawFile], Iterator[pa.RecordBatch]],
) -> Iterator[pa.RecordBatch]:
    """The batches of the portion that is asked for, or of all, one after the other; up to `max_records`."""
    asked = [request.portion] if request.portion else portions(request)
    return at_most((batch for portion in asked for file in portion for batch in read(file)), request.max_records)


def _stretches(file: RawFile, file_bytes: int, size: int, record_end: RecordEnd) -> Iterator[RawFile]:
    """The file from cut to cut; what is behind a cut is not looked at before it is asked for."""
    begin, line, wanted = 0, 1, max(size, BLOCK_BYTES)
    with errors_with_file(file), file.path.open("rb") as raw:
        while wanted < file_bytes:
            end = _cut(raw, wanted, record_end)
            if end is not None and end < file_bytes:
                yield replace(file, begin=begin, end=end, first_line=line)
                line += _line_ends(raw, begin, end)
                begin = end
            wanted = (wanted if end is None else end) + size
    yield replace(file, begin=begin, end=file_bytes, first_line=line) if begin else file


def _cut(raw: IO[bytes], wanted: int, record_end: RecordEnd) -> int | None:
    """The first byte behind a record that ends in the block which begins at a byte."""
    raw.seek(wanted)
    block = raw.read(BLOCK_BYTES)
    first, last = block.find(b"\n") + 1, block.rfind(b"\n") + 1
    found = record_end(block[first:last]) if first else None
    return None if found is None else wanted + first + found


def _line_ends(raw: IO[bytes], begin: int, end: int) -> int:
    raw.seek(begin)
    found = 0
    while begin < end:
        data = raw.read(min(BLOCK_BYTES, end - begin))
        found += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_END))
        begin += len(data)
    return found
