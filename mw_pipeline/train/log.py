"""The files that tell what a run did: steps.jsonl, evals.jsonl and run.json, each row written whole and at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, json_value, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_lines import append_line, mend, replace_lines, sync, whole_lines
from mw_pipeline.verdict.early_stop import ROW_LOSSES
from mw_pipeline.verdict.evidence import DISCARDED
from mw_pipeline.verdict.run_json import RUN_JSON, run_facts
from mw_pipeline.verdict.runlog import Row, own_eval, own_step

STEPS = "steps.jsonl"
EVALS = "evals.jsonl"
FIRST_STEPS = "first_steps.jsonl"
RUN = RUN_JSON
BEST = "best"
LAST = "last"
_REMEDY = "Restore the folder of the run, or delete it to train anew."
LOGS = (STEPS, EVALS, FIRST_STEPS, ROW_LOSSES)
"""The files that have a row for a step: a resume takes back those past its own."""

_CHECKED: dict[str, Callable[[JSON, str], Row]] = {STEPS: own_step, EVALS: own_eval, FIRST_STEPS: own_step}


class TrainingLog:
    """The log of one run. A row reaches the kernel as it is written, so a killed run keeps all of them but the last; a
    power cut keeps those before the last `sync`."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def rows(self, name: str) -> list[dict[str, JSON]]:
        """The rows of a file of the log in order; a last line that a kill cut short is left out.

        Raises ArtifactError for a line that is no row."""
        path = self.out / name
        checked, rows = _CHECKED.get(name), ((_row(line, where), where) for line, where in _numbered(path))
        return [dict(checked(row, where)) if checked else row for row, where in rows]

    def append(self, name: str, row: Mapping[str, JSON]) -> None:
        """Adds one row. A number that is not finite is written as NaN or Infinity, for the verdict to find."""
        append_line(self.out / name, row)

    def sync(self) -> None:
        """Brings all rows to the disk: a checkpoint must never be ahead of the log that it stands on (M80)."""
        sync(*(self.out / name for name in LOGS))

    def truncate_after(self, step: int) -> list[str]:
        """Takes back every row past a step, which the resumed run will write again; those of STEPS are kept aside.

        Returns a sentence for each line that a kill had cut short."""
        notes = [note for name in (*LOGS, DISCARDED) if (note := mend(self.out / name))]
        for row in self.rows(STEPS):
            if row["step"] > step:
                self.append(DISCARDED, row)
        sync(self.out / DISCARDED)  # before they are gone from STEPS
        for name in LOGS:
            replace_lines(self.out / name, [row for row in self.rows(name) if row["step"] <= step])
        return notes

    def read_run(self) -> dict[str, JSON] | None:
        """The content of run.json, or None before the first run here.

        Raises ArtifactError when it is no JSON, or has a fact that no run could have."""
        path = self.out / RUN
        if not path.is_file():
            return None
        facts = _parsed(path.read_bytes(), str(path))
        run_facts(facts, where=path, remedy=_REMEDY)
        return facts

    def write_run(self, facts: Mapping[str, JSON]) -> None:
        """Replaces run.json."""
        write_json_atomically(self.out / RUN, dict(facts))


def _numbered(path: Path) -> Iterator[tuple[bytes, str]]:
    return ((line, f"{path}:{number}") for number, line in enumerate(whole_lines(path)[0], start=1))


def _row(line: bytes, where: str) -> dict[str, JSON]:
    row = _parsed(line, where)
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise ArtifactError(f"{where}: {line[:80]!r} is no row, it has no step. {_REMEDY}")
    return row


def _parsed(text: bytes, where: str) -> dict[str, JSON]:
    try:
        value: dict[str, JSON] = json_value(text)
    except ValueError as error:
        raise ArtifactError(f"{where}: not JSON ({error}). {_REMEDY}") from None
    return value


@contextlib.contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Holds the folder of a run. Raises ArtifactError naming the owner when another process trains there (M64)."""
    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = (TrainingLog(out).read_run() or {}).get("owner", "another process")
        raise ArtifactError(f"{out}: {owner} is training here. Wait for it to end, or choose another folder.") from None
    else:
        yield
    finally:
        os.close(folder)


def owner_of_this_process() -> str:
    """How a second run is told who holds the folder."""
    return f"process {os.getpid()} on {platform.node()}"


def adopt_run(resume_from: Path, out: Path) -> None:
    """Copies the run in `resume_from` to an `out` that holds none, so that it can go on there (M38).

    Raises ArtifactError when there is no run to resume, when it is still training, or when another is in the way."""
    for name in (LAST, RUN):
        if not (resume_from / name).exists():
            raise ArtifactError(f"{resume_from}: has no {name}, so there is no run to resume. Name the folder of one.")
    if resume_from.resolve() == out.resolve():
        return
    if (out / RUN).exists():
        raise ArtifactError(
            f"{out}: already holds a run, so {resume_from} cannot be resumed there. Name an empty folder."
        )
    with sole_writer(resume_from):
        for name in (BEST, LAST):
            _copy_folder(resume_from / name, out / name)
        for name in (*LOGS, DISCARDED):
            if (resume_from / name).is_file():
                shutil.copyfile(resume_from / name, out / name)
        sync(*(out / name for name in (*LOGS, DISCARDED)))
        TrainingLog(out).write_run(TrainingLog(resume_from).read_run() or {})  # last: without it the rest is no run


def demand_whole_copy(out: Path) -> None:
    """Raises ArtifactError for a checkpoint without run.json: `adopt_run` was killed before its end."""
    if (out / LAST).exists() and not (out / RUN).exists():
        raise ArtifactError(
            f"{out}: has {LAST}/ and no {RUN}: a copy that was cut short, or a folder that lost it. Name the run to "
            "resume again, or delete the folder to train anew."
        )


def _copy_folder(source: Path, target: Path) -> None:
    """Replaces a folder by a copy, in place of whatever an earlier copy left when it was killed."""
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, target)
