"""The verdict on a run: pass, fail or invalid, a pure function of its log and of the full run that it is to license.

The same rules watch a run while it trains (`Watchdog`) and judge it afterwards (`verdict`): the verdict replays the log
through a watchdog. A failure found in the log outranks `invalid`, because a smoke that diverged has answered.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mw_pipeline.digest import JSON
from mw_pipeline.recipe import Recipe
from mw_pipeline.verdict.exposure import (
    Exposure,
    Problem,
    RunFacts,
    facts_of_run,
    full_facts,
    measure,
    number_of,
    problems_of,
)
from mw_pipeline.verdict.rules import (
    FLAT_SHARE_OF_ENTROPY,
    F1Trend,
    Hit,
    LossTrend,
    Pace,
    Standstill,
    Window,
    nonfinite_number,
)
from mw_pipeline.verdict.runlog import Row, RunLog

Outcome = Literal["pass", "fail", "invalid"]

FAILURE_RULES = ("nonfinite", "rebound", "collapse", "drift", "flat", "rising", "unreal")
_STEP_NUMBERS = ("loss", "grad_norm", "ce", "crf", "lr")
_EVAL_NUMBERS = ("val_loss", "val_macro_f1")

_ADVICE = {
    "nonfinite": "inspect the rows of that step, or lower train.peak_lr",
    "rebound": "lower train.peak_lr or change one loss term, and smoke again",
    "collapse": "lower train.peak_lr or change one loss term, and smoke again",
    "drift": "lengthen the smoke until its F1 settles, or lower train.peak_lr",
    "flat": "check labels and loss: a constant guess does as well",
    "rising": "lower train.peak_lr or change one loss term, and smoke again",
    "unreal": "repair the loop that wrote this log",
    "exposure": 'set smoke.mode = "constant" or raise smoke.steps, and smoke again',
    "evals": "lower smoke.eval_every, and smoke again",
    "effective_batch": "give the smoke the full run's batch, and smoke again",
    "peak_lr": "smoke again with this recipe",
    "digests": "smoke again with this recipe and data",
    "log_incomplete": "run the smoke to its end",
    "schedule": "run.json and log are not of one run: smoke again",
}


@dataclass(frozen=True)
class Finding:
    """One failure rule that fired: the step where the failure began, and the numbers in words."""

    rule: str
    step: int
    reason: str


class Watchdog:
    """Applies the failure rules while a run logs; each rule fires once.

    `window` is the near-peak stretch (first step, first step after it), without which `rising` is not judged;
    `label_entropy` the H0 of the training labels in nats per token, without which `flat` is not. A run that trains
    stops at the first finding. `drift`, `flat`, `rising` and a fall at the last evaluation are known at the end only:
    call `finish`.
    """

    def __init__(self, *, window: tuple[int, int] | None = None, label_entropy: float | None = None) -> None:
        self.findings: list[Finding] = []
        self.loss = LossTrend()
        self.f1 = F1Trend()
        self.best_val_loss: float | None = None
        self._window = Window(*window) if window else None
        self._label_entropy = label_entropy
        self._standstills = {name: Standstill(name) for name in ("loss", "grad_norm")}
        self._pace = Pace()
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
        bad = nonfinite_number(row, _EVAL_NUMBERS)
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
            self._add("flat", self._flat())
            self._add("rising", self._window.hit() if self._window else None)
        return tuple(sorted(self.findings, key=lambda f: (f.step, FAILURE_RULES.index(f.rule))))

    def _flat(self) -> Hit | None:
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


# --- the verdict ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What a run has shown. `rule` and `step` name the first failure, or the first reason for invalid (no step).

    exposure_ratio = near-peak steps of the run ÷ those of the full run. `findings` and `problems` hold everything that
    fired, `not_checked` what the log could not show and why.
    """

    outcome: Outcome
    rule: str | None
    step: int | None
    reason: str
    exposure_ratio: float | None
    evidence: Mapping[str, JSON]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    not_checked: tuple[str, ...]

    def to_json(self) -> JSON:
        """All of it. Equal verdicts have equal JSON, before and after a round trip through a file."""
        value = dataclasses.asdict(self)
        return {name: list(item) if isinstance(item, tuple) else item for name, item in value.items()}

    def one_line(self) -> str:
        """Outcome and reason for a terminal; the reason of a failure begins with its rule and step."""
        return f"{self.outcome}: {self.reason}"


def judge_run(recipe: Recipe, log: RunLog, *, digests: Mapping[str, str] | None = None) -> Verdict:
    """The verdict on a log against the full run of a recipe. `digests` adds data and tokenizer of the full run.

    Raises ArtifactError when run.json holds a fact of the wrong kind."""
    judged = verdict(
        facts_of_run(log.run),
        full_facts(recipe, digests),
        log.steps,
        log.evals,
        label_entropy=number_of(log.run, "label_entropy"),
    )
    return dataclasses.replace(judged, not_checked=(*judged.not_checked, *log.notes))


def verdict(
    recipe: RunFacts,
    full_recipe: RunFacts,
    steps: Sequence[Row],
    evals: Sequence[Row],
    *,
    label_entropy: float | None = None,
) -> Verdict:
    """The verdict on the run that `recipe` describes, as evidence for the run that `full_recipe` describes.

    `steps` and `evals` are rows in step order, `label_entropy` is H0 in nats per token.
    """
    exposure = measure(recipe, full_recipe, steps, evals)
    watchdog = Watchdog(window=exposure.window, label_entropy=label_entropy)
    findings = replay(watchdog, steps, evals)
    problems, unknown = problems_of(recipe, full_recipe, exposure, steps)
    outcome: Outcome = "fail" if findings else "invalid" if problems else "pass"
    step = findings[0].step if findings else None
    return Verdict(
        outcome=outcome,
        rule=findings[0].rule if findings else problems[0].rule if problems else None,
        step=step,
        reason=_reason(findings, problems, exposure),
        exposure_ratio=exposure.ratio,
        evidence=_evidence(watchdog, exposure, steps, step, label_entropy),
        findings=findings,
        problems=tuple(problems),
        not_checked=(*unknown, *_columns_missing(exposure, steps, evals, label_entropy)),
    )


def replay(watchdog: Watchdog, steps: Sequence[Row], evals: Sequence[Row]) -> tuple[Finding, ...]:
    """Feeds the log in step order; at equal steps the training row comes first."""
    rows = [(int(row["step"]), False, row) for row in steps] + [(int(row["step"]), True, row) for row in evals]
    for _, is_eval, row in sorted(rows, key=lambda item: item[:2]):
        if is_eval:
            watchdog.observe_eval(row)
        else:
            watchdog.observe_step(row)
    return watchdog.finish()


def _reason(findings: tuple[Finding, ...], problems: list[Problem], exposure: Exposure) -> str:
    """One sentence: what was judged, on which numbers, and the next move."""
    if findings:
        first = findings[0]
        return f"{first.rule} at step {first.step}: {first.reason}; {_ADVICE[first.rule]}"
    if problems:
        details = "; ".join(problem.detail for problem in problems)
        return f"this run cannot show what the full run will meet: {details}; {_ADVICE[problems[0].rule]}"
    if exposure.near_peak_steps is None:
        return "no failure rule fired, but how long the run stayed near its peak rate is not known"
    return (
        f"no failure rule fired over {exposure.near_peak_steps} near-peak steps ({exposure.required_steps} required) "
        f"with {exposure.evals} evaluations: the full run may start"
    )


def _evidence(
    watchdog: Watchdog, exposure: Exposure, steps: Sequence[Row], step: int | None, label_entropy: float | None
) -> dict[str, JSON]:
    at = [row for row in steps if step is not None and row["step"] <= step and row.get("lr") is not None]
    numbers = {
        "learning_rate": at[-1]["lr"] if at else None,
        "loss_floor": watchdog.loss.floor,
        "loss_after": watchdog.loss.median,
        "peak_f1": watchdog.f1.peak,
        "f1_after": watchdog.f1.last,
        "best_val_loss": watchdog.best_val_loss,
        "label_entropy": label_entropy,
    }
    return {
        # JSON has no NaN, and a NaN would differ from itself when the gate compares two verdicts.
        **{name: n if n is None or math.isfinite(n) else str(n) for name, n in numbers.items()},
        "near_peak_steps": exposure.near_peak_steps,
        "near_peak_steps_required": exposure.required_steps,
        "near_peak_window": list(exposure.window) if exposure.window else None,
        "evals_in_window": exposure.evals,
        "last_step": steps[-1]["step"] if steps else None,
    }


def _columns_missing(
    exposure: Exposure, steps: Sequence[Row], evals: Sequence[Row], label_entropy: float | None
) -> list[str]:
    """Rules that had nothing to look at, and what they would have needed."""
    present = {name for row in (*steps, *evals) for name, value in row.items() if value is not None}
    needs = {
        "rebound": ("loss", "steps.jsonl has no loss"),
        "unreal gradients": ("grad_norm", "steps.jsonl has no grad_norm"),
        "unreal step times": ("wall_seconds", "steps.jsonl has no wall_seconds"),
        "collapse and drift": ("val_macro_f1", "evals.jsonl has no val_macro_f1"),
        "flat": ("val_loss", "evals.jsonl has no val_loss"),
    }
    missing = [f"{rule}: {reason}" for rule, (column, reason) in needs.items() if column not in present]
    if label_entropy is None:
        missing.append("flat: the label entropy is not known")
    if exposure.window is None:
        missing.append("rising: the near-peak window is not known")
    return missing
