"""Blocks of delimited text that hold nothing odd, parsed by Arrow at once: most blocks of most files.

What is odd is left to `delimited`, which looks at every line: blank and ragged lines, quotes within a field or around a
line end, NUL bytes, bytes that are no text, a carriage return within a line, and lines above the limit.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mw_pipeline.sources.layout import Header, Layout
from mw_pipeline.sources.reading import MAX_LINE_BYTES, TextBlock

_QUOTE, _LINE_END = ord('"'), ord("\n")


def plain_table(block: TextBlock, header: Header, layout: Layout) -> pa.Table | None:
    """The wanted columns of every line as text, one row a line; None for a block in which something is odd."""
    text = _utf8(block)
    if text is None or b"\0" in text or text.count(b"\r") != text.count(b"\r\n") or _may_hold_a_long_line(text):
        return None
    if layout.quoted and not _quotes_enclose_fields(text, layout.delimiter):
        return None
    try:
        parsed = _parsed(text, header, layout)
    except pa.ArrowInvalid:  # ragged lines
        return None
    if len(parsed) != text.count(b"\n") + (not text.endswith(b"\n")):  # blank lines
        return None
    absent = pa.nulls(len(parsed), pa.string())
    places = header.positions.items()
    return pa.table({name: absent if place is None else parsed[str(place)] for name, place in places})


def _parsed(text: bytes, header: Header, layout: Layout) -> pa.Table:
    """The columns that are read, named by their places."""
    wanted = sorted({str(place) for place in header.positions.values() if place is not None})
    names = [str(place) for place in range(header.width)]
    return pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        pa_csv.ParseOptions(delimiter=layout.delimiter, quote_char='"' if layout.quoted else False),
        pa_csv.ConvertOptions(
            check_utf8=False, include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
        ),
    )


def _utf8(block: TextBlock) -> bytes | None:
    """The block in UTF-8; None where some byte of it is no text."""
    if block.data.isascii():
        return block.data
    try:
        text = block.data.decode(block.encoding)
    except UnicodeDecodeError:
        return None
    return block.data if block.encoding == "utf-8" else text.encode()


def _may_hold_a_long_line(text: bytes) -> bool:
    """A line above the limit would cover the middle of a block of less than two such lines without an end in it."""
    size = len(text)
    return size > MAX_LINE_BYTES and text.find(b"\n", size - MAX_LINE_BYTES, MAX_LINE_BYTES) < 0


def _quotes_enclose_fields(text: bytes, delimiter: str) -> bool:
    """Whether quotes stand around whole fields of one line, and doubled within them, and nowhere else."""
    if b'"' not in text:
        return True
    data = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    begins = np.isin(data[np.maximum(opening - 1, 0)], np.frombuffer(f'"\n{delimiter}'.encode(), np.uint8))
    ends = np.isin(data[np.minimum(closing + 1, len(data) - 1)], np.frombuffer(f'"\r\n{delimiter}'.encode(), np.uint8))
    lines = np.flatnonzero(data == _LINE_END)
    in_one_line = np.searchsorted(lines, opening) == np.searchsorted(lines, closing)
    return bool(begins.all() and ends.all() and in_one_line.all())
