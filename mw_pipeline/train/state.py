"""How far a run has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from mw_pipeline.digest import JSON
from mw_pipeline.model.checkpoint import CheckpointFacts
from mw_pipeline.train.step import StepOutcome, read_back
from mw_pipeline.train.window import LossWindow


@dataclass
class TrainState:
    """What a checkpoint keeps of a run beside weights and optimizer.

    step    steps taken whose measures were read
    tokens  pieces trained on
    window  the losses since the last logged row
    passes  whole passes over its source behind the most repeated row
    unread  steps taken since, to which the device may not have come yet: no checkpoint is made before they are read
    """

    step: int = 0
    tokens: int = 0
    window: LossWindow = field(default_factory=LossWindow)
    passes: int = 0
    unread: list[StepOutcome] = field(default_factory=list)

    @classmethod
    def of_checkpoint(cls, facts: CheckpointFacts) -> TrainState:
        """The state that was kept with `progress`."""
        kept = facts.progress
        return cls(facts.step, kept["tokens"], LossWindow(**kept["window"]), kept["passes"])

    def progress(self) -> dict[str, JSON]:
        """What `of_checkpoint` reads beside the step, which the checkpoint has anyway."""
        return {"tokens": self.tokens, "window": self.window.state(), "passes": self.passes}

    @property
    def logged_tokens(self) -> int:
        """Pieces that are in rows of the log."""
        return self.tokens - self.window.pieces

    @property
    def taken(self) -> int:
        """Steps taken."""
        return self.step + len(self.unread)

    def read(self) -> list[StepOutcome]:
        """The unread steps, once the device has come to the end of them; to be added one by one."""
        outcomes, self.unread = read_back(self.unread), []
        return outcomes

    def add(self, outcome: StepOutcome) -> bool:
        """Takes in the next step; true when it begins another pass."""
        begins_pass = outcome.passes > self.passes
        self.step += 1
        self.tokens += outcome.pieces
        self.window.add(outcome)
        self.passes = max(self.passes, outcome.passes)
        return begins_pass

    def close_window(self) -> LossWindow:
        """The losses since the last row, for a row; the next ones are counted from here."""
        closed, self.window = self.window, LossWindow()
        return closed
