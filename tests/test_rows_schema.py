from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from yardstick import in_yardsticks

from mw_pipeline.corpus.schema import rows_match_schema
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import ROW_SCHEMA


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "row_id": f"made:{number}:0",
        "raw": "12 rue Cler 🏠",
        "components": [("house_number", "12"), ("street", "rue Cler")],
        "country": "FR",
        "source": "made",
        "source_id": str(number),
        "base_id": f"family {number}",
        "locale": "fr-FR",
        "license": "CC0-1.0",
        "method": None,
        "split": "train",
        "region_key": "",
        "place": "",
        "span_tags": ["house_number", "street"],
        "span_starts": [0, 3],
        "span_ends": [2, 11],
    } | changes


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema = ROW_SCHEMA) -> list[Path]:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / "rows.parquet")
    return [path / "rows.parquet"]


def test_sound_rows_have_no_findings(tmp_path: Path):
    rows = [
        row(1),
        row(2, method="case+order", locale="zh-Hant-TW"),
        row(3, components=[], span_tags=[], span_starts=[], span_ends=[]),
    ]

    assert rows_match_schema(write(tmp_path, rows)) == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"row_id": ""}, "column 'row_id' fails str_length(1, None): 1 values, first ''"),
        ({"raw": ""}, "column 'raw' fails str_length(1, None)"),
        ({"country": "fr"}, "column 'country' fails str_matches"),
        ({"locale": "French"}, "column 'locale' fails str_matches"),
        ({"license": ""}, "column 'license' fails str_length(1, None)"),
        ({"split": "dev"}, "column 'split' fails isin"),
        ({"span_ends": [2, 12]}, "row 'made:9:0': its spans do not cut out its components"),
        ({"span_starts": [3, 0], "span_ends": [11, 2]}, "row 'made:9:0': its spans do not cut out its components"),
        (
            {
                "raw": "12 rue Cler.",
                "span_ends": [2, 12],
                "components": [("house_number", "12"), ("street", "rue Cler.")],
            },
            "row 'made:9:0': its spans do not cut out its components",
        ),
        ({"raw": "13 rue Cler 🏠"}, "row 'made:9:0': its spans do not cut out its components"),
    ],
)
def test_a_bad_value_is_found_and_named(tmp_path: Path, changes: dict[str, Any], finding: str):
    findings = rows_match_schema(write(tmp_path, [row(1), row(9, **changes)]))

    assert len(findings) == 1
    assert f"rows.parquet: {finding}" in findings[0]


def test_offsets_in_utf16_units_are_found_where_a_character_takes_two(tmp_path: Path):
    # M19: the house is one code point and two UTF-16 units.
    text = {"raw": "🏠 12 rue Cler"}
    in_code_points = {"span_starts": [2, 5], "span_ends": [4, 13]}
    in_utf16_units = {"span_starts": [3, 6], "span_ends": [5, 14]}

    assert rows_match_schema(write(tmp_path, [row(1, **text, **in_code_points)])) == []
    (finding,) = rows_match_schema(write(tmp_path, [row(1, **text, **in_utf16_units)]))
    assert "row 'made:1:0': its spans do not cut out its components" in finding


def test_a_null_in_a_needed_column_is_found(tmp_path: Path):
    open_schema = pa.schema([field.with_nullable(True) for field in ROW_SCHEMA])

    (finding,) = rows_match_schema(write(tmp_path, [row(1, base_id=None)], open_schema))

    assert "column 'base_id' fails not_nullable: 1 values" in finding


@pytest.mark.parametrize(
    ("schema", "finding"),
    [
        (ROW_SCHEMA.remove(11), "column 'region_key' is missing: there are row_id, raw"),
        (ROW_SCHEMA.set(13, pa.field("span_tags", pa.list_(pa.large_string()))), "column 'span_tags' is list<"),
        (ROW_SCHEMA.append(pa.field("extra", pa.string())), "extra, expected row_id, raw, components"),
    ],
)
def test_other_columns_are_found(tmp_path: Path, schema: pa.Schema, finding: str):
    (found,) = rows_match_schema(write(tmp_path, [row(1, extra="x")], schema))

    assert finding in found


def test_an_empty_table_is_a_finding_since_it_passes_every_check(tmp_path: Path):
    assert rows_match_schema(write(tmp_path, [])) == ["no row in 1 files, expected at least one"]
    assert rows_match_schema([]) == ["no row in 0 files, expected at least one"]


def test_findings_are_bounded(tmp_path: Path):
    assert len(rows_match_schema(write(tmp_path, [row(n, raw="13 rue Cler") for n in range(100)]))) == 20


def test_a_file_that_is_not_parquet_is_an_error(tmp_path: Path):
    (tmp_path / "rows.parquet").write_text("row_id,raw\n")

    with pytest.raises(CorpusError, match="not a Parquet file"):
        rows_match_schema([tmp_path / "rows.parquet"])


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_checked_to_the_last_span_at_their_pace(tmp_path: Path):
    files = write(tmp_path, [row(number) for number in range(100_000)])

    assert rows_match_schema(files) == []
    assert in_yardsticks(lambda: rows_match_schema(files)) < 15  # a third of that when written
