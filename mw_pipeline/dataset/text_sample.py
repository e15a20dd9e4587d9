"""Texts drawn evenly by source and script: what a tokenizer learns from, and what an exported network is tried on."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from mw_pipeline.corpus.census import bounded_connection, rows_in
from mw_pipeline.errors import CorpusError

# A text that is not all Latin is grouped by the first of these that it holds; RE2 knows Unicode's script names.
_SCRIPTS = ("Han", "Hiragana", "Katakana", "Hangul", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Thai")

Group = tuple[str, str]
"""Source and script of a text."""


def sample_texts(
    row_files: Mapping[str, Sequence[Path]],
    *,
    rows: int,
    seed: int,
    exclusions: Path | None = None,
    split: str = "train",
) -> list[str]:
    """At most `rows` raw texts of the rows of a split, the same ones for the same seed, whatever the files' order.

    Rows that `exclusions` lists are left out. A group (one script of one source) gets a share in proportion to the
    square root of its rows, so that a large source cannot crowd a small script out, and a small one is not repeated:
    temperature 0.5, as in Conneau & Lample, "Cross-lingual language model pretraining", 2019, §3.1. Raises CorpusError
    when the split has no rows.
    """
    files = [path for paths in row_files.values() for path in paths]
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        connection.execute(f"create view texts as {_texts(rows_in(files, but=exclusions), split)}")
        counted = connection.execute("select source, script, count(*) from texts group by all order by all").fetchall()
        if not counted:
            raise CorpusError(
                f"no row of the {split} split in the shards of {', '.join(row_files)}, expected at least one. "
                "Look at the corpus' split counts."
            )
        return _drawn(connection, {(source, script): count for source, script, count in counted}, rows, seed)


def _drawn(connection: duckdb.DuckDBPyConnection, counts: Mapping[Group, int], rows: int, seed: int) -> list[str]:
    """The quota of every group from the view `texts`, those with the smallest numbers.

    A row's number is a hash of seed and row id: independent of file order, threads and DuckDB's own random numbers."""
    connection.execute("create table quotas (source varchar, script varchar, share double, quota bigint)")
    connection.executemany(
        "insert into quotas values (?, ?, ?, ?)",
        # A little more than the quota is let through the hash, so that a group rarely falls short of it.
        [(*group, 1.1 * (quota + 50) / counts[group], quota) for group, quota in root_quotas(counts, rows).items()],
    )
    drawn = connection.sql(
        f"""
        with numbered as (
            select raw, row_id, texts.source, texts.script, quota, share,
                   md5_number_upper('{int(seed)}:' || row_id) as number
            from texts join quotas on texts.source = quotas.source and texts.script = quotas.script
        )
        select raw from numbered where number / 18446744073709551616.0 <= share
        qualify row_number() over (partition by source, script order by number, row_id) <= quota
        order by number, row_id
        """
    )
    return [raw for (raw,) in drawn.fetchall()]


def root_quotas(counts: Mapping[Group, int], total: int) -> dict[Group, int]:
    """Rows to take per group: in proportion to √count, never more than there are, what is left over going to others."""
    quotas: dict[Group, int] = {}
    left = min(total, sum(counts.values()))
    weight = sum(count**0.5 for count in counts.values())
    # A group fills up sooner the smaller it is, so one pass from the smallest sees every leftover.
    for group, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        quotas[group] = min(count, int(left * count**0.5 / weight + 0.5))
        left -= quotas[group]
        weight -= count**0.5
    return quotas


def _texts(rows: str, split: str) -> str:
    """A query for row_id, raw, source and script of every row of a split."""
    latin = r"when not regexp_matches(raw, '[^\p{Latin}\p{Common}\p{Inherited}]') then 'Latin'"
    others = " ".join(rf"when regexp_matches(raw, '\p{{{script}}}') then '{script}'" for script in _SCRIPTS)
    return (
        f"select row_id, raw, source, case {latin} {others} else 'other' end as script "
        f"from {rows} where split = '{split}'"
    )
