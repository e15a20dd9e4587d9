"""What stands in the shards of a corpus, counted row by row with DuckDB: a census, not a sample (M12)."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mw_pipeline.corpus.splits import in_holdout

MEMORY_LIMIT = "2GB"
"""What one query may hold in memory; larger sorts and groupings spill."""

# The first script that a text has a letter of is its script; Latin comes last, since foreign text often quotes it.
_SCRIPTS = (
    "Han", "Hiragana", "Katakana", "Hangul", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil",
    "Telugu", "Thai", "Georgian", "Armenian", "Latin",
)  # fmt: skip
_COLUMNS = {"source": "source", "split": "split", "country": "country", "locale": "locale", "licence": "license"}


def count_rows(files: Sequence[Path]) -> dict[str, Any]:
    """Rows in all, and per source, split, country, locale, licence, script and method.

    Each adds up to all rows but `method`, which counts a row under every method that it has, or under "none".
    """
    rows = rows_in(files)
    names = {**_COLUMNS, "script": "script"}
    columns = ", ".join(names.values())
    sets = ", ".join(f"({column})" for column in names.values())
    grouped = query(
        f"select {columns}, count(*) from (select *, {script_of('raw')} as script from {rows}) "
        f"group by grouping sets ({sets}) order by all"
    )
    counts: dict[str, Any] = {"rows": query(f"select count(*) from {rows}")[0][0]}
    for place, name in enumerate(names):
        counts[name] = {group[place]: group[-1] for group in grouped if group[place] is not None}
    methods = f"select unnest(string_split(coalesce(method, 'none'), '+')), count(*) from {rows} group by 1 order by 1"
    return {**counts, "method": dict(query(methods))}


def tag_counts(files: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Spans per source and tag."""
    spans = f"select source, unnest(span_tags) as tag from {rows_in(files)}"
    counts: dict[str, dict[str, int]] = {}
    for source, tag, rows in query(f"select source, tag, count(*) from ({spans}) group by all order by all"):
        counts.setdefault(source, {})[tag] = rows
    return counts


def licences_are_allowed(counts: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    """Findings: licences of rows that the corpus spec does not list. `counts` is what `count_rows` returned."""
    return [
        f"{rows} rows are under {licence!r}, and licences_allowed lists {', '.join(sorted(allowed)) or 'none'}"
        for licence, rows in counts["licence"].items()
        if licence not in allowed
    ]


def row_ids_are_unique(files: Sequence[Path]) -> list[str]:
    """Findings: row ids that stand more than once, with how often; training excludes rows by id (M24)."""
    doubled = f"select row_id, count(*) from {rows_in(files)} group by 1 having count(*) > 1 order by all limit 5"
    return [f"row id {row_id!r} stands {count} times" for row_id, count in query(doubled)]


@dataclass(frozen=True)
class RegionCoverage:
    """How far the held-out regions reach into a source: its rows, those that say a region, and those held out."""

    source: str
    rows: int
    with_region: int
    regions: int
    held_out: int


def region_coverage(files: Sequence[Path], holdout_regions: Sequence[str]) -> list[RegionCoverage]:
    """One entry per source, by name: without a region in its rows nothing can be held out of it (M22)."""
    counted = query(f"select source, region_key, count(*) from {rows_in(files)} group by all order by all")
    held_out = in_holdout(pa.array([key for _, key, _ in counted], pa.string()), holdout_regions)
    return [
        RegionCoverage(
            source,
            sum(rows for name, _, rows in counted if name == source),
            sum(rows for name, key, rows in counted if name == source and key),
            sum(1 for name, key, _ in counted if name == source and key),
            sum(rows for (name, _, rows), held in zip(counted, held_out, strict=True) if name == source and held),
        )
        for source in dict.fromkeys(name for name, _, _ in counted)
    ]


def holdout_is_covered(coverage: Sequence[RegionCoverage], holdout_regions: Sequence[str]) -> list[str]:
    """Warnings: sources none of whose rows say a region, so that no region could be held out of them (M22)."""
    if not holdout_regions:
        return []
    return [
        f"{found.source}: none of its {found.rows} rows has a region, "
        f"so {', '.join(holdout_regions)} cannot be held out of it"
        for found in coverage
        if not found.with_region
    ]


def rows_in(files: Sequence[Path]) -> str:
    """The rows of the files as a table expression of DuckDB."""
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{names}])"


def query(sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query with `values` for its question marks, on a connection of its own.

    It takes MEMORY_LIMIT at most: what needs more, however many rows there are, goes to disk and is removed after."""
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": spill}) as connection,
    ):
        rows: list[tuple[Any, ...]] = connection.execute(sql, list(values)).fetchall()
        return rows


def script_of(column: str) -> str:
    """A DuckDB expression for the script that a text is in; "none" where it has no letter of a known one."""
    cases = " ".join(f"when regexp_matches({column}, '\\p{{{script}}}') then '{script}'" for script in _SCRIPTS)
    # Most texts have no character past the Latin blocks, and one look at them spares the others.
    only_latin = f"not regexp_matches({column}, '[^\\x{{0000}}-\\x{{024F}}]') and regexp_matches({column}, '\\p{{L}}')"
    return f"case when {only_latin} then 'Latin' {cases} else 'none' end"
