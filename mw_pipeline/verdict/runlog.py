"""The log of a training run as it lies on disk: steps.jsonl, evals.jsonl and, where the run wrote it, run.json.

Reading is tolerant of what a killed process leaves behind and of nothing else: a truncated last line is dropped and
noted, a bad line inside the file is an error with its number.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.run_json import RUN_JSON, read_run_json

Row = Mapping[str, JSON]

STEP_NUMBERS = ("lr", "loss", "ce", "crf", "grad_norm", "tokens", "tokens_per_second", "wall_seconds")
EVAL_NUMBERS = ("val_loss", "val_macro_f1", "nonfinite_parameters")
MOST = 10**12
"""Steps or rows: more is a slip, and would not fit the integers that schedules are searched with."""
SETS = "evaluation_sets"
"""The key of an evaluation's row under which each further evaluation set has a table of EVAL_NUMBERS."""
_OWN_STEP_NUMBERS = (*STEP_NUMBERS, "rows")
_OWN_EVAL_NUMBERS = (*EVAL_NUMBERS, "val_loss_se", "train_eval_loss", "train_eval_loss_se")
_SIGMAS = (1e-100, 1e100)
"""The least and the greatest learned σ whose square and inverse square are numbers."""
OWN_FORMAT = "folder of steps.jsonl, evals.jsonl and run.json"
_SPELLINGS = {
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}


@dataclass(frozen=True)
class RunLog:
    """What a run wrote. Rows are in step order; `notes` says what reading had to leave out.

    `format` names the kind of log in words; `columns` maps a column here to the log's own name where that differs."""

    steps: tuple[Row, ...]
    evals: tuple[Row, ...]
    run: Row
    notes: tuple[str, ...] = ()
    format: str = OWN_FORMAT
    columns: Mapping[str, str] = field(default_factory=dict)


def read_run(path: Path) -> RunLog:
    """The log in a folder. `run` is empty when there is no run.json.

    Where a resumed run wrote a step again, the last writing counts. A run that died young has no evals.jsonl yet: no
    rows and a note. Raises ArtifactError when the folder holds no run at all, or when a line is not a row.
    """
    if not path.is_dir():
        raise ArtifactError(f"{path}: is not a folder. Name the folder that holds steps.jsonl and evals.jsonl.")
    if not (path / "steps.jsonl").exists() and not (path / RUN_JSON).exists():
        raise ArtifactError(f"{path}: holds neither steps.jsonl nor run.json. Name the folder that a run wrote into.")
    steps, step_notes = _read_rows(path / "steps.jsonl", own_step)
    evals, eval_notes = _read_rows(path / "evals.jsonl", own_eval)
    return RunLog(steps, evals, read_run_json(path / RUN_JSON), (*step_notes, *eval_notes))


def total_of(rows: Sequence[Row], name: str) -> int | None:
    """The sum of a column of counts, 0 where a row has none; None where one is no finite number."""
    counts = [row.get(name) or 0 for row in rows]
    if not all(isinstance(count, int | float) and math.isfinite(count) for count in counts):
        return None
    return sum(int(count) for count in counts)


def sets_of(row: Row) -> Mapping[str, Row]:
    """Evaluation set → its numbers in the row of an evaluation; "" is the one that has no name."""
    return {"": row, **(row.get(SETS) or {})}


def _read_rows(path: Path, checked: Callable[[JSON, str], Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    if not path.exists():
        return (), (f"{path.name} is missing",)
    lines, notes = read_lines(path)
    rows = [checked(value, f"{path}:{number}") for number, value in lines]
    return _in_step_order(rows, path.name, notes), tuple(notes)


def read_lines(path: Path) -> tuple[list[tuple[int, JSON]], list[str]]:
    """(line number, value) of every line of a file of JSON lines, and a note when the last one is cut off.

    Raises ArtifactError for a file that cannot be read, and for a line inside it that is no JSON."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}). Expected a file of JSON lines.") from None
    found: list[tuple[int, JSON]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append((number, json_value(line)))
        except ValueError as error:
            if number == len(lines):
                return found, [f"{path.name}: the last line (line {number}) is cut off and was left out"]
            raise ArtifactError(
                f"{path}:{number}: not JSON ({error}). Expected one JSON object a line: repair or remove the line."
            ) from None
    return found, []


def checked_row(value: JSON, numbers: tuple[str, ...], where: str) -> Row:
    """The row with its number columns as numbers: null stays, and the spellings of NaN and Inf become floats.

    Raises ArtifactError, naming `where`, for what is no row, and for a step, number or share that is none."""
    if not isinstance(value, dict):
        raise ArtifactError(f"{where}: is {value!r}, expected a JSON object. Repair or remove the line.")
    step = value.get("step")
    if isinstance(step, float) and step.is_integer():
        step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step <= MOST:
        raise ArtifactError(f"{where}: step is {step!r:.80}, expected an integer ≥ 0. Repair or remove the line.")
    row = {**value, "step": step, **_numbers(value, numbers, where)}
    if row.get(SETS) is not None:
        row[SETS] = _numbers_of_sets(row[SETS], numbers, where)
    return row


def own_step(value: JSON, where: str) -> Row:
    """A row of our steps.jsonl, as `checked_row` has it, whose pass is a whole number and each of whose learned σ is a
    number above 0, or NaN, beside the loss that it weighs. Raises ArtifactError for any other."""
    row = checked_row(value, _OWN_STEP_NUMBERS, where)
    turn = row.get("pass")
    if turn is not None and not (_is_number(turn) and 0 <= turn <= MOST and turn == int(turn)):
        raise ArtifactError(f"{where}: pass is {turn!r:.80}, expected an integer ≥ 0. Repair or remove the line.")
    sigmas = row.get("sigmas") or {}
    if not isinstance(sigmas, dict) or not all(_is_sigma(sigma) for sigma in sigmas.values()):
        raise ArtifactError(
            f"{where}: sigmas is {sigmas!r:.80}, expected a table of numbers above 0. Repair or remove the line."
        )
    if lacking := [name for name in (*sigmas, *(("lr",) if sigmas else ())) if not _is_number(row.get(name))]:
        raise ArtifactError(
            f"{where}: {lacking[0]} is {row.get(lacking[0])!r:.80}, expected a number beside sigmas. Repair or remove "
            "the line."
        )
    return row


def own_eval(value: JSON, where: str) -> Row:
    """A row of our evals.jsonl, as `checked_row` has it."""
    return checked_row(value, _OWN_EVAL_NUMBERS, where)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_sigma(value: JSON) -> bool:
    return _is_number(value) and (math.isnan(value) or _SIGMAS[0] <= value <= _SIGMAS[1])


def _numbers(row: Row, names: tuple[str, ...], where: str) -> dict[str, JSON]:
    """Those of the named columns that the row has, as numbers."""
    found = {name: row[name] for name in names if name in row}
    for name, value in found.items():
        if isinstance(value, str) and value.strip().lower() in _SPELLINGS:
            found[name] = _SPELLINGS[value.strip().lower()]
        elif isinstance(value, bool) or not isinstance(value, int | float | None):
            raise ArtifactError(f"{where}: {name} is {value!r:.80}, expected a number. Repair or remove the line.")
        elif value is not None and abs(value) > sys.float_info.max:
            found[name] = math.inf if value > 0 else -math.inf  # an integer that no float holds
    f1 = found.get("val_macro_f1")
    if f1 is not None and math.isfinite(f1) and not 0 <= f1 <= 1:
        raise ArtifactError(f"{where}: val_macro_f1 is {f1!r}, expected a share from 0 to 1. Divide percents by 100.")
    return found


def _numbers_of_sets(sets: JSON, names: tuple[str, ...], where: str) -> dict[str, JSON]:
    if not isinstance(sets, dict) or not all(isinstance(scores, dict) for scores in sets.values()):
        raise ArtifactError(f"{where}: {SETS} is {sets!r:.80}, expected a table of sets. Repair or remove the line.")
    return {name: _numbers(scores, names, f"{where}: {SETS}.{name}") for name, scores in sets.items()}


def _in_step_order(rows: list[Row], name: str, notes: list[str]) -> tuple[Row, ...]:
    last_of_step = {int(row["step"]): row for row in rows}
    if len(last_of_step) < len(rows):
        notes.append(
            f"{name}: {len(rows) - len(last_of_step)} rows were written again by a resumed run; the last counts"
        )
    return tuple(last_of_step[step] for step in sorted(last_of_step))
