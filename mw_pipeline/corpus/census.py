"""What stands in the shards of a corpus, counted row by row: a census, not a sample (M12).

The rows of a shard are counted while it is written; what needs all shards at once is asked of DuckDB, which keeps to
half a gigabyte, or to what `MW_MEMORY` allows, and spills the rest into a folder that goes when it is done.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.memory_limit import memory_megabytes
from mw_pipeline.corpus.scripts import OTHER_SCRIPTS
from mw_pipeline.records.text import any_byte, ascii_letter, mask_of, utf8_bytes

BATCH_ROWS = 65_536

_MEGABYTES_PER_THREAD = 256  # a thread holds buffers of its own: on less, more of them are of no use

# The first script that a text has a letter of is its script; Latin comes last, since foreign text often quotes it.
_SCRIPTS = (*OTHER_SCRIPTS, "Latin")
# The first byte of every character from U+0240 on; the few below U+0250 among them are told by their pattern.
_PAST_LATIN = 0xC9
_COLUMNS = {"source": "source", "split": "split", "country": "country", "locale": "locale", "licence": "license"}


def counts_of(rows: pa.Table) -> dict[str, Any]:
    """Rows in all, and per source, split, country, locale, licence, script and method; spans per tag.

    Each of the first adds up to all rows but `method`, which counts a row under every method that it has, or "none".
    """
    values = {name: rows[column] for name, column in _COLUMNS.items()}
    values["script"] = pa.array(_scripts(rows["raw"].combine_chunks()), pa.string())
    values["method"] = pc.list_flatten(pc.split_pattern(pc.fill_null(rows["method"], "none"), "+"))
    values["tag"] = pc.list_flatten(rows["span_tags"])
    return {"rows": rows.num_rows} | {name: _counted(column) for name, column in values.items()}


def summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The counts of several tables of rows as those of one; of none, as those of an empty one."""
    rows, tables = 0, {name: Counter[str]() for name in (*_COLUMNS, "script", "method", "tag")}
    for part in counts:
        rows += part["rows"]
        for name, table in tables.items():
            table.update(part[name])
    return {"rows": rows} | {name: dict(sorted(table.items())) for name, table in tables.items()}


def _counted(values: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    return dict(sorted((entry["values"], entry["counts"]) for entry in values.value_counts().to_pylist()))


def _scripts(texts: pa.StringArray) -> npt.NDArray[np.object_]:
    """(N,): the script of each text, as `script_of` says it. Two looks at the bytes spare most texts every pattern."""
    scripts = np.full(len(texts), "none", object)
    offsets, data = utf8_bytes(texts)
    past_latin = any_byte(data >= _PAST_LATIN, offsets)
    scripts[any_byte(ascii_letter(data), offsets) & ~past_latin] = "Latin"
    doubtful = np.flatnonzero(scripts == "none")
    remaining = texts.take(pa.array(doubtful))
    for script in _SCRIPTS if len(doubtful) else ():
        found = mask_of(pc.match_substring_regex(remaining, rf"\p{{{script}}}"))
        scripts[doubtful[found]] = script
        doubtful, remaining = doubtful[~found], remaining.filter(pa.array(~found))
    return scripts


def licences_are_allowed(counts: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    """Findings: licences of rows that the corpus spec does not list. `counts` is what `counts_of` returned."""
    return [
        f"{rows} rows are under {licence!r}, and licences_allowed lists {', '.join(sorted(allowed)) or 'none'}"
        for licence, rows in counts["licence"].items()
        if licence not in allowed
    ]


def licence_counts(files: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, int]]:
    """Source → licence → rows, counted in its files of rows; a source without rows has none."""
    source_of = {str(path): source for source, paths in files.items() for path in paths}
    counts: dict[str, Counter[str]] = {source: Counter() for source in files}
    if source_of:
        by_file = f"select filename, license, count(*) from {rows_in([*map(Path, source_of)])} group by all"
        for name, licence, rows in query(by_file):
            counts[source_of[name]][licence] += rows
    return {source: dict(sorted(found.items())) for source, found in counts.items()}


def row_ids_are_unique(files: Sequence[Path]) -> list[str]:
    """Findings: row ids that stand more than once, with how often; training excludes rows by id (M24)."""
    doubled = f"select row_id, count(*) from {rows_in(files)} group by 1 having count(*) > 1 order by all limit 5"
    return [f"row id {row_id!r} stands {count} times" for row_id, count in query(doubled)]


@dataclass(frozen=True)
class TownCount:
    """The training rows of a source by the place that they lie in: how many each place has (P,), which has the most,
    and how many rows say none."""

    rows: npt.NDArray[np.int64]
    commonest: str
    placeless: int


def town_counts(files: Sequence[Path], exclusions: Path) -> dict[str, TownCount]:
    """One entry per source that has training rows, excluded ones left aside. Eight bytes are held for each place."""
    kept = f"{rows_in(files, but=exclusions)} where split = 'train'"
    rows, commonest, placeless = dict[str, list[npt.NDArray[np.int64]]](), dict[str, str](), Counter[str]()
    # The commonest place of a source comes first, and of two that are as common the first by name.
    counted = f"select source, place, count(*) as rows from {kept} group by all order by source, rows desc, place"
    for batch in streamed(counted):
        for source in pc.unique(batch["source"]).to_pylist():
            part = batch.filter(pc.equal(batch["source"], source))
            named = part.filter(pc.not_equal(part["place"], ""))
            rows.setdefault(source, []).append(named["rows"].to_numpy())
            placeless[source] += pc.sum(part["rows"]).as_py() - (pc.sum(named["rows"]).as_py() or 0)
            if len(named):
                commonest.setdefault(source, named["place"][0].as_py())
    return {
        source: TownCount(np.concatenate(parts), commonest.get(source, ""), placeless[source])
        for source, parts in rows.items()
    }


def rows_in(files: Sequence[Path], *, but: Path | None = None) -> str:
    """The rows of the files, with the `filename` of each, as a table expression of DuckDB; without those whose id
    stands in the file `but`."""
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    rows = f"read_parquet([{names}], filename = true)"
    return f"(select kept.* from {rows} as kept anti join {rows_in([but])} as lost using (row_id))" if but else rows


def query(sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query with `values` for its question marks, on a connection of its own."""
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(sql, list(values)).fetchall()
        return rows


def streamed(sql: str) -> Iterator[pa.RecordBatch]:
    """The batches of a query, in constant memory, on a connection of its own."""
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        yield from connection.sql(sql).to_arrow_reader(BATCH_ROWS)


@contextmanager
def bounded_connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose tables lie in `folder`, which keeps to the limit of memory and spills to that folder."""
    megabytes = memory_megabytes()
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{megabytes}MB",
        "temp_directory": str(folder),
        "threads": max(2, min(os.cpu_count() or 1, megabytes // _MEGABYTES_PER_THREAD)),
    }
    with duckdb.connect(str(folder / "tables.duckdb"), config=settings) as connection:
        yield connection


def script_of(column: str) -> str:
    """A DuckDB expression for the script that a text is in; "none" where it has no letter of a known one."""
    cases = " ".join(f"when regexp_matches({column}, '\\p{{{script}}}') then '{script}'" for script in _SCRIPTS)
    # Most texts have no character past the Latin blocks, and one look at them spares the others.
    only_latin = f"not regexp_matches({column}, '[^\\x{{0000}}-\\x{{024F}}]') and regexp_matches({column}, '\\p{{L}}')"
    return f"case when {only_latin} then 'Latin' {cases} else 'none' end"
