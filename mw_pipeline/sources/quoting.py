"""Lines of delimited text as records: a quoted field may hold line ends, and one that never ends costs its first line
only."""

from __future__ import annotations

import csv

from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.reading import LineBlock, text_of

MAX_RECORD_LINES = 64

_OPEN = "unexpected end of data"  # what csv says of a quoted field that does not end


def rows_of(
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
    """As `rows_of`, for a block in which some record spans lines or is malformed."""
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
    if '"' not in text:  # as in a block without quotes: what csv says of a carriage return in it is no matter
        return text.split(delimiter), 1, ""
    taken = 1
    while True:
        fields, fault = _parsed(text, delimiter)
        if not fault:
            return fields, taken, ""
        if fault != _OPEN:
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


def behind_record(lines: bytes, delimiter: str, encoding: str) -> int | None:
    """How many bytes into some whole lines a record surely ends, whatever stands before them; None where none does.

    That is behind a line that is a record where one may begin and an error where a quoted field goes on, for the record
    of that field is given up there and the lines behind its first are read anew; or behind as many lines without a
    quote as no open record outlasts.
    """
    at = without_quote = 0
    for line in lines.split(b"\n")[:-1]:
        at += len(line) + 1
        reason, text = text_of(line.rstrip(b"\r"), encoding)
        if reason or not text:  # no line to whoever reads records
            continue
        without_quote = 0 if '"' in text else without_quote + 1
        if without_quote == MAX_RECORD_LINES or (not without_quote and _stands_alone(text, delimiter)):
            return at
    return None


def _stands_alone(line: str, delimiter: str) -> bool:
    return not _parsed(line, delimiter)[1] and _parsed(f'"\n{line}', delimiter)[1] not in ("", _OPEN)


def _parsed(text: str, delimiter: str) -> tuple[list[str], str]:
    """The fields of a text, or what is wrong with it."""
    try:
        return next(csv.reader((text,), delimiter=delimiter, strict=True)), ""
    except csv.Error as error:
        return [], str(error)
