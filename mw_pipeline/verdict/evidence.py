"""What a finished run left behind, for the checks that need more than its two logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.json_lines import whole_lines
from mw_pipeline.verdict.early_stop import ROW_LOSSES, EvaluatedRows, read_row_losses
from mw_pipeline.verdict.runlog import STEP_NUMBERS, Row, RunLog, checked_row, read_lines, read_run

DISCARDED = "discarded.jsonl"


@dataclass(frozen=True)
class Evidence:
    """What a run left: its logs, the losses of its validation rows, the steps that resumes took back, and its smoke's
    log where there is one. `notes` says what reading the two in the middle had to leave out."""

    log: RunLog
    row_losses: Sequence[EvaluatedRows] = ()
    discarded: Sequence[Row] = ()
    smoke: RunLog | None = None
    notes: Sequence[str] = ()

    @classmethod
    def read(cls, folder: Path, *, smoke: Path | None = None) -> Evidence:
        """From the folders of a run and of its smoke. Raises ArtifactError for a file or line that cannot be read."""
        path = folder / DISCARDED
        lines = read_lines(path)[0] if path.is_file() else []
        discarded = [checked_row(value, STEP_NUMBERS, f"{path}:{number}") for number, value in lines]
        notes = [torn for name in (ROW_LOSSES, DISCARDED) if (torn := whole_lines(folder / name)[1])]
        return cls(read_run(folder), read_row_losses(folder), discarded, read_run(smoke) if smoke else None, notes)
