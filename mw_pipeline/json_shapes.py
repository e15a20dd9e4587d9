"""JSON that stages leave to each other, read with the shape and the bounds that its readers rely on.

A digest says that a file is whole, not that a stage of this version wrote it: what lacks a key, holds a text for a
number or a share above 1 is told by file and key, and never ends in a traceback. What a file holds beside its shape is
its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mw_pipeline.errors import ArtifactError

REMEDY = "Delete the artifact's folder and materialize it again."

Count = Annotated[int, Field(ge=0, le=10**18)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Counts = dict[str, Count]


class Shape(BaseModel):
    """The keys that readers of a file rely on."""

    model_config = ConfigDict(strict=True, frozen=True)


_Shaped = TypeVar("_Shaped", bound=Shape)


def shape_problem(value: Any, shape: type[Shape]) -> str | None:
    """The first key of a value that is missing, of another kind or out of bounds, with what is wrong; or None."""
    try:
        shape.model_validate(value)
    except ValidationError as error:
        return _first_problem(error)
    return None


def demand_shape(value: Any, shape: type[_Shaped], *, where: Path | str, remedy: str = REMEDY) -> _Shaped:
    """The keys of a value that has this shape. Raises ArtifactError, naming where it lies and its key, otherwise."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise ArtifactError(f"{where}: {_first_problem(error)}. {remedy}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith("_")) or "the whole of it"
    if first["type"] == "value_error" and not first["loc"]:
        return str(first["ctx"]["error"])  # of several keys, which it names
    return f"{key} {'is missing' if first['type'] == 'missing' else _found(first)}"


def _found(error: Any) -> str:
    expected = "expected an object" if error["type"] == "model_type" else error["msg"].lower()
    return f"is {error['input']!r:.60}: {expected}"
