"""Which rows of the matrix training has met: looked up in the corpus, shard by shard, by text and by street."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.capability.cells import MatrixRow
from mw_pipeline.records.text import Hashes, hash64, normalised_text

_STREETS = ("street", "intersection_a", "intersection_b")
_BATCH_ROWS = 65_536
_TRAIN = "train"


def unseen_rows(rows: Sequence[MatrixRow], files: Sequence[Path]) -> npt.NDArray[np.bool_]:
    """(R,): rows of which neither the text nor a street stands in a training row of these Parquet files.

    Case, accents and punctuation do not tell two texts apart. Rows that the corpus excludes count as training rows:
    that leaves out too many, never too few. Memory is bounded by the rows of the matrix and one batch."""
    texts = _hashes(pa.array([row.raw for row in rows], pa.string()))
    streets = {tag: _hashes(pa.array([row.components.get(tag, "") for row in rows], pa.string())) for tag in _STREETS}
    no_street = _hashes(pa.array([""], pa.string()))
    wanted_texts = np.unique(texts)
    wanted_streets = np.setdiff1d(np.concatenate(list(streets.values())), no_street)
    met_texts = np.zeros(len(wanted_texts), np.bool_)
    met_streets = np.zeros(len(wanted_streets), np.bool_)
    for raws, values in _training_texts(files):
        met_texts |= np.isin(wanted_texts, _hashes(raws))
        met_streets |= np.isin(wanted_streets, _hashes(values))
    seen = np.isin(texts, wanted_texts[met_texts])
    for found in streets.values():
        seen |= np.isin(found, wanted_streets[met_streets])
    return np.asarray(~seen)


def _training_texts(files: Sequence[Path]) -> Iterator[tuple[pa.StringArray, pa.StringArray]]:
    """The texts of the training rows of each batch, and all values of their streets."""
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=["raw", "components", "split"]):
            kept = batch.filter(pc.equal(batch["split"], _TRAIN))
            components = kept["components"]
            entries = pa.StructArray.from_arrays([components.keys, components.items], ["tag", "value"])
            chosen = pc.is_in(entries.field("tag"), value_set=pa.array(_STREETS))
            yield kept["raw"], entries.field("value").filter(chosen)


def _hashes(texts: pa.StringArray) -> Hashes:
    return hash64(normalised_text(texts))
