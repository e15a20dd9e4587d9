"""Delimited text (CSV, TSV) as columns found by header name, with every unusable record quarantined.

A record is a line, or several where a quoted field holds line ends. One bad record costs itself only: an unclosed quote
does not swallow what follows it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from mw_pipeline.corpus.records import Rejects
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.reading import MAX_LINE_BYTES, LineBlock, RawFile, line_blocks, opened

MAX_RECORD_LINES = 64

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class Layout:
    """What a delimited format looks like.

    `needed` columns must be in the header, at least one of `needed_one_of`, and `optional` ones may be; all others are
    not read. `names` are the columns of a format without a header line. Header names compare without case and outer
    blanks.
    """

    title: str
    delimiter: str
    needed: tuple[str, ...]
    needed_one_of: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    quoted: bool = True
    encoding: str = "utf-8"

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that a batch holds."""
        return self.needed + self.needed_one_of + self.optional


@dataclass(frozen=True)
class _Header:
    """Where each wanted column stands (None: the file lacks it), and the field counts that a record may have."""

    positions: dict[str, int | None]
    width: int
    min_width: int


def read_delimited(files: Sequence[RawFile], layout: Layout, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Batches of at most 32,768 records: `source_id` ("file:line"), `line` (from 1) and every wanted column.

    A column that the file lacks is null throughout; other values are as the file has them. Quarantined: what
    `line_blocks` refuses, and `ragged`, `unclosed_quote`, `bad_quoting`. A record may lack the fields under trailing
    nameless header columns, and may have further empty ones. Raises CorpusError, before the first batch of any file,
    when a header lacks a needed column.
    """
    for file in files[1:]:
        check_header(file, layout)
    for file in files:
        with opened(file) as members:
            for label, stream in members:
                blocks = line_blocks(stream, label=label, encoding=layout.encoding, rejects=rejects)
                yield from _member_batches(blocks, label, layout, rejects)


def check_header(file: RawFile, layout: Layout) -> None:
    """Raises CorpusError for a file whose first member is not of the layout."""
    unused = Rejects(source=file.label)
    with opened(file) as members:
        label, stream = next(members)
        _header(next(line_blocks(stream, label=label, encoding=layout.encoding, rejects=unused), None), label, layout)


def _member_batches(
    blocks: Iterator[LineBlock], label: str, layout: Layout, rejects: Rejects
) -> Iterator[pa.RecordBatch]:
    first = next(blocks, None)
    header = _header(first, label, layout)
    assert first is not None, "a file without a line has no header"
    if not layout.names:
        first = LineBlock(first.numbers[1:], first.lines[1:])
    open_record = LineBlock([], [])
    for block in chain((first,), blocks):
        block = LineBlock(open_record.numbers + block.numbers, open_record.lines + block.lines)
        numbers, rows, open_record = _rows(block, label, layout, rejects, last=False)
        yield from _batches_of(numbers, rows, header, label, rejects)
    if open_record.lines:
        numbers, rows, _ = _rows(open_record, label, layout, rejects, last=True)
        yield from _batches_of(numbers, rows, header, label, rejects)


def _header(first: LineBlock | None, label: str, layout: Layout) -> _Header:
    if first is None:
        raise CorpusError(
            f"{label}: holds no line of text of at most {MAX_LINE_BYTES >> 20} MiB, expected {layout.title}. Check the "
            "input of the source."
        )
    return _fixed_header(first, label, layout) if layout.names else _named_header(first, label, layout)


def _named_header(block: LineBlock, label: str, layout: Layout) -> _Header:
    line = block.lines[0]
    names = [name.strip() for name in _header_fields(line, layout)]
    folded = [name.casefold() for name in names]
    missing = [name for name in layout.needed if name.casefold() not in folded]
    if layout.needed_one_of and not any(name.casefold() in folded for name in layout.needed_one_of):
        missing.append(" or ".join(layout.needed_one_of))
    if missing:
        raise CorpusError(
            f"{label}: the header has no {', '.join(missing)}: found {_shortened(names)}"
            f"{_delimiter_hint(line, layout)}. Expected {layout.title}."
        )
    width = len(names)
    while names and not names[-1]:
        names.pop()
    positions = {n: folded.index(n.casefold()) if n.casefold() in folded else None for n in layout.wanted}
    return _Header(positions, width, len(names))


def _header_fields(line: str, layout: Layout) -> list[str]:
    if not layout.quoted:
        return line.split(layout.delimiter)
    try:
        return next(csv.reader((line,), delimiter=layout.delimiter))
    except csv.Error:
        return [line]


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _delimiter_hint(line: str, layout: Layout) -> str:
    """Names another delimiter under which every needed column is there."""
    needed = {name.casefold() for name in layout.needed or layout.needed_one_of}
    for delimiter, word in _DELIMITERS.items():
        if needed <= {name.strip(' "').casefold() for name in line.split(delimiter)} and delimiter != layout.delimiter:
            return f" (split by {word}s; this format splits by {_DELIMITERS[layout.delimiter]}s)"
    return ""


def _fixed_header(block: LineBlock, label: str, layout: Layout) -> _Header:
    """The header of a format that has none, provided that some line of the first block has its field count."""
    width = len(layout.names)
    if not any(line.count(layout.delimiter) == width - 1 for line in block.lines):
        fields = block.lines[0].split(layout.delimiter)
        raise CorpusError(
            f"{label}: the first line has {len(fields)} fields split by {_DELIMITERS[layout.delimiter]}s "
            f"({_shortened(fields)}), expected {layout.title}. Check the input of the source."
        )
    return _Header({name: layout.names.index(name) for name in layout.wanted}, width, width)


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
    numbers: list[int], rows: list[list[str]], header: _Header, label: str, rejects: Rejects
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
    numbers: list[int], rows: list[list[str]], header: _Header, label: str, rejects: Rejects
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
