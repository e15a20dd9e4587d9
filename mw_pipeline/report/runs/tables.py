"""The tables of a training run and of the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import NOTHING, Table, duration, fact, moment
from mw_pipeline.schedule import NEAR_PEAK_SHARE
from mw_pipeline.verdict.runlog import Row, RunLog
from mw_pipeline.verdict.task_weights import task_weights_of

EVIDENCE = {
    "near_peak_steps": f"steps of the smoke at {NEAR_PEAK_SHARE:g} of the peak learning rate or more",
    "near_peak_steps_required": "what the full run's own schedule asks of the smoke",
    "near_peak_window": "first step of that stretch, and the first step after it",
    "exposure_ratio": "near-peak steps of the smoke for each one of the full run",
    "losses_in_window": "logged losses in that stretch",
    "evals_in_window": "evaluations in that stretch",
    "last_step": "last step in the log",
    "loss_floor": "lowest median of five logged losses, nats",
    "loss_after": "the same median at the end",
    "peak_f1": "best validation macro-F1",
    "f1_after": "last validation macro-F1",
    "recent_f1_fall": "largest fall of macro-F1 from any of the last five evaluations to a later one",
    "best_val_loss": "lowest validation loss, nats per piece",
    "label_entropy": "loss of a guess that knows the label frequencies alone, nats per piece",
    "learning_rate": "learning rate where the failure began",
}
"""What each number behind a verdict is, in reading order."""


def run_table(runs: Mapping[str, RunLog]) -> Table:
    """The facts of each run, one column per run: what it did, its best evaluation and its last one (M56)."""
    columns = [_run_facts(log) for log in runs.values()]
    names = dict.fromkeys(name for facts in columns for name in facts)
    rows = tuple((name, *(facts.get(name, NOTHING) for facts in columns)) for name in names)
    return Table(("", *(f"{name} run" for name in runs)), rows)


def verdict_table(verdict: Mapping[str, JSON]) -> Table:
    """The evidence behind a verdict that its log could give."""
    found = {"exposure_ratio": verdict.get("exposure_ratio"), **verdict["evidence"]}
    rows = tuple(
        (name.replace("_", " "), fact(found[name]), meaning)
        for name, meaning in EVIDENCE.items()
        if found.get(name) is not None
    )
    return Table(("evidence", "value", "meaning"), rows)


def best_and_last(evals: Sequence[Row], column: str, *, highest: bool) -> tuple[Row, Row] | None:
    """The rows with the best and the last finite value of a column; None when there is none."""
    finite = [row for row in evals if row.get(column) is not None and math.isfinite(row[column])]
    if not finite:
        return None
    return (max if highest else min)(finite, key=lambda row: float(row[column])), finite[-1]


def _run_facts(log: RunLog) -> dict[str, str]:
    run = log.run
    return {
        "status": fact(run.get("status")),
        "steps": f"{log.steps[-1]['step'] if log.steps else 0:,} of {fact(run.get('max_steps'))}",
        "schedule": f"{fact(run.get('schedule'))}, {fact(run.get('warmup_steps'))} warm-up steps",
        "peak learning rate": fact(run.get("peak_lr")),
        "effective batch": f"{fact(run.get('effective_batch'))} rows",
        **_f1_facts(log),
        **_loss_facts(log),
        **_learned_weights(log),
        "tokens a second (median)": _median(log.steps, "tokens_per_second"),
        "device": fact(run.get("device")),
        "started": moment(run.get("started_at")),
        "took": duration(run.get("started_at"), run.get("ended_at")),
    }


def _f1_facts(log: RunLog) -> dict[str, str]:
    pair = best_and_last(log.evals, "val_macro_f1", highest=True)
    if pair is None:
        return {"best validation macro-F1": NOTHING, "last validation macro-F1": NOTHING}
    best, last = pair
    drop = best["val_macro_f1"] - last["val_macro_f1"]
    return {
        "best validation macro-F1": f"{best['val_macro_f1']:.4f} at step {best['step']:,}",
        "last validation macro-F1": f"{last['val_macro_f1']:.4f} at step {last['step']:,}"
        + (f", {drop:.4f} below the best" if drop > 0 else ", the best"),
    }


def _loss_facts(log: RunLog) -> dict[str, str]:
    pair = best_and_last(log.evals, "val_loss", highest=False)
    entropy = log.run.get("label_entropy")
    if pair is None:
        return {"best validation loss": NOTHING, "last validation loss": NOTHING}
    best, last = pair
    part = f", {100 * best['val_loss'] / entropy:.1f} % of a constant guess" if entropy else ""
    return {
        "best validation loss": f"{best['val_loss']:.4f} nats at step {best['step']:,}{part}",
        "last validation loss": f"{last['val_loss']:.4f} nats at step {last['step']:,}",
    }


def _learned_weights(log: RunLog) -> dict[str, str]:
    """The learned weights of the losses, or why they say nothing (M58); nothing where the recipe fixes them."""
    learned = task_weights_of(log.steps)
    return {} if learned is None else {"learned weights": learned.one_line()}


def _median(rows: Sequence[Row], column: str) -> str:
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    return f"{median(values):,.0f}" if values else NOTHING
