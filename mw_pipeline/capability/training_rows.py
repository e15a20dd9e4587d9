"""Which rows of the matrix training has met: looked up among the keys of the corpus, by text and by street."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.capability.cells import MatrixRow
from mw_pipeline.corpus.census import bounded_connection, rows_in
from mw_pipeline.corpus.keys import STREET_TAGS, text_keys

_TRAINED = "select unnest({lists}) as key from {keys} where split = 'train'"


def unseen_rows(
    rows: Sequence[MatrixRow], keys: Sequence[Path], *, threads: int | None = None
) -> npt.NDArray[np.bool_]:
    """(R,): rows of which neither the text nor a street stands in a training row of a corpus.

    `keys` are the files of keys of its shards. Case, accents and punctuation do not tell two texts apart. Rows that the
    corpus excludes count as training rows: that leaves out too many, never too few. Without `threads` they are looked
    up by as many as memory lets."""
    texts = _keys_of([row.raw for row in rows])
    seen = np.isin(texts, _met(keys, "[text]", texts, threads))
    no_street = _keys_of([""])
    for tag in STREET_TAGS:
        streets = _keys_of([row.components.get(tag, "") for row in rows])
        seen |= np.isin(streets, _met(keys, "streets", np.setdiff1d(streets, no_street), threads))
    return np.asarray(~seen)


def _met(
    keys: Sequence[Path], lists: str, wanted: npt.NDArray[np.uint64], threads: int | None
) -> npt.NDArray[np.uint64]:
    """Which of the wanted keys stand in a list of a training row."""
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        if threads is not None:
            connection.execute(f"set threads = {threads}")
        connection.register("wanted", pa.table({"key": np.unique(wanted)}))
        trained = _TRAINED.format(lists=lists, keys=rows_in(keys))
        found = connection.sql(f"select distinct key from ({trained}) semi join wanted using (key)").to_arrow_table()
    met: npt.NDArray[np.uint64] = found["key"].to_numpy()
    return met


def _keys_of(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    keys: npt.NDArray[np.uint64] = text_keys(pa.array(texts, pa.string())).to_numpy()
    return keys
