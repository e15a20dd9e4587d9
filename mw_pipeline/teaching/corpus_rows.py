"""Training rows by their ids, as the corpus has them, with the shard that each lies in."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from mw_pipeline.corpus.census import bounded_connection

_COLUMNS = ("row_id", "raw", "country", "source", "source_id", "base_id", "license", "method")
_SPANS = ("span_tags", "span_starts", "span_ends")


def rows_by_id(shards: Mapping[Path, str], row_ids: Sequence[str]) -> pa.Table:
    """The rows of these ids, in this order, without those that are not there; `shards` names each Parquet file."""
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in shards)
    wanted = pa.table({"row_id": pa.array(row_ids, pa.string()), "number": pa.array(range(len(row_ids)), pa.int64())})
    named = pa.table({"filename": [str(path) for path in shards], "shard": list(shards.values())})
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        connection.register("wanted", wanted)
        connection.register("named", named)
        return connection.sql(
            f"select {', '.join((*_COLUMNS, *_SPANS))}, shard from read_parquet([{files}], filename = true) "
            "join wanted using (row_id) join named using (filename) order by number"
        ).to_arrow_table()
