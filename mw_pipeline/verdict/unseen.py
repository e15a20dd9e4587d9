"""What a log could not show: rules that had nothing to look at, and what they would have needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mw_pipeline.verdict.resolution import Resolution
from mw_pipeline.verdict.runlog import Row, sets_of

_NEEDS = {
    "rebound": ("loss", "steps.jsonl has no loss"),
    "unreal gradients": ("grad_norm", "steps.jsonl has no grad_norm"),
    "unreal step times": ("wall_seconds", "steps.jsonl has no wall_seconds"),
    "collapse": ("val_macro_f1", "evals.jsonl has no val_macro_f1"),
    "flat": ("val_loss", "evals.jsonl has no val_loss"),
}


def unseen(
    steps: Sequence[Row], evals: Sequence[Row], *, window: tuple[int, int] | None, label_entropy: float | None
) -> list[str]:
    """Each rule, or half of one, that these rows leave open, and why."""
    tables = (table for row in evals for table in sets_of(row).values())
    present = {name for row in (*steps, *tables) for name, value in row.items() if value is not None}
    missing = [f"{rule}: {reason}" for rule, (column, reason) in _NEEDS.items() if column not in present]
    if label_entropy is None:
        missing.append("flat: the label entropy is not known")
    if window is None:
        missing.append("rising: the near-peak window is not known")
    return [*missing, *_illegible(steps)]


def _illegible(steps: Sequence[Row]) -> Iterable[str]:
    """Numbers that are there and prove nothing (M81)."""
    resolution = Resolution.of(steps)
    if resolution.placeholder_norm is not None:
        yield f"unreal gradients: the gradient norm is {resolution.placeholder_norm:g} throughout, a placeholder"
    blind = resolution.blind_below([float(row["loss"]) for row in steps if row.get("loss") is not None])
    if blind is not None:
        yield f"unreal losses up to {blind:g}: the log rounds them to a step of {resolution.loss.step_at(blind):g}"
