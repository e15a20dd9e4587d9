"""Pieces of one size, cut from what was read portion by portion.

A portion leaves its batches as the adapter yielded them, in a file for each run of batches that have the same columns.
Where batches and portions end has no say in where pieces end, but where columns change one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mw_pipeline.corpus.shards import arrow_writer
from mw_pipeline.digest import JSON


class Cut(NamedTuple):
    """Records of one batch of a run of a portion: `first` of these and those behind it."""

    portion: int
    run: int
    batch: int
    first: int
    records: int


def write_runs(path_of: Callable[[int], Path], batches: Iterable[pa.RecordBatch]) -> list[JSON]:
    """Writes the batches, run by run; returns `columns` and the records of each of the `batches` of every run."""
    runs: list[JSON] = []
    filled = (batch for batch in batches if batch.num_rows)
    for schema, run in groupby(filled, key=lambda batch: batch.schema):
        sizes = []
        with arrow_writer(path_of(len(runs)), schema) as writer:
            for batch in run:
                writer.write_batch(batch)
                sizes.append(batch.num_rows)
        runs.append({"columns": [str(field) for field in schema], "batches": sizes})
    return runs


def cut_pieces(portions: Iterable[Sequence[JSON]], size: int) -> Iterator[tuple[Cut, ...]]:
    """Where the records of each piece lie, from the runs of all portions in order: pieces of `size` records, but for
    the last and those behind which columns change."""
    for _, batches in groupby(_batches(portions), key=itemgetter(0)):
        cuts, missing = list[Cut](), size
        for _, batch in batches:
            first = 0
            while first < batch.records:
                taken = min(missing, batch.records - first)
                cuts.append(batch._replace(first=first, records=taken))
                first, missing = first + taken, missing - taken
                if not missing:
                    yield tuple(cuts)
                    cuts, missing = [], size
        if cuts:
            yield tuple(cuts)


def _batches(portions: Iterable[Sequence[JSON]]) -> Iterator[tuple[list[str], Cut]]:
    """The columns of each batch, and the whole of it."""
    for portion, runs in enumerate(portions):
        for number, run in enumerate(runs):
            for batch, records in enumerate(run["batches"]):
                yield run["columns"], Cut(portion, number, batch, 0, records)


def read_cuts(path_of: Callable[[int, int], Path], cuts: Sequence[Cut]) -> pa.RecordBatch:
    """The records of one piece; `path_of` tells the file of a portion's run."""
    found = []
    for (portion, run), of_run in groupby(cuts, key=lambda cut: (cut.portion, cut.run)):
        with pa.OSFile(str(path_of(portion, run)), "rb") as source, pa.ipc.open_file(source) as reader:
            found += [reader.get_batch(cut.batch).slice(cut.first, cut.records) for cut in of_run]
    return pa.concat_batches(found)
