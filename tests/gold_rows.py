"""Gold rows from plain values, for tests that need no file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mw_pipeline.digest import JSON
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.rows import row_of


def golden_of(values: Iterable[Mapping[str, JSON]], *, name: str) -> GoldenSet:
    """The rows as gold, numbered from 1 as lines of a file of this name are; those without a stratum are in `name`."""
    rows = (row_of(value, where=f"{name}:{number}", stratum=name) for number, value in enumerate(values, start=1))
    return GoldenSet(tuple(rows))
