"""The 64-bit keys of rows: by them texts, families and streets are compared, however many there are.

They are written once, in a file beside each shard, by whoever writes the shard. What needs all rows of a corpus joins
these files and reads no text. Two different texts are taken for one with a probability of about n² / 2^65: at 677
million rows one corpus in eighty leaves a row out that it could have kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.corpus.shards import GROUP_ROWS, draft_of
from mw_pipeline.records.text import Mask, by_distinct, hash64, mask_of, normalised_text

KEYS_FOLDER = "keys"

KEY_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("family", pa.uint64(), nullable=False),
        pa.field("text", pa.uint64(), nullable=False),
        pa.field("raw", pa.uint64(), nullable=False),
        pa.field("closed", pa.bool_(), nullable=False),
        pa.field("streets", pa.list_(pa.uint64()), nullable=False),
    ]
)
"""`family` is of the base id, `text` of the text under `normalised_text`, `raw` of its very letters, `streets` of the
names of its streets; `closed` are rows of words of closed classes alone."""

ROW_COLUMNS = ["row_id", "source", "split", "base_id", "raw", "components", "span_tags"]
"""The columns of ROW_SCHEMA that keys are made of."""

STREET_TAGS = ("street", "intersection_a", "intersection_b")
_CLOSED_TAGS = pa.array(["country", "region", "subregion"])


def keys_path(shard: Path) -> Path:
    """Where the keys of a shard lie."""
    return shard.parent.with_name(KEYS_FOLDER) / shard.name


def keys_of(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The keys of aligned rows, in their order, as KEY_SCHEMA."""
    named = (rows[name] for name in ("row_id", "source", "split"))
    texts = (hashed(rows["base_id"]), text_keys(rows["raw"]), hashed(rows["raw"]))
    others = (_of_closed_words(rows["span_tags"]), _streets(rows["components"]))
    return pa.record_batch([*named, *texts, *others], schema=KEY_SCHEMA)


def text_keys(texts: pa.StringArray) -> pa.UInt64Array:
    """The key of each text, in any case, with any accents and punctuation."""
    return hashed(normalised_text(texts))


def hashed(texts: pa.StringArray) -> pa.UInt64Array:
    """The key of each text, letter for letter."""
    return pa.array(hash64(texts), pa.uint64())


def write_keys(path: Path, keys: Sequence[pa.RecordBatch]) -> None:
    """The keys of a shard as one Parquet file, whole or not there. Hashes repeat too little for a dictionary."""
    draft = draft_of(path)
    table = pa.Table.from_batches(keys, schema=KEY_SCHEMA)
    pq.write_table(table, draft, row_group_size=GROUP_ROWS, compression="zstd", use_dictionary=["source", "split"])
    draft.replace(path)


def keys_match_rows(shards: Sequence[Path], keys: Sequence[Path]) -> list[str]:
    """Findings: shards whose rows do not have the keys that lie beside them: what joins these sees other rows."""
    findings: list[str] = []
    for shard, path in zip_longest(shards, keys):
        if shard is None or path is None or shard.name != path.name:
            return [*findings, f"{len(keys)} files of keys lie beside {len(shards)} shards, expected one of each name"]
        for rows, found in zip_longest(_batches(shard, ROW_COLUMNS), _batches(path, None)):
            if rows is None or found is None or not keys_of(rows).equals(found):
                findings.append(f"{shard.name}: its keys are not those of its rows")
                break
    return findings


def _of_closed_words(tags: pa.ListArray) -> pa.BooleanArray:
    """Rows that have spans, and none but those of countries, regions and départements."""
    is_open = ~mask_of(pc.is_in(pc.list_flatten(tags), value_set=_CLOSED_TAGS))
    open_spans, spans = _per_row(is_open, tags), pc.list_value_length(tags).to_numpy()
    return pa.array((open_spans == 0) & (spans > 0))


def _streets(components: pa.MapArray) -> pa.ListArray:
    """The keys of the streets of each row, of crossings both."""
    entries = components.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))
    tags, values = pc.list_flatten(entries).flatten()
    chosen = mask_of(pc.is_in(tags, value_set=pa.array(STREET_TAGS)))
    ends = np.cumsum(_per_row(chosen, components))
    keys = by_distinct(values.filter(pa.array(chosen)), text_keys)
    return pa.ListArray.from_arrays(pa.array(np.append(0, ends), pa.int32()), keys)


def _per_row(flags: Mask, lists: pa.ListArray | pa.MapArray) -> npt.NDArray[np.int64]:
    """How many of the entries of each list have their flag up."""
    ends = np.cumsum(np.diff(lists.offsets.to_numpy()))
    counts: npt.NDArray[np.int64] = np.diff(np.append(0, np.cumsum(flags))[np.append(0, ends)])
    return counts


def _batches(path: Path, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(GROUP_ROWS, columns=columns)
