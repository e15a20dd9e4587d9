"""The check of what packages can read: no cell of their capability matrices is blind, and the matrices are whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from mw_pipeline.capability.cells import ROWS_PER_CELL, Cell, CellKey
from mw_pipeline.capability.matrix import POLICY, CapabilityMatrix
from mw_pipeline.digest import sha256_file
from mw_pipeline.parser_files import ONNX_NAME
from mw_pipeline.recipe import ClosedKind
from mw_pipeline.stages import line
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.matrices import cells_of, matrix_of
from mw_pipeline.stages.place import Place

CLOSED_FAMILIES = frozenset(get_args(ClosedKind))
Blind = tuple[str, Cell]
"""A blind cell and the locale whose package has it."""
MOST_NAMED = 20
"""Findings that are named, and cells in one of them."""
_AGAIN = "materialize capability_matrix and packaged_weights again"


def no_cell_is_blind(place: Place, partition: str) -> Findings:
    """No cell of any locale's capability matrix, asked of the packaged bytes, is certainly below its floor (M65).

    Of a matrix only the counts of its cells are believed: cells, floor and verdicts are those of code and recipe."""
    recipe = place.recipe(partition)
    measured = line.capability_matrix.demand(place, recipe)
    matrices = {locale: matrix_of(measured, recipe, locale) for locale in recipe.package.locales}
    packaged = line.packaged_weights.demand(place, recipe)
    manifest = line.corpus_manifest.demand(place, recipe.corpus)
    problems = list[str]()
    for locale, matrix in matrices.items():
        network = sha256_file(packaged.file(f"{locale}/{ONNX_NAME}"))
        problems += of_other_rows(matrix, locale=locale, network=network, corpus=manifest.digest)
        problems += lacking_cells(matrix, cells_of(place, recipe, locale))
    known, unknown = told_apart(
        [(locale, cell) for locale, matrix in matrices.items() for cell in matrix.blind], recipe.eval.known_blind
    )
    problems += [f"{locale}: {cell.sentence()}" for locale, cell in unknown]
    problems += [sentence for matrix in matrices.values() for sentence in too_few(matrix)]
    more = [f"and {len(problems) - MOST_NAMED} more"] if len(problems) > MOST_NAMED else []
    cells = sum(len(matrix.cells) for matrix in matrices.values())
    worst = bullets([f"{matrix.locale}: {cell.sentence()}" for matrix in matrices.values() for cell in matrix.worst()])
    summary = f"no cell of {cells:,} is certainly below eval.min_cell = {recipe.eval.min_cell:g}"
    summary += f", but {len(known)} in families that eval.known_blind names" if known else ""
    return found(
        [*problems[:MOST_NAMED], *more],
        summary,
        cells=cells,
        blind=len(known) + len(unknown),
        known_blind=len(known),
        worst=worst,
    )


def of_other_rows(matrix: CapabilityMatrix, *, locale: str, network: str, corpus: str) -> list[str]:
    """Findings: what a matrix was measured on and with, where that is not what the recipe's packages are made of.

    network  sha256 of the packaged bytes
    corpus   digest of the manifest whose training rows must have been left out
    """
    expected = {
        "locale": (matrix.locale, locale),
        "seed": (matrix.seed, 0),
        "policy": (matrix.policy, POLICY),
        "compared": (matrix.compared, corpus),
    }
    problems = [
        f"{locale}: the matrix has {name} = {stands!r}, expected {wanted!r}: {_AGAIN}"
        for name, (stands, wanted) in expected.items()
        if stands != wanted
    ]
    if matrix.measured_on != network:
        problems.append(f"{locale}: the matrix was measured on other bytes than the packaged {ONNX_NAME}: {_AGAIN}")
    return problems


def lacking_cells(matrix: CapabilityMatrix, asked: Sequence[CellKey]) -> list[str]:
    """Findings: one sentence when a matrix lacks cells that are always asked. What nobody has asked is not read."""
    there = {cell.key for cell in matrix.cells}
    missing = [key for key in asked if key not in there]
    if not missing:
        return []
    more = f", and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    named = "; ".join(key.name for key in missing[:MOST_NAMED])
    return [f"{matrix.locale}: the matrix lacks {len(missing):,} of {len(asked):,} cells, {named}{more}: {_AGAIN}"]


def too_few(matrix: CapabilityMatrix) -> list[str]:
    """Findings: the cells of closed words with fewer rows than a verdict needs."""
    return [
        f"{matrix.locale}: {cell.sentence()}: a closed word is judged by {ROWS_PER_CELL} rows at least"
        for cell in matrix.cells
        if cell.verdict == "too few" and cell.key.family in CLOSED_FAMILIES
    ]


def told_apart(blind: Sequence[Blind], families: Sequence[str]) -> tuple[list[Blind], list[Blind]]:
    """Blind cells of the families in which a recipe is known to have some, and all others, which refuse its release."""
    known = [found for found in blind if found[1].key.family in families]
    return known, [found for found in blind if found not in known]
