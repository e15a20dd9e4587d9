"""The capability matrices of a recipe as they lie in the store: for checks, cards and the graph, without tensors."""

from __future__ import annotations

from mw_pipeline.artifact import Artifact
from mw_pipeline.capability.cells import CellKey
from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.capability.rows import HELD_OUT_SHARE, cells_always_asked
from mw_pipeline.digest import JSON, toolchain
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import Recipe
from mw_pipeline.seal import key_name
from mw_pipeline.stages.evidence import Matrix, read_evidence
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.sealed import keep, kept
from mw_pipeline.stages.stage import Request


def matrix_file(locale: str) -> str:
    """The file of a locale's matrix in the artifact."""
    return f"{locale}.json"


def page_file(locale: str) -> str:
    """The file of a locale's page in the artifact."""
    return f"{locale}.html"


def matrix_of(matrices: Artifact, recipe: Recipe, locale: str) -> CapabilityMatrix:
    """What a recipe's bytes can read of a locale, judged by the recipe's own `eval.min_cell`."""
    value = read_evidence(matrices, matrix_file(locale), Matrix)
    return CapabilityMatrix.from_json(value, min_cell=recipe.eval.min_cell)


def cells_of(place: Place, recipe: Recipe, locale: str) -> tuple[CellKey, ...]:
    """The cells that the matrix of a locale has whatever training had met: made once, and kept under seal."""
    tags, share = recipe.label_set.tags, held_out_share(place, recipe)
    config = {"locale": locale, "tags": list(tags), "share": share, "key": key_name(), "toolchain": toolchain()}
    asked = Request("asked_cells", recipe.name, (), config, (cells_always_asked.__module__,), asset="capability_matrix")
    known = kept(asked, place.store)
    if known is None:
        known = {"cells": [[key.family, *key.values] for key in cells_always_asked(locale, tags, share=share)]}
        keep(asked, place.store, known, cells=len(known["cells"]))
    return tuple(CellKey(family, tuple(values)) for family, *values in known["cells"])


def held_out_share(place: Place, recipe: Recipe) -> float:
    """The share of places in which the rows of a recipe's matrices lie: what its corpus holds out, if it does."""
    return place.corpus_spec(recipe.corpus).holdout_places_share or HELD_OUT_SHARE


def summary_of(matrix: CapabilityMatrix, model_sha256: str) -> dict[str, JSON]:
    """What a card quotes of a matrix. Raises ArtifactError when it was measured on another network (M51)."""
    if matrix.measured_on != model_sha256:
        raise ArtifactError(
            f"the capability matrix of {matrix.locale} was measured on network {matrix.measured_on[:12]}, and "
            f"{model_sha256[:12]} is to be packaged. Materialize capability_matrix again."
        )
    return matrix.summary()
