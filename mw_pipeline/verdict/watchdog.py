"""The failure rules over the log of one run, fed row by row: while it trains, or afterwards in one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.verdict.resolution import Resolution, skipped_steps
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
from mw_pipeline.verdict.runlog import Row, sets_of

FAILURE_RULES = ("nonfinite", "rebound", "collapse", "flat", "rising", "unreal")
WARNING_RULES = ("swinging", "skipped_step")
_STEP_NUMBERS = ("loss", "grad_norm", "ce", "crf", "lr")
_EVAL_NUMBERS = ("val_loss", "val_macro_f1")


@dataclass(frozen=True)
class Finding:
    """One rule that fired: the step where what it found began, and the numbers in words."""

    rule: str
    step: int
    reason: str


class Watchdog:
    """Applies the failure rules while a run logs; each rule fires once.

    `window` is the near-peak stretch (first step, first step after it), without which `rising` is not judged;
    `label_entropy` the H0 of the training labels in nats per token, without which the losses of `flat` are not;
    `resumed_from` are the steps after which a run went on anew. A run that trains stops at the first finding. `flat`,
    `rising`, a fall at the last evaluation and the warning `swinging` are known at the end only: call `finish`.
    """

    def __init__(
        self,
        *,
        window: tuple[int, int] | None = None,
        label_entropy: float | None = None,
        resumed_from: Collection[int] = (),
        resolution: Resolution | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self.warnings: list[Finding] = []
        self.loss = LossTrend()
        self.scores: dict[str, F1Trend] = {}
        self.best_val_loss: float | None = None
        self._window = Window(*window) if window else None
        self._label_entropy = label_entropy
        self._resolution = resolution or Resolution()
        self._standstill = Standstill("loss", self._resolution.loss)
        self._still_norm = Standstill("grad_norm", self._resolution.grad_norm)
        self._last_loss: float | None = None
        self._pace = Pace(resumed_from)
        self._last_step = 0
        self._stopped = False

    @property
    def f1(self) -> F1Trend:
        """The macro-F1 that lies furthest below its peak, where there are several evaluation sets."""
        return max(self.scores.values(), key=lambda trend: (trend.peak or 0.0) - (trend.last or 0.0), default=F1Trend())

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
        self._observe_reality(step, row)
        return next(iter(self.findings[known:]), None)

    def _observe_reality(self, step: int, row: Row) -> None:
        """`unreal`: a loss, step times, and a gradient norm as long as the loss does not move beside it (M81)."""
        loss, norm, wall_seconds = (row.get(name) for name in ("loss", "grad_norm", "wall_seconds"))
        moved, self._last_loss = loss != self._last_loss, loss
        if loss is not None:
            self._add("unreal", self._standstill.observe(step, float(loss)))
        if norm is not None and self._resolution.placeholder_norm is None:
            self._add("unreal", self._still_norm.observe(step, float(norm), others_moved=moved))
        if wall_seconds is not None and math.isfinite(wall_seconds):
            self._add("unreal", self._pace.observe(step, float(wall_seconds)))

    def observe_eval(self, row: Row) -> Finding | None:
        """Takes in a row of evals.jsonl; returns the first rule that it makes fire, if any."""
        if self._stopped:
            return None
        self._last_step = step = int(row["step"])
        known = len(self.findings)
        for name, scores in sets_of(row).items():
            bad = nonfinite_number(scores, _EVAL_NUMBERS) or nonfinite_weights(scores)
            if bad is not None:
                return self._stop(step, f"{bad} on {name}" if name else bad)
        for name, scores in sets_of(row).items():
            self._observe_scores(step, name, scores)
        return next(iter(self.findings[known:]), None)

    def _observe_scores(self, step: int, name: str, scores: Mapping[str, float | None]) -> None:
        val_loss, f1 = scores.get("val_loss"), scores.get("val_macro_f1")
        if val_loss is not None:
            self.best_val_loss = min(float(val_loss), math.inf if self.best_val_loss is None else self.best_val_loss)
        if f1 is not None:
            self._add("collapse", self.scores.setdefault(name, F1Trend(name)).observe(step, float(f1)))

    def finish(self) -> tuple[Finding, ...]:
        """Judges what only the end of a run can show; returns all findings, the earliest first.

        After `nonfinite` there is nothing more to judge: what follows a NaN means nothing."""
        if not self._stopped:
            trends = list(self.scores.values())
            for trend in trends:
                self._add("collapse", trend.fallen_at_the_end())
                self._warn("swinging", trend.swinging())
            flat = [trend.flat() for trend in trends]
            self._add("flat", self._loss_is_flat() or (flat[0] if flat and all(flat) else None))
            self._add("rising", self._window.hit() if self._window else None)
        return tuple(sorted(self.findings, key=lambda f: (f.step, FAILURE_RULES.index(f.rule))))

    def skip(self, steps: Sequence[int]) -> None:
        """Notes the steps that a loss scaler skipped."""
        if steps:
            norms = f"{len(steps)} gradient norms are" if len(steps) > 1 else "the gradient norm is"
            why = "losses and all later norms are finite, so a loss scaler looked for its scale"
            self._warn("skipped_step", (steps[0], f"{norms} not finite; {why}"))

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

    def _warn(self, rule: str, hit: Hit | None) -> None:
        if hit is not None:
            self.warnings.append(Finding(rule, *hit))


def judge_log(
    steps: Sequence[Row],
    evals: Sequence[Row],
    *,
    window: tuple[int, int] | None = None,
    label_entropy: float | None = None,
    resumed_from: Collection[int] = (),
) -> Watchdog:
    """A watchdog that has seen a whole log and knows its findings and warnings.

    It knows besides what only a whole log says: how its numbers were rounded, where a loss scaler skipped a step."""
    resolution = Resolution.of(steps)
    watchdog = Watchdog(window=window, label_entropy=label_entropy, resumed_from=resumed_from, resolution=resolution)
    skipped = skipped_steps(steps)
    watchdog.skip(skipped)
    kept = [{**row, "grad_norm": None} if row["step"] in skipped else row for row in steps]
    for row, observe in in_step_order(watchdog, kept, evals):
        observe(row)
    watchdog.findings = list(watchdog.finish())
    return watchdog


def in_step_order(
    watchdog: Watchdog, steps: Sequence[Row], evals: Sequence[Row]
) -> Iterator[tuple[Row, Callable[[Row], Finding | None]]]:
    """Every row with what takes it in, by step; at equal steps the training row comes first."""
    rows = [(int(row["step"]), False, row) for row in steps] + [(int(row["step"]), True, row) for row in evals]
    for _, is_eval, row in sorted(rows, key=lambda item: item[:2]):
        yield row, watchdog.observe_eval if is_eval else watchdog.observe_step
