"""The records of another trainer's log as this project's rows.

A record may hold what training logged, what an evaluation logged, or both; several records may share a step. Records
come in the order of writing: where their steps go back, a restart has taken back what stood there before (M85).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import NAMES, Columns, columns_of, is_of_a_test_set, plain_name
from mw_pipeline.verdict.nulls import Nulls
from mw_pipeline.verdict.rates import rates_by_step
from mw_pipeline.verdict.runlog import EVAL_NUMBERS, MOST, SETS, STEP_NUMBERS, Row, RunLog, checked_row

Record = Mapping[str, JSON]
Located = tuple[str, Record]

_OF_A_STEP = (
    "loss",
    "grad_norm",
    "ce",
    "crf",
)  # a clock alone may stand in the record of an evaluation; the loss first
_OF_AN_EVALUATION = ("val_loss", "val_macro_f1")
_EPOCHS = frozenset({"epoch", "train_epoch", "trainer_epoch", "current_epoch"})
_MOST_RESTARTS_SHARE = 0.1


def log_of(
    records: Sequence[Located], *, where: str, format_name: str, run: Row | None = None, notes: Sequence[str] = ()
) -> RunLog:
    """The log that (place, record) pairs hold; `location` names a record in errors.

    Where records share a step, the last value of each column counts. Raises ArtifactError when no column is a step,
    or none a loss or a score, and for values that are none."""
    names = dict.fromkeys(name for _, record in records for name in record)
    clocks = [name for name in names if plain_name(name) in NAMES["wall_seconds"] and not _is_clock(name, records)]
    single = [name for name in names if is_of_a_test_set(name) and _is_logged_once(name, records)]
    columns = columns_of(name for name in names if name not in (*clocks, *single))
    _demand_columns(columns, records, where)
    kept, restarts = _without_rolled_back(records, columns)
    log_rows = _LogRows(columns)
    for location, record in kept:
        log_rows.add(record, location)
    rates, unread = rates_by_step(kept, columns)
    resumed = [*((run or {}).get("resumed_from_steps") or []), *restarts]
    return RunLog(
        log_rows.steps(rates),
        log_rows.evals(),
        {**(run or {}), **({"resumed_from_steps": resumed} if resumed else {})},
        (
            *notes,
            *_notes(columns, dropped=len(records) - len(kept), rewritten=log_rows.rewritten, unread=unread),
            *_notes_of_steps(columns, kept),
            *_notes_of_clocks(columns, clocks),
            *([f"a test set that was evaluated once is not judged: {_listed(single)}"] if single else []),
        ),
        format_name,
        columns.renamed,
    )


def _notes(columns: Columns, *, dropped: int, rewritten: int, unread: int) -> list[str]:
    notes = {
        f"{dropped} records were taken back by a restart and are not judged": dropped,
        f"{rewritten} values were written again at the same step; the last counts": rewritten,
        f"{unread} learning rates are no numbers and were not read": unread,
        f"evaluation columns with a likelier one for the same number: {_listed(columns.replaced)}": columns.replaced,
        f"columns that look like a loss, score or rate and are unknown: {_listed(columns.unknown)}": columns.unknown,
    }
    return [note for note, holds in notes.items() if holds]


def _notes_of_steps(columns: Columns, records: Sequence[Located]) -> list[str]:
    step = columns.named["step"]
    both = [name for name in columns.other_steps if any(_differ(record, step, name) for _, record in records)]
    return [f"steps are those of {step!r}; other numbers stand in {_listed(both)}"] if both else []


def _notes_of_clocks(columns: Columns, others: Sequence[str]) -> list[str]:
    if not others or "wall_seconds" in columns.named:
        return []
    return [f"step times not checked: {_listed(others)} holds no number of seconds"]


def _is_clock(name: str, records: Sequence[Located]) -> bool:
    """Whether a column holds numbers alone."""
    try:
        for location, record in records:
            checked_row({"step": 0, "wall_seconds": record.get(name)}, ("wall_seconds",), location)
    except ArtifactError:
        return False
    return True


def _is_logged_once(name: str, records: Sequence[Located]) -> bool:
    return sum(record.get(name) is not None for _, record in records) == 1


def _differ(record: Record, step: str, other: str) -> bool:
    return None not in (record.get(step), record.get(other)) and record[step] != record[other]


def _demand_columns(columns: Columns, records: Sequence[Located], where: str) -> None:
    names = _listed(sorted({name for _, record in records for name in record})[:20])
    if "step" not in columns.named:
        raise ArtifactError(
            f"{where}: no column is a step (found {names or 'none'}). Name one of them {', '.join(NAMES['step'][:4])}."
        )
    if "loss" not in columns.named and not any(columns.sets.values()):
        raise ArtifactError(
            f"{where}: no column is a loss or a score (found {names}). Name one of them loss, val_loss or val_macro_f1."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _without_rolled_back(records: Sequence[Located], columns: Columns) -> tuple[list[Located], list[int]]:
    """The records without those at or past a step to which training went back, and the steps before each of these.

    A log whose steps go back all the time is sorted in another way, and nothing was taken back."""
    step, loss = columns.named["step"], columns.named.get("loss")
    trained = [
        (n, at) for n, (_, record) in enumerate(records) if (at := _step_trained(record, step, loss)) is not None
    ]
    rollbacks = {n: after for (_, before), (n, after) in itertools.pairwise(trained) if after < before}
    _demand_steps_of_the_run(records, [(m, n) for (m, _), (n, _) in itertools.pairwise(trained) if n in rollbacks])
    if not rollbacks or len(rollbacks) > max(1.0, _MOST_RESTARTS_SHARE * len(trained)):
        return list(records), []
    kept: list[Located] = []
    first = math.inf  # of the steps that a later record took back
    for n in reversed(range(len(records))):
        at = records[n][1].get(step)
        if not isinstance(at, int | float) or at < first:
            kept.append(records[n])
        first = min(first, rollbacks.get(n, math.inf))
    return kept[::-1], [math.ceil(after) - 1 for after in rollbacks.values()]


def _demand_steps_of_the_run(records: Sequence[Located], rollbacks: Sequence[tuple[int, int]]) -> None:
    """Raises ArtifactError where the epoch rises while the step goes back: that is no restart, which takes back both.

    `rollbacks` holds the places of the records before and after each step back."""
    for before, after in rollbacks:
        (location, record), old = records[after], records[before][1]
        for name in (name for name in record if plain_name(name) in _EPOCHS):
            values = (old.get(name), record[name])
            if all(isinstance(value, int | float) for value in values) and values[0] < values[1]:
                raise ArtifactError(
                    f"{location}: the step goes back while {name!r} rises from {values[0]} to {values[1]}: steps count "
                    "anew in each epoch. Expected steps of the whole run: give a step that runs on."
                )


def _step_trained(record: Record, step: str, loss: str | None) -> float | None:
    at = record.get(step)
    trains = loss is not None and record.get(loss) is not None
    return at if trains and isinstance(at, int | float) and 0 <= at <= MOST else None


class _LogRows:
    """What records say of each step and of each evaluation."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._steps = _Rows(columns.named, STEP_NUMBERS, _OF_A_STEP)
        self._sets = {name: _Rows(table, EVAL_NUMBERS, _OF_AN_EVALUATION) for name, table in columns.sets.items()}

    @property
    def rewritten(self) -> int:
        """Values that were written again at the same step."""
        return self._steps.rewritten + sum(rows.rewritten for rows in self._sets.values())

    def add(self, record: Record, location: str) -> None:
        """Takes in a record."""
        step = record.get(self._columns.named["step"])
        for rows in (self._steps, *self._sets.values()):
            rows.add(step, record, location)

    def steps(self, rates: Mapping[int, float]) -> tuple[Row, ...]:
        """The rows of steps, each with its rate."""
        rows = self._steps.by_step()
        return tuple(
            {"step": step, **rows.get(step, {}), **({"lr": rates[step]} if step in rates else {})}
            for step in sorted(rows.keys() | rates.keys())
        )

    def evals(self) -> tuple[Row, ...]:
        """The rows of evaluations, those of sets with a name in a table of their own."""
        rows: dict[int, dict[str, JSON]] = {}
        for name, of_set in self._sets.items():
            for step, values in of_set.by_step().items():
                row = rows.setdefault(step, {"step": step})
                (row.setdefault(SETS, {}).setdefault(name, {}) if name else row).update(values)
        return tuple(rows[step] for step in sorted(rows))


class _Rows:
    """The values of some columns by step, each column's last one; `rewritten` counts those that were written over."""

    def __init__(self, columns: Mapping[str, str], numbers: tuple[str, ...], keys: tuple[str, ...]) -> None:
        self.rewritten = 0
        self._by_step: dict[int, dict[str, JSON]] = {}
        self._columns = {ours: theirs for ours, theirs in columns.items() if ours in numbers}
        self._numbers = numbers
        self._keys = keys
        self._nulls = Nulls(
            self._columns.get(keys[0]),
            score=self._columns.get("val_macro_f1"),
            of_evaluations=keys is _OF_AN_EVALUATION,
        )

    def add(self, step: JSON, record: Record, location: str) -> None:
        """Adds a record's values."""
        self._nulls.observe(step, record, location)
        values = self._values(record)
        if values.keys() & set(self._keys):
            self._update(step, values, location)

    def by_step(self) -> Mapping[int, Mapping[str, JSON]]:
        """Step → its values; a loss that has become null is NaN."""
        for step, record, location in self._nulls.lost():
            known = step in self._by_step
            self._update(step, {} if known else self._values(record), location).setdefault(self._keys[0], math.nan)
        return self._by_step

    def _values(self, record: Record) -> dict[str, JSON]:
        return {ours: record[theirs] for ours, theirs in self._columns.items() if record.get(theirs) is not None}

    def _update(self, step: JSON, values: Mapping[str, JSON], location: str) -> dict[str, JSON]:
        row = checked_row({"step": step, **values}, self._numbers, location)
        known = self._by_step.setdefault(int(row["step"]), {})
        self.rewritten += sum(known.get(name) == known.get(name) for name in values if name in known)  # not NaN
        known.update({name: row[name] for name in values})
        return known
