"""Logs of other trainers, recognised by what they hold: trainer_state.json, CSV, JSON lines, TensorBoard events."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.records import log_of
from mw_pipeline.verdict.runlog import RunLog, read_lines, read_run

TRAINER_STATE = "trainer_state.json"
_EVENTS = "*tfevents*"
_TABLES = ("*.csv", "*.jsonl")
_HEAD_BYTES = 4096
_TFRECORD_HEAD = 12  # length (8 bytes) and its checksum (4); the first record of an event file is under 256 bytes
_SUMMARY_KEY = "train_runtime"


def read_log(path: Path) -> RunLog:
    """The log at `path`, whoever wrote it: a folder of this project's or another's, or one file.

    Raises ArtifactError when nothing there is a log, when a folder holds several, and for a damaged one."""
    if not path.exists():
        raise ArtifactError(f"{path}: is not there. Name a folder or a file that a training run wrote.")
    if path.is_dir():
        return _read_folder(path)
    head = _head(path)
    if is_event_file(head):
        return _read_events(path)
    if head.lstrip()[:1] in (b"{", b"["):
        return _read_json(path)
    return _read_csv(path)


def is_event_file(head: bytes) -> bool:
    """Whether these first bytes of a file are those of TensorBoard's records."""
    return len(head) > _TFRECORD_HEAD and 0 < int.from_bytes(head[:8], "little") < 256 and b"brain.Event:" in head[:64]


def _read_folder(path: Path) -> RunLog:
    if (path / "steps.jsonl").exists() or (path / "run.json").exists():
        log = read_run(path)
        return log if _is_by_our_names(log) else _read_bare_folder(path)
    if (path / TRAINER_STATE).exists():
        return _read_json(path / TRAINER_STATE)
    if any(path.glob(_EVENTS)):
        return _read_events(path)
    tables = sorted(file for pattern in _TABLES for file in path.glob(pattern))
    if len(tables) == 1:
        return read_log(tables[0])
    found = f"several logs ({', '.join(file.name for file in tables)})" if tables else "no log that is known here"
    raise ArtifactError(
        f"{path}: holds {found}. Name a folder with steps.jsonl, {TRAINER_STATE} or event files, or one file of JSON "
        "lines, CSV or events."
    )


def _is_by_our_names(log: RunLog) -> bool:
    """Whether a folder's columns are ours: a run.json says so, and so do a loss and both numbers of evaluations."""
    trained = not log.steps or any("loss" in row for row in log.steps)
    scored = not log.evals or {"val_loss", "val_macro_f1"} <= {name for row in log.evals for name in row}
    return bool(log.run) or (trained and scored)


def _read_bare_folder(path: Path) -> RunLog:
    """steps.jsonl and evals.jsonl in the words of another trainer."""
    files = [path / name for name in ("steps.jsonl", "evals.jsonl") if (path / name).exists()]
    records, notes = [], []
    for file in files:
        lines, file_notes = read_lines(file)
        records += [(f"{file}:{number}", _record(value, f"{file}:{number}")) for number, value in lines]
        notes += file_notes
    return log_of(records, where=str(path), format_name="JSON lines", notes=notes)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}). Name a file that can.") from None
    if not head.strip():
        raise ArtifactError(f"{path}: is empty. Name the log of a run that has begun.")
    return head


def _read_json(path: Path) -> RunLog:
    """A trainer_state.json by its `log_history`, else JSON lines."""
    try:
        whole = json_value(path.read_bytes())
    except ValueError:
        whole = None  # several lines, or damaged: reading the lines says which
    if isinstance(whole, dict) and "log_history" in whole:
        return _trainer_state(whole, path)
    if isinstance(whole, list):
        raise ArtifactError(f"{path}: is one JSON array, expected one JSON object a line. Write it as JSON lines.")
    lines, notes = read_lines(path)
    records = [(f"{path}:{number}", _record(value, f"{path}:{number}")) for number, value in lines]
    return log_of(records, where=str(path), format_name="JSON lines", notes=notes)


def _trainer_state(state: Mapping[str, JSON], path: Path) -> RunLog:
    """The log of a Hugging Face Trainer; its closing summary is no step and is left out."""
    history = state["log_history"]
    if not isinstance(history, list):
        raise ArtifactError(f"{path}: log_history is {history!r}, expected a list. Name the state of a run that ended.")
    entries = [(f"{path}: log_history[{i}]", entry) for i, entry in enumerate(history)]
    records = [(location, _record(entry, location)) for location, entry in entries]
    steps = state.get("max_steps")
    run = {"max_steps": steps} if isinstance(steps, int) and steps > 0 else {}
    logged = [(location, record) for location, record in records if _SUMMARY_KEY not in record]
    return log_of(logged, where=str(path), format_name="Hugging Face trainer_state.json", run=run)


def _record(value: JSON, location: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise ArtifactError(f"{location}: is {value!r}, expected a JSON object. Repair or remove it.")
    return value


def _read_csv(path: Path) -> RunLog:
    """A table with a header; an empty cell is a value that was not logged."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ArtifactError(
            f"{path}: is neither text nor TensorBoard events. Expected JSON lines, CSV, {TRAINER_STATE} or events."
        ) from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    records = []
    for row in reader:
        location = f"{path}:{reader.line_num}"
        if None in row or None in row.values():
            raise ArtifactError(f"{location}: has another number of cells than the header. Repair or remove the line.")
        records.append((location, {name: _cell(cell) for name, cell in row.items() if cell.strip()}))
    if not records:
        raise ArtifactError(f"{path}: has no rows below its first line. Expected a CSV with a header, or JSON lines.")
    return log_of(records, where=str(path), format_name="CSV")


def _cell(text: str) -> JSON:
    try:
        return float(text)
    except ValueError:
        return text


def _read_events(path: Path) -> RunLog:
    try:
        from mw_pipeline.verdict.events import read_events
    except ImportError as error:
        raise ArtifactError(
            f"{path}: holds TensorBoard events, and their reader is not installed ({error}). Install "
            "mw-pipeline[logs], or export the scalars as CSV."
        ) from None
    return read_events(path, _EVENTS)
