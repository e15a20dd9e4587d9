"""The files that tell what a run did: steps.jsonl, evals.jsonl and run.json, each row written whole and at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, json_value, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.early_stop import ROW_LOSSES
from mw_pipeline.verdict.run_checks import DISCARDED

STEPS = "steps.jsonl"
EVALS = "evals.jsonl"
FIRST_STEPS = "first_steps.jsonl"
RUN = "run.json"
BEST = "best"
LAST = "last"


class TrainingLog:
    """The log of one run. Rows reach the kernel as they are written, so a killed run keeps all of them but the last."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def rows(self, name: str) -> list[dict[str, JSON]]:
        """The rows of STEPS or EVALS in order; a last line that a kill cut short is left out.

        Raises ArtifactError for a line that is no JSON."""
        path = self.out / name
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
        return [_parsed(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]

    def append(self, name: str, row: Mapping[str, JSON]) -> None:
        """Adds one row. A number that is not finite is written as NaN or Infinity, for the verdict to find."""
        with (self.out / name).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def truncate_after(self, step: int) -> None:
        """Takes back every row past a step: the resumed run will write them again. Those of STEPS are kept aside."""
        for row in self.rows(STEPS):
            if row["step"] > step:
                self.append(DISCARDED, row)
        for name in (STEPS, EVALS, FIRST_STEPS, ROW_LOSSES):
            kept = [row for row in self.rows(name) if row["step"] <= step]
            temporary = self.out / f".{name}.new"
            temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
            temporary.replace(self.out / name)

    def read_run(self) -> dict[str, JSON] | None:
        """The content of run.json, or None before the first run here. Raises ArtifactError when it is no JSON."""
        path = self.out / RUN
        return _parsed(path.read_bytes(), str(path)) if path.is_file() else None

    def write_run(self, facts: Mapping[str, JSON]) -> None:
        """Replaces run.json."""
        write_json_atomically(self.out / RUN, dict(facts))


def _parsed(text: bytes, where: str) -> dict[str, JSON]:
    try:
        value: dict[str, JSON] = json_value(text)
    except ValueError as error:
        raise ArtifactError(
            f"{where}: not JSON ({error}). Restore the folder of the run, or delete it to train anew."
        ) from None
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

    Raises ArtifactError when there is no run to resume, or another one in the way."""
    for name in (LAST, RUN):
        if not (resume_from / name).exists():
            raise ArtifactError(f"{resume_from}: has no {name}, so there is no run to resume. Name the folder of one.")
    if resume_from.resolve() == out.resolve():
        return
    if (out / RUN).exists():
        raise ArtifactError(
            f"{out}: already holds a run, so {resume_from} cannot be resumed there. Name an empty folder."
        )
    for name in (LAST, BEST):
        if (resume_from / name).is_dir():
            shutil.copytree(resume_from / name, out / name, dirs_exist_ok=True)
    for name in (STEPS, EVALS, FIRST_STEPS, ROW_LOSSES, DISCARDED, RUN):
        if (resume_from / name).is_file():
            shutil.copyfile(resume_from / name, out / name)
