"""The matrix of a package folder: its own bytes are asked, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mw_pipeline.capability.matrix import CapabilityMatrix, Progress, measure
from mw_pipeline.capability.rows import HELD_OUT_SHARE, Unseen, matrix_rows, nothing_collected
from mw_pipeline.digest import sha256_file
from mw_pipeline.metrics.scores import Components
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import ParserFiles

# Rows that are parsed between two words of progress.
_PART = 10_000


@nothing_collected()
def measure_package(
    path: Path,
    *,
    min_cell: float,
    seed: int = 0,
    held_out: float | None = None,
    unseen: Unseen | None = None,
    compared: str = "",
    threads: int = 2,
    progress: Progress,
) -> CapabilityMatrix:
    """The matrix of a package for its locale.

    `held_out` (the share of places that its corpus held out), `unseen` and `compared` are what is known of its
    training. Where nothing was held out, rows lie in the places that other corpora hold out. `threads` parse at a time.

    Raises ArtifactError for a folder that is no package, or one for a locale that there are no rows of."""
    files = ParserFiles.read(path)
    progress(f"capability of {files.locale}: making rows from places held out")
    asked = matrix_rows(files.locale, seed=seed, share=held_out or HELD_OUT_SHARE, unseen=unseen)
    parser = Parser.load(path, threads=threads)

    def parse(texts: Sequence[str]) -> list[Components]:
        found: list[Components] = []
        for first in range(0, len(texts), _PART):
            found += [parsed.components for parsed in parser.parse_many(texts[first : first + _PART])]
            progress(f"capability of {files.locale}: {len(found):,} of {len(texts):,} rows read")
        return found

    return measure(
        asked,
        parse,
        locale=files.locale,
        tags=files.labels.tags,
        min_cell=min_cell,
        seed=seed,
        measured_on=sha256_file(files.model_path),
        compared=compared,
        held_out=held_out,
    )
