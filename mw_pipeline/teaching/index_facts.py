"""`index.json` of an index of teaching rows, with the shape that its readers rely on; no tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import REMEDY, Amount, Count, Shape, demand_shape

INDEX_FILE = "index.json"


class _Source(Shape):
    rows: Count
    indexed: Annotated[int, Field(ge=1)]
    draws: Amount


class _Recipe(Shape):
    name: str
    digest: str


class IndexFacts(Shape):
    """Sources with rows, rows in the index and draws; the step of each checkpoint; rows, pieces and weight that the
    loss was a mean over."""

    recipe: _Recipe
    rows: Count
    pieces: Count
    window: Annotated[list[Amount], Field(min_length=3, max_length=3)]
    checkpoints: dict[str, Count]
    sources: dict[str, _Source]


def read_index_json(path: Path) -> dict[str, JSON]:
    """The index.json in a folder. Raises ArtifactError for what is no JSON, or not of its shape."""
    where = path / INDEX_FILE
    try:
        facts: dict[str, JSON] = json_value(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{where}: cannot be read as JSON ({error}). {REMEDY}") from None
    demand_shape(facts, IndexFacts, where=where)
    return facts
