"""GeoJSON text with one Feature per line, as columns of its properties; a text sequence (RFC 8142), too, whose records
begin with the sign RS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.reading import LineBlock, line_blocks
from mw_pipeline.sources.streams import ByteStream

RECORD_SEPARATOR = "\x1e"
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_features(
    stream: ByteStream, names: tuple[str, ...], *, label: str, rejects: Rejects, first_line: int = 1
) -> Iterator[pa.RecordBatch]:
    """Batches of at most 32,768 records: `source_id` ("file:line"), `line` (from 1) and the named properties.

    The stream begins at that line of its file.

    Properties are found by the lower-case name; numbers become text. Quarantined: what `line_blocks` refuses, and
    `bad_json`, `not_a_feature`, `bad_value` (a list, an object, a lone surrogate or NUL). Raises CorpusError for
    a file that is one large document: no line of its first block is a Feature, or it begins as a FeatureCollection.
    """
    first = first_line == 1
    for block in line_blocks(stream, label=label, encoding="utf-8", rejects=rejects, first_line=first_line):
        if first:
            _check_first(block.lines, label)
            first = False
        yield from _batches(block, names, label, rejects)
    if first:
        raise CorpusError(f"{label}: holds no line of text, expected one GeoJSON Feature per line. Check the input.")


def _check_first(lines: list[str], label: str) -> None:
    one_document = any('"FeatureCollection"' in line for line in lines[:3])
    if one_document or all(isinstance(_properties(line), str) for line in lines):
        raise CorpusError(
            f"{label}: the first line is {lines[0][:60]!r}, expected a whole GeoJSON Feature on every line. "
            "Convert a FeatureCollection to line-delimited GeoJSON first."
        )


def _batches(block: LineBlock, names: tuple[str, ...], label: str, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    numbers: list[int] = []
    rows: list[list[str | None]] = []
    keys = [name.lower() for name in names]
    for number, line in zip(block.numbers, block.lines, strict=True):
        properties = _properties(line)
        row = properties if isinstance(properties, str) else _row(properties, keys)
        if isinstance(row, str):
            rejects.add(number, f"{label}:{number}", row, repr(line[:80]))
        else:
            numbers.append(number)
            rows.append(row)
    if rows:
        columns = {"source_id": pa.array([f"{label}:{n}" for n in numbers]), "line": pa.array(numbers, pa.int64())}
        for position, name in enumerate(names):
            columns[name] = pa.array([row[position] for row in rows], pa.string())
        yield pa.RecordBatch.from_pydict(columns)


def _properties(line: str) -> dict[str, Any] | str:
    """The properties of a Feature, or the reason why there are none."""
    try:
        feature = json.loads(line.removeprefix(RECORD_SEPARATOR))
    except (ValueError, RecursionError):
        return "bad_json"
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return "not_a_feature"
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else "not_a_feature"


def _row(properties: dict[str, Any], names: list[str]) -> list[str | None] | str:
    """The values of the names, or "bad_value"."""
    row = [properties.get(name) for name in names]
    for position, value in enumerate(row):
        if value is None or is_text(value):
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "bad_value"
        row[position] = f"{value:.15g}" if isinstance(value, float) else str(value)
    return row


def is_text(value: object) -> bool:
    """Whether a value is text that a file can hold: JSON can also spell lone surrogates and NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or not _SURROGATE.search(value)
