"""Early stopping that knows the noise of its validation rows: while training, and replayed from the log (M26).

An evaluation counts as better only when its loss is lower than the reference's by more than two standard errors of the
paired differences, row by row; it is then the new reference. The run ends when `evals` evaluations have passed since
the reference, and the last of them rules out that the loss fell by as much as `margin_share` of the reference's. So
a validation set that is too small to tell never ends a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.verdict.runlog import read_lines

ROW_LOSSES = "row_losses.jsonl"
_DECIMALS = 6  # nats of a row: far below the noise, and what was written is what the decision was made on


@dataclass(frozen=True)
class EvaluatedRows:
    """The losses of the validation rows at one step."""

    step: int
    losses: RowLosses

    @classmethod
    def rounded(cls, step: int, losses: RowLosses) -> EvaluatedRows:
        """As the log will hold them."""
        return cls(step, RowLosses(np.round(losses.nats, _DECIMALS), losses.pieces))

    def as_json(self) -> dict[str, JSON]:
        """A row of row_losses.jsonl."""
        return {"step": self.step, "nats": self.losses.nats.tolist(), "pieces": self.losses.pieces.tolist()}

    @classmethod
    def of_json(cls, row: JSON, where: str) -> EvaluatedRows:
        """The row as it was written. Raises ArtifactError, naming `where`, for anything else."""
        try:
            nats, pieces = np.asarray(row["nats"], dtype=np.float64), np.asarray(row["pieces"], dtype=np.int64)
            step = int(row["step"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{where}: is no row of step, nats and pieces ({error!r}). Restore the folder of the run."
            ) from None
        if nats.shape != pieces.shape or nats.ndim != 1 or not pieces.size or pieces.min() < 1:
            raise ArtifactError(
                f"{where}: has {nats.size} losses for {pieces.size} rows, expected one for each row of at least one "
                "piece. Restore the folder of the run."
            )
        return cls(step, RowLosses(nats, pieces))


class Patience:
    """Watches evaluations in step order; `reference` is the last that was better than the one before it."""

    def __init__(self, *, evals: int, margin_share: float) -> None:
        self.reference: EvaluatedRows | None = None
        self._evals = evals
        self._margin_share = margin_share
        self._waited = 0

    def observe(self, found: EvaluatedRows) -> str | None:
        """Why the run has converged, when it has."""
        if self.reference is None:
            self.reference = found
            return None
        gain = found.losses.gain_over(self.reference.losses)
        if gain.is_better:
            self.reference, self._waited = found, 0
            return None
        self._waited += 1
        margin = self._margin_share * self.reference.losses.mean
        if self._waited < self._evals or not gain.excludes(margin):
            return None
        return (
            f"{self._waited} evaluations since step {self.reference.step} without a lower loss: the last gained "
            f"{gain.nats:.2g} ± {gain.standard_error:.2g} nats per piece, and {margin:.2g} would have counted"
        )


def converged_at(rows: Iterable[EvaluatedRows], patience: Patience) -> tuple[int, str] | None:
    """The first step at which patience ends, and why; None when it lasts."""
    for found in rows:
        if (reason := patience.observe(found)) is not None:
            return found.step, reason
    return None


def read_row_losses(folder: Path) -> Sequence[EvaluatedRows]:
    """The losses of the validation rows of a run, in step order; none where the run did not write them."""
    path = folder / ROW_LOSSES
    if not path.is_file():
        return ()
    lines, _ = read_lines(path)
    return tuple(EvaluatedRows.of_json(value, f"{path}:{number}") for number, value in lines)
