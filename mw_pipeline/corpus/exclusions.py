"""The rows of a corpus that no one may train on: one Parquet file, in the order of sources and shards.

Each shard that has such rows has a row group of its own, so that whoever reads the shard holds these ids and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.records.text import mask_of

EXCLUSION_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("repeats", pa.string()),
    ]
)
"""`part` is the name of the shard; `repeats` the row of another source that stays instead, where that is the reason."""

Excluded = Callable[[str, Path], pa.StringArray]
"""Source and shard → ids of the rows in it that are left out."""


def nothing_excluded(source: str, shard: Path) -> pa.StringArray:
    """Every row stays."""
    return pa.array([], pa.string())


class Exclusions:
    """A file of exclusions, read shard by shard; what is held of it is where each shard's rows begin."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        source, part = (EXCLUSION_SCHEMA.get_field_index(name) for name in ("source", "part"))
        self._groups = {
            (group.column(source).statistics.min, group.column(part).statistics.min): number
            for number, group in enumerate(groups)
        }

    def of(self, source: str, shard: Path) -> pa.StringArray:
        """The ids of the excluded rows of a shard."""
        group = self._groups.get((source, shard.name))
        if group is None:
            return nothing_excluded(source, shard)
        with pq.ParquetFile(self._path) as file:
            return file.read_row_group(group, columns=["row_id"])["row_id"].combine_chunks()


def write_excluded(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes excluded rows, which come ordered by source and part."""
    runs = (run for batch in batches for run in _runs(batch.cast(EXCLUSION_SCHEMA)))
    with pq.ParquetWriter(path, EXCLUSION_SCHEMA, compression="zstd") as writer:
        for _, of_shard in groupby(runs, key=lambda run: (run["source"][0], run["part"][0])):
            table = pa.Table.from_batches(of_shard)
            writer.write_table(table, row_group_size=len(table))


def _runs(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of each shard that a batch holds rows of."""
    changes = [pc.not_equal(batch[name].slice(1), batch[name].slice(0, len(batch) - 1)) for name in ("source", "part")]
    ends = np.flatnonzero(mask_of(pc.or_(*changes))) + 1
    for begin, end in pairwise([0, *ends.tolist(), len(batch)]):
        yield batch.slice(begin, end - begin)
