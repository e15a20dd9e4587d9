"""The matrix of a parser as a value: every cell with its score, what was not asked, and what it was measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.capability.cells import Cell, score_cells
from mw_pipeline.capability.rows import MatrixRows
from mw_pipeline.digest import JSON
from mw_pipeline.metrics.scores import Components

POLICY = "normalised"
WORST = 10

Parse = Callable[[Sequence[str]], Sequence[Components]]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class CapabilityMatrix:
    """What a parser of one locale can read, cell by cell.

    measured_on  sha256 of the network that answered
    compared     which training rows were left out: the digest of the corpus, or "" where it is not known
    not_asked    cells that no fair row can be made for, and why; and those that the labels have no tag for
    share        the share of all places of which those of its rows are
    held_out     the share of places that the corpus held out, None where it is not known
    """

    locale: str
    seed: int
    min_cell: float
    rows: int
    left_out: int
    measured_on: str
    compared: str
    cells: tuple[Cell, ...]
    not_asked: Mapping[str, str]
    share: float
    held_out: float | None
    policy: str = POLICY

    @property
    def blind(self) -> tuple[Cell, ...]:
        """The cells that are certainly below `min_cell`, worst first."""
        return tuple(cell for cell in self.worst(len(self.cells)) if cell.verdict == "blind")

    def worst(self, count: int = WORST) -> tuple[Cell, ...]:
        """The cells with rows enough whose interval ends lowest."""
        judged = [cell for cell in self.cells if cell.verdict != "too few"]
        return tuple(sorted(judged, key=lambda cell: (cell.high or 0.0, cell.score or 0.0, cell.key))[:count])

    def places(self) -> str:
        """Where its rows lie and whether these places may stand in training, for a person."""
        if self.held_out is None:
            return (
                f"Rows lie in places that a corpus holds out whose holdout_places_share is {self.share:g} or more. "
                "What this one held out is not known: if it was less, these places may stand in training."
            )
        if self.held_out < self.share:
            held = f"held out {self.held_out:g} of all places" if self.held_out else "held out no place"
            return (
                f"The corpus {held}: rows lie in places that a holdout_places_share of {self.share:g} would have held "
                "out, and they may stand in training."
            )
        return f"Rows lie in places that the corpus held out, a share of {self.share:g} of all."

    def summary(self) -> dict[str, JSON]:
        """What the card says: how many cells there are, how many are blind, and the worst with their intervals."""
        few = sum(cell.verdict == "too few" for cell in self.cells)
        worst = [{"cell": cell.key.name, **_numbers(cell)} for cell in self.worst()]
        return {
            "cells": len(self.cells),
            "blind": len(self.blind),
            "too_few": few,
            "rows": self.rows,
            "min_cell": self.min_cell,
            "seed": self.seed,
            "policy": self.policy,
            "training_known": bool(self.compared),
            "places_share": self.share,
            "places_held_out": self.held_out,
            "places": self.places(),
            "worst": worst,
        }

    def as_json(self) -> dict[str, JSON]:
        """The summary, then all of it."""
        return {
            "locale": self.locale,
            **self.summary(),
            "left_out": self.left_out,
            "measured_on": self.measured_on,
            "compared": self.compared,
            "not_asked": dict(self.not_asked),
            "matrix": [cell.as_json() for cell in self.cells],
        }

    @classmethod
    def from_json(cls, value: JSON, *, min_cell: float) -> CapabilityMatrix:
        """The matrix whose counts `as_json` wrote, judged by `min_cell`. Raises ArtifactError as `Cell.from_json`."""
        kept = ("locale", "seed", "rows", "left_out", "measured_on", "compared", "not_asked", "policy")
        places = {"share": value["places_share"], "held_out": value["places_held_out"]}
        cells = tuple(Cell.from_json(cell, min_cell=min_cell) for cell in value["matrix"])
        return cls(**{name: value[name] for name in kept}, **places, min_cell=min_cell, cells=cells)


def measure(
    asked: MatrixRows,
    parse: Parse,
    *,
    locale: str,
    tags: Sequence[str],
    min_cell: float,
    seed: int = 0,
    measured_on: str = "",
    compared: str = "",
    held_out: float | None = None,
) -> CapabilityMatrix:
    """The matrix of whoever answers `parse`: the components of each text, in order.

    tags      those of the parser's labels; a row that has none of them asks nothing, and is not counted
    held_out  the share of places that the parser's corpus held out, None where it is not known
    """
    rows = [row for row in asked.rows if set(row.components) & set(tags)]
    read = parse([row.raw for row in rows])
    measured = {key for row in rows for key in row.keys}
    lacking = {row.keys[0].name: "the labels have no tag for it" for row in asked.rows if row.keys[0] not in measured}
    cells = score_cells(
        rows,
        read,
        tags=tags,
        min_cell=min_cell,
        policy=POLICY,
        keys=[key for key in asked.keys if key.name not in lacking],
    )
    return CapabilityMatrix(
        locale=locale,
        seed=seed,
        min_cell=min_cell,
        rows=len(rows),
        left_out=asked.left_out,
        measured_on=measured_on,
        compared=compared,
        cells=cells,
        not_asked={**asked.not_asked, **lacking},
        share=asked.share,
        held_out=held_out,
    )


def _numbers(cell: Cell) -> dict[str, JSON]:
    return {"rows": cell.rows, "right": cell.right, "score": cell.score, "interval": [cell.low, cell.high]}
