"""GeoJSON text with one Feature per line, as columns of its properties."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mw_pipeline.corpus.records import Rejects
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.reading import ByteStream, LineBlock, line_blocks


def read_features(
    stream: ByteStream, names: tuple[str, ...], *, label: str, rejects: Rejects
) -> Iterator[pa.RecordBatch]:
    """Batches of at most 32,768 records: `source_id` ("file:line"), `line` (from 1) and the named properties.

    Property names compare without case; whole numbers become text. Quarantined: what `line_blocks` refuses, and
    `bad_json`, `not_a_feature`, `bad_value` (a list, an object, a lone surrogate or NUL). Raises CorpusError when no
    line of the first block is a Feature, which tells a file that is one large document.
    """
    first = True
    for block in line_blocks(stream, label=label, encoding="utf-8", rejects=rejects):
        if first:
            _check_first(block.lines, label)
            first = False
        yield from _batches(block, names, label, rejects)
    if first:
        raise CorpusError(f"{label}: holds no line of text, expected one GeoJSON Feature per line. Check the input.")


def _check_first(lines: list[str], label: str) -> None:
    if all(isinstance(_properties(line), str) for line in lines):
        raise CorpusError(
            f"{label}: the first line is {lines[0][:60]!r}, expected a whole GeoJSON Feature on every line. "
            "Convert a FeatureCollection to line-delimited GeoJSON first."
        )


def _batches(block: LineBlock, names: tuple[str, ...], label: str, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    numbers: list[int] = []
    rows: list[list[str | None]] = []
    for number, line in zip(block.numbers, block.lines, strict=True):
        properties = _properties(line)
        row = properties if isinstance(properties, str) else _row(properties, names)
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
    """The properties of a Feature by lower-case name, or the reason why there are none."""
    try:
        feature = json.loads(line)
    except (ValueError, RecursionError):
        return "bad_json"
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        return "not_a_feature"
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        return "not_a_feature"
    return {name.lower(): value for name, value in properties.items()}


def _row(properties: dict[str, Any], names: tuple[str, ...]) -> list[str | None] | str:
    row = [properties.get(name.lower()) for name in names]
    for position, value in enumerate(row):
        if isinstance(value, int | float) and not isinstance(value, bool):
            row[position] = f"{value:.15g}" if isinstance(value, float) else str(value)
        elif value is not None and not _is_text(value):
            return "bad_value"
    return row


def _is_text(value: object) -> bool:
    """JSON escapes can spell what no UTF-8 file can hold."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
