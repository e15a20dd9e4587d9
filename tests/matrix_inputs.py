"""A small capability matrix for tests: a few cells of forty rows each, and whoever answers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mw_pipeline.capability.cells import ROWS_PER_CELL, CellKey, MatrixRow
from mw_pipeline.capability.matrix import CapabilityMatrix, measure
from mw_pipeline.capability.rows import MatrixRows
from mw_pipeline.labels import STAGE2_TAGS
from mw_pipeline.metrics.scores import Components

VERMONT, OHIO = CellKey("region name", ("Vermont",)), CellKey("region name", ("Ohio",))
SUBSET = CellKey("subset", ("street + region",))
NATIVE, TURNED = (CellKey("subset × order", ("street + region", order)) for order in ("as in DE", "region first <b>"))
FEW = CellKey("script", ("Tamil",))


def small_rows() -> MatrixRows:
    """Forty rows of each cell, and three of a script."""
    rows = [
        MatrixRow(f"Elm {number} St, {region}", {"street": f"Elm {number} St", "region": region}, (key,))
        for key, region in ((VERMONT, "Vermont"), (OHIO, "Ohio"), (SUBSET, "VT"), (NATIVE, "OH"), (TURNED, "ME"))
        for number in range(100, 100 + ROWS_PER_CELL)
    ]
    few = [MatrixRow(f"Elm {number}", {"street": f"Elm {number}"}, (FEW,)) for number in range(3)]
    keys = (VERMONT, OHIO, SUBSET, NATIVE, TURNED, FEW)
    return MatrixRows((*rows, *few), keys, {"country abroad: Georgia": "is a region too"}, left_out=7, share=0.02)


def small_matrix(
    forgets: Callable[[str], bool] = lambda region: region == "Vermont", *, held_out: float | None = None
) -> CapabilityMatrix:
    """The matrix of a parser that reads everything but some regions."""
    asked = small_rows()
    answers = {row.raw: row.components for row in asked.rows}

    def parse(texts: Sequence[str]) -> list[Components]:
        return [{tag: text for tag, text in answers[raw].items() if not forgets(text)} for raw in texts]

    known: dict[str, Any] = {"measured_on": "a" * 64, "held_out": held_out}
    return measure(asked, parse, locale="en-us", tags=STAGE2_TAGS, min_cell=0.8, **known)
