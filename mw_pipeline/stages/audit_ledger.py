"""The ledger of audits: which audit of a recipe came after which.

An artifact is named by what it holds, and the same facts can come again: no digest says which of two audits was the
last one, and neither does the time of a folder, which changes when it is copied. So each audit is entered here when it
is made, and names its predecessor among its own inputs, where its digest binds it.
"""

from __future__ import annotations

import fcntl
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import json_value
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_lines import replace_lines, whole_lines
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.stage import materialize_command

AUDIT_FILE = "audit.json"
LEDGER = "ledgers/source_audit.jsonl"


@dataclass(frozen=True)
class Entry:
    """One audit: its recipe, its digest, the key of what it looked at (without its predecessor), and when (UTC)."""

    recipe: str
    audit: str
    subject: str
    at: str


def ledger_path(place: Place) -> Path:
    """The ledger of a store, as it is now."""
    return place.store.ledger_path(LEDGER)


def demand_last_audit(place: Place, recipe_name: str) -> Artifact:
    """The last audit of a recipe. Raises ArtifactError with the command that makes one when there is none."""
    last = last_of(read_ledger(ledger_path(place)), recipe_name)
    if last is None:
        raise ArtifactError(
            f"recipe {recipe_name!r} has no audit in {ledger_path(place)}. "
            f"Run `{materialize_command('source_audit', recipe_name)}`."
        )
    return place.store.load("source_audit", last.audit)


def read_ledger(path: Path) -> list[Entry]:
    """All entries, oldest first; none without a file. A last line that was cut short is left out, and stderr says so.

    Raises ArtifactError for another line that is no entry."""
    lines, torn = whole_lines(path)
    if torn:
        sys.stderr.write(f"{path.parent}: {torn}\n")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(Entry(**json_value(line)))
        except (TypeError, ValueError):
            said = f"{line[:80].decode(errors='replace')!r} is no entry of a ledger"
            raise ArtifactError(f"{path}:{number}: {said}. Remove the line.") from None
    return entries


def enter(path: Path, entry: Entry) -> None:
    """Appends an entry, whole or not at all, unless its recipe's last one is of the same audit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = read_ledger(path)
        last = last_of(entries, entry.recipe)
        if last is None or last.audit != entry.audit:
            replace_lines(path, [asdict(each) for each in (*entries, entry)])


def last_of(entries: list[Entry], recipe: str) -> Entry | None:
    """The last entry of a recipe."""
    return next((entry for entry in reversed(entries) if entry.recipe == recipe), None)
