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
    RunFacts,
    facts_of_run,
    full_facts,
    measure,
)
from mw_pipeline.verdict.invalid import Problem, problems_of
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, RunLog
from mw_pipeline.verdict.unseen import unseen
from mw_pipeline.verdict.watchdog import Finding, Watchdog, judge_log

Outcome = Literal["pass", "fail", "invalid"]

_ADVICE = {
    "nonfinite": "inspect the rows of that step, or lower train.peak_lr",
    "rebound": "lower train.peak_lr or change one loss term, and smoke again",
    "collapse": "lower train.peak_lr or change one loss term, and smoke again",
    "flat": "check labels, loss and train.peak_lr: a constant guess does as well",
    "rising": "lower train.peak_lr or change one loss term, and smoke again",
    "unreal": "repair the loop that wrote this log",
    "exposure": 'set smoke.mode = "constant" or raise smoke.steps, and smoke again',
    "learning_rate": "log the learning rate of every step, and smoke again",
    "losses": "lower train.log_every, and smoke again",
    "evals": "lower smoke.eval_every, and smoke again",
    "effective_batch": "give the smoke the full run's batch, and smoke again",
    "peak_lr": "smoke again with this recipe",
    "precision": "smoke again in the precision of the full run",
    "device": "smoke again on the kind of device that the full run will use",
    "digests": "smoke again with this recipe and data",
    "log_incomplete": "run the smoke to its end",
    "schedule": "run.json and log are not of one run: smoke again",
}


@dataclass(frozen=True)
class Verdict:
    """What a run has shown. `rule` and `step` name the first failure, or the first reason for invalid (no step).

    exposure_ratio = near-peak steps of the run ÷ those of the full run. `findings` and `problems` hold everything that
    fired, `warnings` what a person should look at and what fails nothing, `not_checked` what the log could not show and
    why.
    """

    outcome: Outcome
    rule: str | None
    step: int | None
    reason: str
    exposure_ratio: float | None
    evidence: Mapping[str, JSON]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Finding, ...]
    not_checked: tuple[str, ...]

    def to_json(self) -> JSON:
        """All of it. Equal verdicts have equal JSON, before and after a round trip through a file."""
        value = dataclasses.asdict(self)
        return {name: list(item) if isinstance(item, tuple) else item for name, item in value.items()}

    def one_line(self) -> str:
        """Outcome and reason for a terminal; the reason of a failure begins with its rule and step."""
        return f"{self.outcome}: {self.reason}"


def judge_run(
    recipe: Recipe, log: RunLog, *, digests: Mapping[str, str] | None = None, device: str | None = None
) -> Verdict:
    """The verdict on a log against the full run of a recipe. `digests` adds data and tokenizer of the full run.

    `device` is the kind of device that the full run will use, where more is known than the recipe says. Raises
    ArtifactError when run.json holds a fact that no run could have."""
    judged = verdict(
        facts_of_run(log.run),
        full_facts(recipe, digests, device=device),
        log.steps,
        log.evals,
        label_entropy=run_facts(log.run).label_entropy,
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
    watchdog = judge_log(
        steps, evals, window=exposure.window, label_entropy=label_entropy, resumed_from=recipe.resumed_from
    )
    findings = tuple(watchdog.findings)
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
        warnings=tuple(watchdog.warnings),
        not_checked=(*unknown, *unseen(steps, evals, window=exposure.window, label_entropy=label_entropy)),
    )


def _reason(findings: tuple[Finding, ...], problems: list[Problem], exposure: Exposure) -> str:
    """One sentence: what was judged, on which numbers, and the next move."""
    if findings:
        first = findings[0]
        return f"{first.rule} at step {first.step}: {first.reason}; {_ADVICE[first.rule]}"
    if problems:
        details = "; ".join(problem.detail for problem in problems)
        return f"this run cannot show what the full run will meet: {details}; {_ADVICE[problems[0].rule]}"
    return (
        f"no failure rule fired over {exposure.near_peak_steps} near-peak steps ({exposure.required_steps} required) "
        f"with {exposure.evals} evaluations and {exposure.losses} logged losses: the full run may start"
    )


def _evidence(
    watchdog: Watchdog, exposure: Exposure, steps: Sequence[Row], step: int | None, label_entropy: float | None
) -> dict[str, JSON]:
    fall = watchdog.f1.recent_fall()
    at = [row for row in steps if step is not None and row["step"] <= step and row.get("lr") is not None]
    numbers = {
        "learning_rate": at[-1]["lr"] if at else None,
        "loss_floor": watchdog.loss.floor,
        "loss_after": watchdog.loss.median,
        "peak_f1": watchdog.f1.peak,
        "f1_after": watchdog.f1.last,
        "recent_f1_fall": fall[0] - fall[1] if fall else 0.0 if watchdog.scores else None,
        "best_val_loss": watchdog.best_val_loss,
        "label_entropy": label_entropy,
    }
    return {
        # JSON has no NaN, and a NaN would differ from itself when the gate compares two verdicts.
        **{name: n if n is None or math.isfinite(n) else str(n) for name, n in numbers.items()},
        "near_peak_steps": exposure.near_peak_steps,
        "near_peak_steps_required": exposure.required_steps,
        "near_peak_window": list(exposure.window) if exposure.window else None,
        "losses_in_window": exposure.losses,
        "evals_in_window": exposure.evals,
        "last_step": steps[-1]["step"] if steps else None,
    }
