"""What other trainers call the columns of a log, and their records as this project's rows.

A record may hold what training logged, what an evaluation logged, or both; several records may share a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.runlog import EVAL_NUMBERS, STEP_NUMBERS, Row, RunLog, checked_row

NAMES: Mapping[str, tuple[str, ...]] = {
    "step": ("step", "global_step", "iteration", "iter", "trainer_global_step", "steps", "it"),
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "loss_training", "train_loss_step", "batch_loss"),
    "lr": ("lr", "learning_rate", "train_lr", "train_learning_rate", "current_lr", "lr_adamw", "lr_adam", "lr_sgd"),
    "grad_norm": ("grad_norm", "train_grad_norm", "gradient_norm", "gnorm", "total_norm", "grad_norm_total"),
    "wall_seconds": ("wall_seconds", "wall_time", "elapsed_seconds", "elapsed", "runtime", "timestamp"),
    "val_loss": (
        *("val_loss", "eval_loss", "valid_loss", "validation_loss", "dev_loss"),
        *("loss_val", "loss_eval", "loss_valid", "loss_validation", "loss_dev", "val_loss_epoch"),
    ),
    "val_macro_f1": (
        *("val_macro_f1", "eval_macro_f1", "eval_f1_macro", "val_f1_macro", "macro_f1", "f1_macro", "f1_macro_eval"),
        *("eval_f1", "val_f1", "valid_f1", "validation_f1", "dev_f1", "f1_val", "f1_eval", "f1"),
    ),
    **{name: (name,) for name in ("ce", "crf", "tokens", "tokens_per_second", "nonfinite_parameters")},
}
"""Column here → the names that others give it, the likeliest first; written as `plain_name` writes them."""

_OF_A_STEP = ("loss", "lr", "grad_norm", "ce", "crf")  # a clock alone may stand in the record of an evaluation
_OF_AN_EVALUATION = ("val_loss", "val_macro_f1")


def plain_name(name: str) -> str:
    """A column name in lower case with single underscores: `train/loss`, `Train Loss` and `train_loss` are one."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def columns_of(names: Iterable[str]) -> dict[str, str]:
    """Column here → the log's own name for it, the likeliest where several would do."""
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(plain_name(name), name)
    return {ours: plain[found] for ours, theirs in NAMES.items() if (found := _first(theirs, plain)) is not None}


def _first(candidates: Sequence[str], present: Mapping[str, str]) -> str | None:
    return next((name for name in candidates if name in present), None)


def log_of(
    records: Sequence[tuple[str, Mapping[str, JSON]]],
    *,
    where: str,
    format_name: str,
    run: Row | None = None,
    notes: Sequence[str] = (),
) -> RunLog:
    """The log that (place, record) pairs hold; `place` names a record in errors.

    Where records share a step, the last value of each column counts. Raises ArtifactError when no column is a step,
    or none a loss or a score, and for values that are none."""
    columns = columns_of(dict.fromkeys(name for _, record in records for name in record))
    names = ", ".join(repr(name) for name in sorted({name for _, record in records for name in record})[:20])
    if "step" not in columns:
        raise ArtifactError(
            f"{where}: no column is a step (found {names or 'none'}). Name one of them {', '.join(NAMES['step'][:4])}."
        )
    if not columns.keys() & {"loss", *_OF_AN_EVALUATION}:
        raise ArtifactError(
            f"{where}: no column is a loss or a score (found {names}). Name one of them loss, val_loss or val_macro_f1."
        )
    steps, again = _rows(records, columns, STEP_NUMBERS, _OF_A_STEP)
    evals, also = _rows(records, columns, EVAL_NUMBERS, _OF_AN_EVALUATION)
    repeated = [f"{again + also} values were written again at the same step; the last counts"] if again + also else []
    renamed = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    return RunLog(steps, evals, run or {}, (*notes, *repeated), format_name, renamed)


def _rows(
    records: Sequence[tuple[str, Mapping[str, JSON]]],
    columns: Mapping[str, str],
    numbers: tuple[str, ...],
    telling: tuple[str, ...],
) -> tuple[tuple[Row, ...], int]:
    """Rows of `numbers` in step order, from records that hold one of `telling`; how many values were written again."""
    rows: dict[int, dict[str, JSON]] = {}
    again = 0
    for place, record in records:
        named = {ours: record.get(columns[ours]) for ours in numbers if ours in columns}
        values = {ours: value for ours, value in named.items() if value is not None}
        if not values.keys() & set(telling):
            continue
        row = checked_row({"step": record.get(columns["step"]), **values}, numbers, place)
        known = rows.setdefault(int(row["step"]), {})
        again += len(known.keys() & values.keys())
        known.update(row)
    return tuple(rows[step] for step in sorted(rows)), again
