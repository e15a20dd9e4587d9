"""`mw-pipeline capability`: what a package can read, cell by cell, on places that training never saw."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.capability.packages import measure_package
from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import local_path, named_path, seed_number, share
from mw_pipeline.parser_files import package_at
from mw_pipeline.recipe import EvalConfig

_TRAINING_UNKNOWN = "the training rows are not known here: no row is left out for standing in training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--package DIR [--locale L] [--page FILE] [--seed N] [--min-cell X]."""
    parser.add_argument(
        "--package", type=named_path, required=True, metavar="DIR", help="a package, or a release folder"
    )
    parser.add_argument("--locale", help="which package of a release folder, such as fr-fr")
    parser.add_argument("--page", type=local_path, metavar="FILE", help="also write the page for people here, as HTML")
    parser.add_argument("--seed", type=seed_number, default=0, help="other rows of the same cells")
    parser.add_argument(
        "--min-cell", type=share, default=EvalConfig().min_cell, metavar="X", help="a cell certainly below it is blind"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the matrix as JSON, and its worst cells for people; returns 1 when a cell is blind."""
    path = package_at(args.package, args.locale)
    matrix = measure_package(path, min_cell=args.min_cell, seed=args.seed, progress=say)
    print(json.dumps(matrix.as_json(), ensure_ascii=False))
    if args.page is not None:
        _write_page(args.page, matrix)
    for line in _summary_lines(matrix):
        say(line)
    return EXIT_REFUSED if matrix.blind else EXIT_OK


def _summary_lines(matrix: CapabilityMatrix) -> list[str]:
    blind = [f"blind: {cell.sentence()}" for cell in matrix.blind]
    worst = [f"worst: {cell.sentence()}" for cell in matrix.worst()] if not blind else []
    return [
        f"{len(matrix.cells):,} cells of {matrix.locale}, {len(matrix.blind):,} blind below {matrix.min_cell:g}; "
        f"{matrix.rows:,} rows",
        matrix.places(),
        *([] if matrix.compared else [_TRAINING_UNKNOWN]),
        *blind,
        *worst,
    ]


def _write_page(path: Path, matrix: CapabilityMatrix) -> None:
    from mw_pipeline.report.capability.page import render_capability  # matplotlib takes a second to load

    path.parent.mkdir(parents=True, exist_ok=True)
    render_capability(path, matrix.as_json())
    say(f"page: {path}")
