"""The losses between two rows of the log, as their mean over all pieces trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.train.step import TERMS, StepOutcome


@dataclass
class LossWindow:
    """Sums since the last logged row: losses in nats × pieces, and the pieces.

    One batch holds rows of one length, and lengths differ in how hard they are: single steps would show the batch and
    not the training, and the watchdog would take a hard batch for a rebound. A term that is not trained stays None.
    """

    pieces: int = 0
    rows: int = 0
    row_hash: int = 0
    loss: float = 0.0
    ce: float | None = None
    crf: float | None = None
    span: float | None = None

    def add(self, outcome: StepOutcome) -> None:
        """Takes in one step."""
        self.pieces += outcome.pieces
        self.rows += outcome.rows
        self.row_hash = (self.row_hash + outcome.row_hash) % 2**64
        self.loss += outcome.loss * outcome.pieces
        for name, value in outcome.losses().items():
            if name in TERMS:
                setattr(self, name, (getattr(self, name) or 0.0) + value * outcome.pieces)

    def means(self) -> dict[str, JSON]:
        """loss, ce and crf of a log row, and span where it is trained; NaN and infinity stay what they are."""
        names = ("loss", *(name for name in TERMS if name != "span" or self.span is not None))
        totals = {name: getattr(self, name) for name in names}
        return {name: None if total is None else total / max(1, self.pieces) for name, total in totals.items()}

    def state(self) -> dict[str, JSON]:
        """What a checkpoint between two rows has to keep; `LossWindow(**state)` is the same window."""
        return asdict(self)
