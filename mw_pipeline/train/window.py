"""The losses between two rows of the log, as their mean over all pieces trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.train.step import StepOutcome


@dataclass
class LossWindow:
    """Sums since the last logged row: losses in nats × pieces, and the pieces.

    One batch holds rows of one length, and lengths differ in how hard they are: single steps would show the batch and
    not the training, and the watchdog would take a hard batch for a rebound. A term that is not trained stays None.
    """

    pieces: int = 0
    loss: float = 0.0
    ce: float | None = None
    crf: float | None = None

    def add(self, outcome: StepOutcome) -> None:
        """Takes in one step."""
        self.pieces += outcome.pieces
        self.loss += outcome.loss * outcome.pieces
        if outcome.ce is not None:
            self.ce = (self.ce or 0.0) + outcome.ce * outcome.pieces
        if outcome.crf is not None:
            self.crf = (self.crf or 0.0) + outcome.crf * outcome.pieces

    def means(self) -> dict[str, JSON]:
        """loss, ce and crf of a log row; NaN and infinity stay what they are."""
        return {
            name: None if total is None else total / max(1, self.pieces)
            for name, total in (("loss", self.loss), ("ce", self.ce), ("crf", self.crf))
        }

    def state(self) -> dict[str, JSON]:
        """What a checkpoint between two rows has to keep; `LossWindow(**state)` is the same window."""
        return asdict(self)
