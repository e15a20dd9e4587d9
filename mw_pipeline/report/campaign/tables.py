"""The tables of a campaign, as plain cells: the matrix of changes and outcomes, and what to run next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import NOTHING, Table, change, count, fact, number

Rows = Sequence[Mapping[str, JSON]]

_STATES = {True: "fails", False: "survives", None: NOTHING}


def matrix_table(report: Mapping[str, JSON]) -> Table:
    """One row per recipe: its value of every changed key (a dash: the base's), and how its runs ended."""
    columns = report["columns"]
    headers = ("recipe", *columns, "judged by", "smoke", "full run", "so the recipe", "steps spent")
    rows = tuple(
        (
            row["recipe"],
            *(value_cell(row["changes"][key]) if key in row["changes"] else NOTHING for key in columns),
            ", ".join(f"{key.partition('.')[2]} = {fact(value)}" for key, value in row["judged"].items()) or NOTHING,
            _ending(row["smoke"]),
            _ending(row["full"]),
            _STATES[row["failed"]],
            count(row["steps_spent"]),
        )
        for row in report["rows"]
    )
    return Table(headers, rows)


def score_table(rows: Rows) -> Table:
    """Every run that was made: best and final macro-F1 with the distance between them (M56), swings, exposure."""
    headers = ("run", "outcome", "best F1", "at step", "final F1", "final − best", "last falls", "failed at", "steps")
    runs = [
        (f"{row['recipe']}, {kind}", row[kind]) for row in rows for kind in ("smoke", "full") if row[kind] is not None
    ]
    cells = tuple(
        (
            name,
            run["outcome"],
            number(run["best_f1"]),
            count(run["best_step"]),
            number(run["final_f1"]),
            change(fall_of(run)),
            number(run["recent_fall"]),
            count(run["step"]),
            count(run["steps"]),
            number(run["exposure_ratio"], 3),
        )
        for name, run in runs
    )
    return Table((*headers, "exposure"), cells)


def proposal_table(proposals: Rows) -> Table:
    """What to run next: the changes against the base, and what the run would tell."""
    rows = tuple(
        (
            proposal["name"],
            ", ".join(f"{key} = {value_cell(value)}" for key, value in proposal["changes"].items()) or "nothing",
            proposal["why"],
            proposal["recipe"] or NOTHING,
        )
        for proposal in proposals
    )
    return Table(("run", "changes", "it", "is there as"), rows)


def fall_of(run: Mapping[str, JSON]) -> float | None:
    """Final macro-F1 minus best: zero or below by its nature."""
    return None if run["final_f1"] is None else float(run["final_f1"]) - float(run["best_f1"])


def value_cell(value: JSON) -> str:
    """A value of a recipe as a cell; a table by the number of its keys."""
    if isinstance(value, dict):
        return f"{len(value)} keys" if value else "none"
    return fact(value) if not isinstance(value, float) else f"{value:g}"


def _ending(run: Mapping[str, JSON] | None) -> str:
    """The outcome of a run with the rule and step that decided it."""
    if run is None:
        return NOTHING
    where = f" at {run['step']:,}" if run["step"] is not None else ""
    return f"{run['outcome']}: {run['rule']}{where}" if run["rule"] else str(run["outcome"])
