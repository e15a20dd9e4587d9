"""The failure rules over the log of one run, fed row by row: while it trains, or afterwards in one go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from mw_pipeline.verdict.rules import (
    FLAT_SHARE_OF_ENTROPY,
    F1Trend,
    Hit,
    LossTrend,
    Pace,
    Standstill,
    Window,
    nonfinite_number,
    nonfinite_weights,
)
from mw_pipeline.verdict.runlog import Row

FAILURE_RULES = ("nonfinite", "rebound", "collapse", "drift", "flat", "rising", "unreal")
_STEP_NUMBERS = ("loss", "grad_norm", "ce", "crf", "lr")
_EVAL_NUMBERS = ("val_loss", "val_macro_f1")


@dataclass(frozen=True)
class Finding:
    """One failure rule that fired: the step where the failure began, and the numbers in words."""

    rule: str
    step: int
    reason: str


class Watchdog:
    """Applies the failure rules while a run logs; each rule fires once.

    `window` is the near-peak stretch (first step, first step after it), without which `rising` is not judged;
    `label_entropy` the H0 of the training labels in nats per token, without which `flat` is not; `resumed_from` are the
    steps after which a run went on anew. A run that trains stops at the first finding. `drift`, `flat`, `rising` and a
    fall at the last evaluation are known at the end only: call `finish`.
    """

    def __init__(
        self,
        *,
        window: tuple[int, int] | None = None,
        label_entropy: float | None = None,
        resumed_from: Collection[int] = (),
    ) -> None:
        self.findings: list[Finding] = []
        self.loss = LossTrend()
        self.f1 = F1Trend()
        self.best_val_loss: float | None = None
        self._window = Window(*window) if window else None
        self._label_entropy = label_entropy
        self._standstills = {name: Standstill(name) for name in ("loss", "grad_norm")}
        self._pace = Pace(resumed_from)
        self._last_step = 0
        self._stopped = False

    def observe_step(self, row: Row) -> Finding | None:
        """Takes in a row of steps.jsonl; returns the first rule that it makes fire, if any."""
        if self._stopped:
            return None
        self._last_step = step = int(row["step"])
        bad = nonfinite_number(row, _STEP_NUMBERS)
        if bad is not None:
            return self._stop(step, bad)
        known = len(self.findings)
        if row.get("loss") is not None:
            self._add("rebound", self.loss.observe(step, float(row["loss"])))
        if self._window:
            self._window.observe(step, self.loss.median)
        for name, standstill in self._standstills.items():
            if row.get(name) is not None:
                self._add("unreal", standstill.observe(step, float(row[name])))
        if row.get("wall_seconds") is not None:
            self._add("unreal", self._pace.observe(step, float(row["wall_seconds"])))
        return next(iter(self.findings[known:]), None)

    def observe_eval(self, row: Row) -> Finding | None:
        """Takes in a row of evals.jsonl; returns the first rule that it makes fire, if any."""
        if self._stopped:
            return None
        self._last_step = step = int(row["step"])
        bad = nonfinite_number(row, _EVAL_NUMBERS) or nonfinite_weights(row)
        if bad is not None:
            return self._stop(step, bad)
        if row.get("val_loss") is not None:
            value = float(row["val_loss"])
            self.best_val_loss = value if self.best_val_loss is None else min(value, self.best_val_loss)
        f1 = row.get("val_macro_f1")
        return None if f1 is None else self._add("collapse", self.f1.observe(step, float(f1)))

    def finish(self) -> tuple[Finding, ...]:
        """Judges what only the end of a run can show; returns all findings, the earliest first.

        After `nonfinite` there is nothing more to judge: what follows a NaN means nothing."""
        if not self._stopped:
            self._add("collapse", self.f1.fallen_at_the_end())
            self._add("drift", self.f1.drift())
            self._add("flat", self._loss_is_flat() or self.f1.flat())
            self._add("rising", self._window.hit() if self._window else None)
        return tuple(sorted(self.findings, key=lambda f: (f.step, FAILURE_RULES.index(f.rule))))

    def _loss_is_flat(self) -> Hit | None:
        if self.best_val_loss is None or self._label_entropy is None:
            return None
        if self.best_val_loss <= FLAT_SHARE_OF_ENTROPY * self._label_entropy:
            return None
        return self._last_step, (
            f"best validation loss {self.best_val_loss:.4g} is above {FLAT_SHARE_OF_ENTROPY:g} × the label entropy "
            f"{self._label_entropy:.4g} (nats per token)"
        )

    def _stop(self, step: int, detail: str) -> Finding | None:
        self._stopped = True
        return self._add("nonfinite", (step, detail))

    def _add(self, rule: str, hit: Hit | None) -> Finding | None:
        if hit is None or any(finding.rule == rule for finding in self.findings):
            return None
        finding = Finding(rule, *hit)
        self.findings.append(finding)
        return finding


def replay(watchdog: Watchdog, steps: Sequence[Row], evals: Sequence[Row]) -> tuple[Finding, ...]:
    """All findings on a log, the earliest first."""
    for row, observe in in_step_order(watchdog, steps, evals):
        observe(row)
    return watchdog.finish()


def in_step_order(
    watchdog: Watchdog, steps: Sequence[Row], evals: Sequence[Row]
) -> Iterator[tuple[Row, Callable[[Row], Finding | None]]]:
    """Every row with what takes it in, by step; at equal steps the training row comes first."""
    rows = [(int(row["step"]), False, row) for row in steps] + [(int(row["step"]), True, row) for row in evals]
    for _, is_eval, row in sorted(rows, key=lambda item: item[:2]):
        yield row, watchdog.observe_eval if is_eval else watchdog.observe_step
