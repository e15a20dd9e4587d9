"""Delimited text (CSV, TSV) as columns found by header name, with every unusable record quarantined.

A record is a line, or several where a quoted field holds line ends. One bad record costs itself only: an unclosed quote
does not swallow what follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Portion, RawFile, ReadRequest, Rejects
from mw_pipeline.sources.layout import Header, Layout, header_of, is_companion_table
from mw_pipeline.sources.plain_blocks import plain_table
from mw_pipeline.sources.portions import RecordEnd, after_any_line, portions_of, read_files
from mw_pipeline.sources.quoting import behind_record, rows_of
from mw_pipeline.sources.reading import (
    MAX_BLOCK_LINES,
    LineBlock,
    TextBlock,
    is_plain,
    line_blocks,
    lines_of,
    open_members,
    raw_files,
    text_blocks,
)
from mw_pipeline.sources.streams import ByteStream


def read_request(
    request: ReadRequest, layout: Layout, rejects: Rejects, *, suffixes: tuple[str, ...] = (".csv",)
) -> Iterator[pa.RecordBatch]:
    """What `read_file` finds in the files that a request asks for, up to its `max_records`."""
    portions = partial(table_portions, layout=layout, suffixes=suffixes)
    return read_files(request, portions, partial(read_file, layout=layout, rejects=rejects))


def table_portions(request: ReadRequest, layout: Layout, *, suffixes: tuple[str, ...] = (".csv",)) -> Iterator[Portion]:
    """The files that a request asks for, in portions. Raises CorpusError as `demand_tables` does."""
    files = raw_files(request.paths, suffixes=suffixes)
    demand_tables(files, layout)
    yield from portions_of(files, request.portion_bytes, partial(record_end, layout=layout))


def read_delimited(files: Sequence[RawFile], layout: Layout, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """What `read_file` finds in the files, one after the other. Raises CorpusError as `demand_tables` does."""
    demand_tables(files, layout)
    for file in files:
        yield from read_file(file, layout, rejects)


def demand_tables(files: Sequence[RawFile], layout: Layout) -> None:
    """Raises CorpusError for a file that begins with a member that is neither of the layout nor of a table beside it,
    and when no file has a table of the layout."""
    tables = [_holds_table(file, layout) for file in files]
    if files and not any(tables):
        raise CorpusError(
            f"{files[0].path}: holds other tables of its upstream alone, with {layout.companion!r}, expected "
            f"{layout.title}. Name the file that is one."
        )


def _holds_table(file: RawFile, layout: Layout) -> bool:
    with open_members(file) as members:
        return any(is_table(stream, label, layout) for label, stream in members)


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


def read_file(file: RawFile, layout: Layout, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Batches of at most 32,768 records: `source_id` ("file:line"), `line` (from 1) and every wanted column.

    A column that the file lacks is null throughout; other values are as the file has them. Quarantined: what
    `lines_of` refuses, and `ragged`, `unclosed_quote`, `bad_quoting`. A record may lack the fields under trailing
    nameless header columns, and may have further empty ones. Filtered: `no_address_table`, once for each table that the
    upstream packs beside. Raises CorpusError when a header lacks a needed column.
    """
    with open_members(file) as members:
        for label, stream in members:
            yield from read_table(stream, label, layout, rejects, file=file)


def read_table(
    stream: ByteStream, label: str, layout: Layout, rejects: Rejects, *, file: RawFile
) -> Iterator[pa.RecordBatch]:
    """The batches of one member of a file, or of the stretch of it, as `read_file` has them."""
    if file.begin:
        yield from _read_on(stream, file, layout, rejects)
        return
    blocks = text_blocks(stream, label=label, encoding=layout.encoding)
    first: list[LineBlock] = []
    before = rejects.counts.copy()
    while not first and (block := next(blocks, None)) is not None:
        first = list(lines_of(block, label=label, rejects=rejects))
    head = first[0] if first else None
    if is_companion_table(head, layout):
        rejects.filtered("no_address_table")
        return
    records = _Records(header_of(head, label, layout, rejects.counts - before), label, layout, rejects)
    if not layout.names:
        first[0] = LineBlock(first[0].numbers[1:], first[0].lines[1:])
    for lines in first:
        yield from records.of_lines(lines)
    for block in blocks:
        yield from records.of_block(block)
    yield from records.unfinished()


def _read_on(stream: ByteStream, file: RawFile, layout: Layout, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """The records of a stretch that is not the first, under the header of its file."""
    head, encoding = _beginning(file, layout)
    records = _Records(header_of(head, file.label, layout, {}), file.label, layout, rejects)
    for block in text_blocks(stream, label=file.label, encoding=encoding, first_line=file.first_line):
        yield from records.of_block(block)
    yield from records.unfinished()


def _beginning(file: RawFile, layout: Layout) -> tuple[LineBlock | None, str]:
    """The lines of the first block of a plain file, None where none is text, and their encoding."""
    with open_members(file.whole) as members:
        _, stream = next(members)
        block = next(text_blocks(stream, label=file.label, encoding=layout.encoding))
        return next(lines_of(block, label=file.label, rejects=Rejects(file.label)), None), block.encoding


def record_end(file: RawFile, layout: Layout) -> RecordEnd | None:
    """Where records of the file surely end, for `portions_of`; None where it is packed or no table of the layout."""
    if not is_plain(file):
        return None
    head, encoding = _beginning(file, layout)
    if head is None or is_companion_table(head, layout):
        return None
    return partial(behind_record, delimiter=layout.delimiter, encoding=encoding) if layout.quoted else after_any_line


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
        numbers, rows, self._open = rows_of(joined, self._label, self._layout, self._rejects, last=False)
        yield from _batches_of(numbers, rows, self._header, self._label, self._rejects)

    def unfinished(self) -> Iterator[pa.RecordBatch]:
        """What the end of the member makes of a record that is still open."""
        if self._open.lines:
            numbers, rows, _ = rows_of(self._open, self._label, self._layout, self._rejects, last=True)
            yield from _batches_of(numbers, rows, self._header, self._label, self._rejects)

    def _numbered(self, table: pa.Table, first: int) -> Iterator[pa.RecordBatch]:
        """Batches of a table with a row a line, the first of which has that number."""
        numbers = pa.array(np.arange(first, first + len(table)), pa.int64())
        ids = pc.binary_join_element_wise(self._label, numbers.cast(pa.string()), ":")
        table = table.add_column(0, "source_id", ids).add_column(1, "line", numbers)
        yield from table.combine_chunks().to_batches(max_chunksize=MAX_BLOCK_LINES)


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
