"""How a run of a campaign ended: what the rules found in its log, and the numbers that stand beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mw_pipeline.digest import JSON
from mw_pipeline.recipe import Recipe
from mw_pipeline.report.runs.tables import best_and_last
from mw_pipeline.verdict.exposure import facts_of_run
from mw_pipeline.verdict.invalid import Problem, gap_in_log
from mw_pipeline.verdict.judge import judge_run
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import RunLog
from mw_pipeline.verdict.soundness import has_converged, judge_whole_log

Kind = Literal["smoke", "full"]


@dataclass(frozen=True)
class RunOutcome:
    """The end of one run, from its own log.

    outcome         of a smoke: pass, fail or invalid; of a full run: sound, failed or unfinished
    rule, step      the rule that decided and the step where the failure began; None where nothing failed
    best_f1, final_f1  validation macro-F1, with their steps; both, because either alone misleads (M56)
    recent_fall     largest fall of macro-F1 from any of the last five evaluations to a later one
    steps           the last step in the log: what the run cost
    exposure_ratio  near-peak steps of this run for each one of the full run
    f1              (step, macro-F1) of every evaluation
    """

    kind: Kind
    outcome: str
    rule: str | None
    step: int | None
    reason: str
    best_f1: float | None
    best_step: int | None
    final_f1: float | None
    final_step: int | None
    recent_fall: float | None
    steps: int
    exposure_ratio: float | None
    peak_lr: float
    f1: tuple[tuple[int, float], ...]

    @property
    def failed(self) -> bool | None:
        """Whether the run failed; None where it has not shown it either way."""
        return {"fail": True, "failed": True, "pass": False, "sound": False}.get(self.outcome)

    def as_json(self) -> JSON:
        """All of it, with `failed`."""
        return {**dataclasses.asdict(self), "f1": [list(point) for point in self.f1], "failed": self.failed}


def kind_of(recipe: Recipe, log: RunLog) -> Kind:
    """Whether a log is of a smoke or of a full run: run.json says so, else its length at the peak rate does."""
    if log.run.get("kind") in ("smoke", "full"):
        return "smoke" if log.run["kind"] == "smoke" else "full"
    ratio = judge_run(recipe, log).exposure_ratio
    return "full" if ratio is not None and ratio >= 1.0 else "smoke"


def outcome_of(recipe: Recipe, log: RunLog, *, kind: Kind, verdict: Mapping[str, JSON] | None = None) -> RunOutcome:
    """The outcome of a log; `verdict` is the judgement of a smoke that has been given already.

    Raises ArtifactError when run.json holds a fact that no run could have."""
    judged = verdict if verdict is not None else judge_run(recipe, log).to_json()
    best_last = best_and_last(log.evals, "val_macro_f1", highest=True)
    best, last = best_last if best_last else (None, None)
    curve = _curve(log)
    rate = run_facts(log.run).peak_lr
    decided = _smoke(judged) if kind == "smoke" else _full(log)
    return RunOutcome(
        kind=kind,
        outcome=decided[0],
        rule=decided[1],
        step=decided[2],
        reason=decided[3],
        best_f1=best["val_macro_f1"] if best else None,
        best_step=best["step"] if best else None,
        final_f1=last["val_macro_f1"] if last else None,
        final_step=last["step"] if last else None,
        recent_fall=judged["evidence"]["recent_f1_fall"],
        steps=max((int(row["step"]) for row in (*log.steps[-1:], *log.evals[-1:])), default=0),
        exposure_ratio=judged["exposure_ratio"],
        peak_lr=recipe.train.peak_lr if rate is None else rate,
        f1=curve,
    )


def _curve(log: RunLog) -> tuple[tuple[int, float], ...]:
    rows = [row for row in log.evals if row.get("val_macro_f1") is not None]
    return tuple((int(row["step"]), float(row["val_macro_f1"])) for row in rows if math.isfinite(row["val_macro_f1"]))


Decision = tuple[str, str | None, int | None, str]


def _smoke(judged: Mapping[str, JSON]) -> Decision:
    return judged["outcome"], judged["rule"], judged["step"], judged["reason"]


def _full(log: RunLog) -> Decision:
    """The failure rules over the whole run.

    A run whose patience ended is whole where its log reaches the step at which it says so (M80)."""
    findings = judge_whole_log(log).findings
    if findings:
        first = findings[0]
        return "failed", first.rule, first.step, f"{first.rule} at step {first.step}: {first.reason}"
    converged, facts = has_converged(log.run), facts_of_run(log.run)
    converged_step = run_facts(log.run).step if converged else None
    if converged and not converged_step:
        problem = f"the run says 'CONVERGED' at step {log.run.get('step')!r}, expected a step that was trained"
        return "unfinished", "log_incomplete", None, problem
    end = converged_step or facts.steps
    cut = gap_in_log(dataclasses.replace(facts, steps=end), log.steps)
    if isinstance(cut, Problem):
        return "unfinished", cut.rule, None, cut.detail
    early = f": it converged at step {log.run['step']}, {log.run['converged']}" if converged else ""
    return "sound", None, None, f"no failure rule fired over the whole run{early}"
