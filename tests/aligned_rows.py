"""Small aligned rows for tests: addresses written from parts, so that raw and spans agree by construction."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mw_pipeline.corpus.keys import ROW_COLUMNS, keys_of, write_keys
from mw_pipeline.recipe import TokenizerConfig
from mw_pipeline.records.tables import ROW_SCHEMA
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

STREETS = ("rue de la Paix", "Pennsylvania Ave NW", "Chemin des Prés", "улица Тверская", "東町")
PLACES = ("Paris", "Washington", "Sainte-Livrade-sur-Lot", "Москва", "東京")


def aligned_row(row_id: str, parts: list[tuple[str, str]], *, source: str = "ban", split: str = "train") -> dict:
    """One row of ROW_SCHEMA from (tag, text) parts; a part tagged "" is written and not labelled."""
    raw, tags, starts, ends = "", [], [], []
    for tag, text in parts:
        if tag:
            tags.append(tag)
            starts.append(len(raw))
            ends.append(len(raw) + len(text))
        raw += text
    blank = {field.name: "" for field in ROW_SCHEMA if field.type == pa.string()}
    spans = {"span_tags": tags, "span_starts": starts, "span_ends": ends}
    return {**blank, "components": [], "row_id": row_id, "raw": raw, "source": source, "split": split, **spans}


def address(number: int, *, source: str = "ban", split: str = "train") -> dict:
    """The n-th made-up address."""
    parts = [
        ("house_number", str(number)),
        ("", " "),
        ("street", STREETS[number % 5]),
        ("", ", "),
        ("postcode", f"{10_000 + number * 7:05d}"),
        ("", " "),
        ("locality", PLACES[number // 5 % 5]),
    ]
    return aligned_row(f"{source}-{split}-{number}", parts, source=source, split=split)


def table_of(rows: list[dict]) -> pa.Table:
    """Rows as a table of ROW_SCHEMA."""
    return pa.Table.from_pylist(rows, schema=ROW_SCHEMA)


def shard(path: Path, rows: list[dict]) -> Path:
    """Rows as one Parquet file."""
    pq.write_table(table_of(rows), path)
    return path


def keys_beside(shards: list[Path]) -> list[Path]:
    """The files of keys of some Parquet files of rows, written in a folder beside theirs."""
    paths = [path.parent.with_name(f"keys of {path.parent.name}") / path.name for path in shards]
    for path, rows in zip(paths, shards, strict=True):
        path.parent.mkdir(exist_ok=True)
        write_keys(path, [keys_of(batch) for batch in pq.read_table(rows, columns=ROW_COLUMNS).to_batches()])
    return paths


def small_tokenizer(folder: Path, vocab_size: int = 420) -> Tokenizer:
    """A tokenizer trained on the made-up addresses."""
    path = folder / "tokenizer.model"
    train_tokenizer([address(n)["raw"] for n in range(500)], TokenizerConfig(vocab_size=vocab_size), path)
    return Tokenizer(path)
