"""The matrix of one locale as a piece of work: what a worker does for it, and the two files that it leaves.

Torch is nothing that this needs: a worker that is started for a piece is there in a second.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.capability.matrix import Progress
from mw_pipeline.capability.packages import measure_package
from mw_pipeline.capability.rows import nothing_collected
from mw_pipeline.capability.training_rows import unseen_rows
from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.digest import sha256_file, write_json_atomically
from mw_pipeline.report.capability.page import render_capability


@dataclass(frozen=True)
class Measuring:
    """What the matrices of all locales of a recipe have in common.

    keys      files of keys of the corpus: what training has met
    compared  digest of that corpus
    held_out  share of places that it held out
    threads   that one locale may use
    """

    request: str
    keys: Sequence[Path]
    compared: str
    held_out: float
    min_cell: float
    threads: int


@nothing_collected()
def measure_piece(
    piece: int, package: Path, matrix_path: Path, page_path: Path, measuring: Measuring, progress: Progress
) -> Receipt:
    """Writes the matrix of a package folder as JSON, and its page. Equal input, equal bytes, whoever does it.

    Raises as `measure_package`."""
    matrix = measure_package(
        package,
        min_cell=measuring.min_cell,
        held_out=measuring.held_out,
        unseen=functools.partial(unseen_rows, keys=measuring.keys, threads=measuring.threads),
        compared=measuring.compared,
        threads=measuring.threads,
        progress=progress,
    )
    write_json_atomically(matrix_path, matrix.as_json())
    render_capability(page_path, matrix.as_json())
    facts = {"cells": len(matrix.cells), "blind": len(matrix.blind), "rows": matrix.rows}
    files = {path.name: sha256_file(path) for path in (matrix_path, page_path)}
    return Receipt(piece, measuring.request, files, facts)
