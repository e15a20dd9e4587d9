"""Delimited text (CSV, TSV) as columns found by header name, with every unusable record quarantined.

A record is a line, or several where a quoted field holds line ends. One bad record costs itself only: an unclosed quote
does not swallow what follows it.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources.columns import at_most
from mw_pipeline.sources.layout import Header, Layout, header_of, is_companion_table
from mw_pipeline.sources.plain_blocks import plain_table
from mw_pipeline.sources.reading import (
    MAX_BLOCK_LINES,
    LineBlock,
    RawFile,
    TextBlock,
    line_blocks,
    lines_of,
    open_members,
    raw_files,
    text_blocks,
)
from mw_pipeline.sources.stream_start import ByteStream

MAX_RECORD_LINES = 64


def read_request(
    request: ReadRequest, layout: Layout, rejects: Rejects, *, suffixes: tuple[str, ...] = (".csv",)
) -> Iterator[pa.RecordBatch]:
    """What `read_delimited` finds in the files that a request asks for, up to its `max_records`."""
    return at_most(read_delimited(raw_files(request.paths, suffixes=suffixes), layout, rejects), request.max_records)


def read_delimited(files: Sequence[RawFile], layout: Layout, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Batches of at most 32,768 records: `source_id` ("file:line"), `line` (from 1) and every wanted column.

    A column that the file lacks is null throughout; other values are as the file has them. Quarantined: what
    `lines_of` refuses, and `ragged`, `unclosed_quote`, `bad_quoting`. A record may lack the fields under trailing
    nameless header columns, and may have further empty ones. Filtered: `no_address_table`, once for each table that the
    upstream packs beside. Raises CorpusError, before the first batch of any file, when a header lacks a needed column,
    and at the end when there was no table of the layout.
    """
    for file in files[1:]:
        check_header(file, layout)
    tables = 0
    for file in files:
        with open_members(file) as members:
            for label, stream in members:
                tables += yield from read_table(stream, label, layout, rejects)
    if files and not tables:
        raise CorpusError(
            f"{files[0].path}: holds other tables of its upstream alone, with {layout.companion!r}, expected "
            f"{layout.title}. Name the file that is one."
        )


def check_header(file: RawFile, layout: Layout) -> None:
    """Raises CorpusError for a file whose first member is neither of the layout nor of a table beside it."""
    with open_members(file) as members:
        label, stream = next(members)
        is_table(stream, label, layout)


def is_table(stream: ByteStream, label: str, layout: Layout) -> bool:
    """Whether a member is of the layout, by its beginning; False for a table beside it. Raises CorpusError for
    others."""
    unused = Rejects(source=label)
    lines = line_blocks(stream, label=label, encoding=layout.encoding, rejects=unused)
    first = next(lines, None)
    if is_companion_table(first, layout):
        return False
    header_of(first, label, layout, unused.counts)
    return True


def read_table(
    stream: ByteStream, label: str, layout: Layout, rejects: Rejects
) -> Generator[pa.RecordBatch, None, bool]:
    """The batches of one member, as `read_delimited` has them; returns False for a table beside the layout's, which is
    filtered as `no_address_table`."""
    blocks = text_blocks(stream, label=label, encoding=layout.encoding)
    first: list[LineBlock] = []
    before = rejects.counts.copy()
    while not first and (block := next(blocks, None)) is not None:
        first = list(lines_of(block, label=label, rejects=rejects))
    head = first[0] if first else None
    if is_companion_table(head, layout):
        rejects.filtered("no_address_table")
        return False
    records = _Records(header_of(head, label, layout, rejects.counts - before), label, layout, rejects)
    if not layout.names:
        first[0] = LineBlock(first[0].numbers[1:], first[0].lines[1:])
    for lines in first:
        yield from records.of_lines(lines)
    for block in blocks:
        yield from records.of_block(block)
    yield from records.unfinished()
    return True


class _Records:
    """The records of one member, whose blocks come in their order; the last of a block may go on in the next."""

    def __init__(self, header: Header, label: str, layout: Layout, rejects: Rejects) -> None:
        self._header, self._label, self._layout, self._rejects = header, label, layout, rejects
        self._open = LineBlock([], [])

    def of_block(self, block: TextBlock) -> Iterator[pa.RecordBatch]:
        """The records of a block, by Arrow where nothing in it is odd."""
        plain = None if self._open.lines else plain_table(block, self._header, self._layout)
        if plain is not None:
            yield from self._numbered(plain, block.first)
            return
        for lines in lines_of(block, label=self._label, rejects=self._rejects):
            yield from self.of_lines(lines)

    def of_lines(self, lines: LineBlock) -> Iterator[pa.RecordBatch]:
        """The records of these lines, the first of which may end the record that is open."""
        joined = LineBlock(self._open.numbers + lines.numbers, self._open.lines + lines.lines)
        numbers, rows, self._open = _rows(joined, self._label, self._layout, self._rejects, last=False)
        yield from _batches_of(numbers, rows, self._header, self._label, self._rejects)

    def unfinished(self) -> Iterator[pa.RecordBatch]:
        """What the end of the member makes of a record that is still open."""
        if self._open.lines:
            numbers, rows, _ = _rows(self._open, self._label, self._layout, self._rejects, last=True)
            yield from _batches_of(numbers, rows, self._header, self._label, self._rejects)

    def _numbered(self, table: pa.Table, first: int) -> Iterator[pa.RecordBatch]:
        """Batches of a table with a row a line, the first of which has that number."""
        numbers = pa.array(np.arange(first, first + len(table)), pa.int64())
        ids = pc.binary_join_element_wise(self._label, numbers.cast(pa.string()), ":")
        table = table.add_column(0, "source_id", ids).add_column(1, "line", numbers)
        yield from table.combine_chunks().to_batches(max_chunksize=MAX_BLOCK_LINES)


def _rows(
    block: LineBlock, label: str, layout: Layout, rejects: Rejects, *, last: bool
) -> tuple[list[int], list[list[str]], LineBlock]:
    """Line numbers and fields of the records of a block, and the lines of a record that it does not finish."""
    nothing_open = LineBlock([], [])
    if not layout.quoted or not any('"' in line for line in block.lines):
        return block.numbers, [line.split(layout.delimiter) for line in block.lines], nothing_open
    try:
        rows = list(csv.reader(block.lines, delimiter=layout.delimiter, strict=True))
    except csv.Error:
        rows = []
    if len(rows) == len(block.lines):
        return block.numbers, rows, nothing_open
    return _rows_singly(block, label, layout, rejects, last=last)


def _rows_singly(
    block: LineBlock, label: str, layout: Layout, rejects: Rejects, *, last: bool
) -> tuple[list[int], list[list[str]], LineBlock]:
    """As `_rows`, for a block in which some record spans lines or is malformed."""
    numbers: list[int] = []
    rows: list[list[str]] = []
    at = 0
    while at < len(block.lines):
        fields, taken, reason = _record(block.lines, at, layout.delimiter)
        number = block.numbers[at]
        if reason == "unclosed_quote" and not last and at + MAX_RECORD_LINES > len(block.lines):
            return numbers, rows, LineBlock(block.numbers[at:], block.lines[at:])
        if reason:
            rejects.add(number, f"{label}:{number}", reason, repr(block.lines[at][:80]))
        else:
            numbers.append(number)
            rows.append(fields)
        at += taken
    return numbers, rows, LineBlock([], [])


def _record(lines: list[str], at: int, delimiter: str) -> tuple[list[str], int, str]:
    """(fields, lines taken, "") of the record that begins at a line, or ([], 1, reason)."""
    text = lines[at]
    taken = 1
    while True:
        try:
            return next(csv.reader((text,), delimiter=delimiter, strict=True)), taken, ""
        except csv.Error as error:
            if str(error) != "unexpected end of data":
                return [], 1, "bad_quoting"
        # only a line that holds a quote can close the field
        while True:
            if taken == MAX_RECORD_LINES or at + taken == len(lines):
                return [], 1, "unclosed_quote"
            line = lines[at + taken]
            text += "\n" + line
            taken += 1
            if '"' in line:
                break


def _batches_of(
    numbers: list[int], rows: list[list[str]], header: Header, label: str, rejects: Rejects
) -> Iterator[pa.RecordBatch]:
    """The records whose field count fits the header, as one batch; nothing where none does."""
    if not all(len(row) == header.width for row in rows):
        numbers, rows = _without_ragged(numbers, rows, header, label, rejects)
    if not rows:
        return
    columns = {
        "source_id": pa.array([f"{label}:{n}" for n in numbers], pa.string()),
        "line": pa.array(numbers, pa.int64()),
    }
    for name, position in header.positions.items():
        columns[name] = pa.nulls(len(rows), pa.string()) if position is None else _column(rows, position)
    yield pa.RecordBatch.from_pydict(columns)


def _column(rows: list[list[str]], position: int) -> pa.StringArray:
    try:
        return pa.array([row[position] for row in rows], pa.string())
    except IndexError:
        return pa.array([row[position] if position < len(row) else "" for row in rows], pa.string())


def _without_ragged(
    numbers: list[int], rows: list[list[str]], header: Header, label: str, rejects: Rejects
) -> tuple[list[int], list[list[str]]]:
    kept_numbers, kept_rows = [], []
    for number, row in zip(numbers, rows, strict=True):
        if len(row) >= header.min_width and not any(row[header.width :]):
            kept_numbers.append(number)
            kept_rows.append(row)
        else:
            detail = f"{len(row)} fields, the header has {header.width}"
            rejects.add(number, f"{label}:{number}", "ragged", detail)
    return kept_numbers, kept_rows
