"""What a stored row must be: a pandera schema over the columns, and the round trip of every span, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandera.pyarrow as pap
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.errors import SchemaErrors

from mw_pipeline.corpus.spans import unsound_rows
from mw_pipeline.corpus.splits import SPLITS
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import ROW_SCHEMA

BATCH_ROWS = 65_536
MAX_FINDINGS = 20

_VALUE_CHECKS = {
    "row_id": pap.Check.str_length(min_value=1),
    "raw": pap.Check.str_length(min_value=1),
    "country": pap.Check.str_matches(r"^[A-Z]{2}$"),
    "source": pap.Check.str_length(min_value=1),
    "source_id": pap.Check.str_length(min_value=1),
    "base_id": pap.Check.str_length(min_value=1),
    "locale": pap.Check.str_matches(r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$"),
    "license": pap.Check.str_length(min_value=1),
    "split": pap.Check.isin(SPLITS),
}

# pandera knows no map type: the type of `components` is compared as Arrow states it, like all others, in _findings.
ROWS = pap.DataFrameSchema(
    {
        field.name: pap.Column(
            None if pa.types.is_map(field.type) else field.type,
            _VALUE_CHECKS.get(field.name),
            nullable=field.nullable,
        )
        for field in ROW_SCHEMA
    },
    strict=True,
    ordered=True,
)


def rows_match_schema(files: Sequence[Path]) -> list[str]:
    """Findings: what is wrong with the stored rows, at most 20; no row at all is a finding, since no check would fail.

    Raises CorpusError for a file that is not Parquet.
    """
    findings: list[str] = []
    rows = 0
    for path in files:
        for batch in _batches(path):
            rows += batch.num_rows
            findings += [f"{path.name}: {finding}" for finding in _findings(batch)]
            if len(findings) >= MAX_FINDINGS:
                return findings[:MAX_FINDINGS]
    return findings or ([] if rows else [f"no row in {len(files)} files, expected at least one"])


def _batches(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        raise CorpusError(f"{path}: not a Parquet file ({error}). Build the shards again.") from None


def _findings(table: pa.Table) -> list[str]:
    if table.schema.types != ROW_SCHEMA.types or table.schema.names != ROW_SCHEMA.names:
        return [_schema_difference(table.schema)]
    try:
        ROWS.validate(table, lazy=True)
    except SchemaErrors as errors:
        return _in_words(errors.failure_cases)
    columns = [table[name].combine_chunks() for name in ("raw", "components", "span_tags", "span_starts", "span_ends")]
    unsound = table["row_id"].filter(pa.array(unsound_rows(*columns))).slice(0, MAX_FINDINGS)
    return [f"row {name!r}: its spans do not cut out its components" for name in unsound.to_pylist()]


def _schema_difference(found: pa.Schema) -> str:
    for field in ROW_SCHEMA:
        if field.name not in found.names:
            return f"column {field.name!r} is missing: there are {', '.join(found.names)}"
        if found.field(field.name).type != field.type:
            return f"column {field.name!r} is {found.field(field.name).type}, expected {field.type}"
    return f"columns are {', '.join(found.names)}, expected {', '.join(ROW_SCHEMA.names)}"


def _in_words(cases: pa.Table) -> list[str]:
    """One finding per column and check that failed: how many values, and the first of them."""
    failed: dict[tuple[str, str], list[str]] = {}
    for case in cases.to_pylist():
        failed.setdefault((case["column"] or "row", case["check"]), []).append(case["failure_case"])
    return [
        f"column {column!r} fails {check}: {len(values)} values, first {values[0]!r}"
        for (column, check), values in failed.items()
    ]
