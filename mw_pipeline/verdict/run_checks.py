"""Checks on a finished run that need more than its two logs: row losses, what a resume took back, and its smoke.

Each check takes the evidence and returns what it found, in words. Those of BLOCKING make a run unfit to be evaluated;
those of WARNING are for a person to judge, because honest runs can look like that too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

from mw_pipeline.sufficiency import shortages
from mw_pipeline.verdict.early_stop import Patience, converged_at
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.exposure import facts_of_run, rate_mismatch
from mw_pipeline.verdict.repeats import resume_is_exact, run_is_reproducible, run_stayed_on_one_machine
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, total_of
from mw_pipeline.verdict.soundness import judge_whole_log, soundness_findings

OVERFIT_EVALS = 3
LEAK_ERRORS = 3.0
EXACT_SHARE = 1e-9  # of the peak rate: this trainer logs the very number that it trained with


def problems_of_run(evidence: Evidence) -> list[str]:
    """Everything that makes a finished run unfit to be evaluated; empty for a sound one."""
    return [*soundness_findings(evidence.log), *(text for check in BLOCKING.values() for text in check(evidence))]


def warnings_of_run(evidence: Evidence) -> list[str]:
    """What a person should look at before the run is believed."""
    return [text for check in WARNING.values() for text in check(evidence)]


def rows_add_up(evidence: Evidence) -> list[str]:
    """The rows of all steps are steps × effective batch: nothing was trained twice or left out (M36)."""
    steps, run = evidence.log.steps, evidence.log.run
    if any(row.get("rows") is None for row in steps):
        return ["steps.jsonl has rows without rows"]
    if unsaid := run_facts(run).unsaid("step", "effective_batch"):
        return unsaid
    logged = total_of(steps, "rows")
    if logged is None:
        return ["the rows of some steps are no finite number"]
    wanted = int(run["step"]) * int(run["effective_batch"])
    return [] if logged == wanted else [f"the steps took {logged} rows, {wanted} are steps × effective batch"]


def passes_are_logged(evidence: Evidence) -> list[str]:
    """The last logged pass is the one that the rows drawn amount to, give or take a pool of batches."""
    run, passes = evidence.log.run, [int(row["pass"]) for row in evidence.log.steps if row.get("pass") is not None]
    if unsaid := run_facts(run).unsaid("step", "accumulation", "processes", "pool_batches", "passes"):
        return unsaid
    if not passes:
        return ["steps.jsonl has rows without pass"]
    counted = max(run["passes"].values())
    batches = max(1, run["step"] * run["accumulation"] * run["processes"])
    slack = 1 + counted * run["pool_batches"] / batches
    if abs(passes[-1] - math.floor(counted)) <= slack:
        return []
    return [f"the last logged pass is {passes[-1]}, the rows drawn are {counted:.2f} passes over their source"]


def rates_are_those_of_the_schedule(evidence: Evidence) -> list[str]:
    """The logged rate of every step is the schedule's own: no resume made it jump (M37)."""
    if unsaid := run_facts(evidence.log.run).unsaid("schedule", "max_steps", "warmup_steps", "peak_lr"):
        return unsaid
    mismatch = rate_mismatch(facts_of_run(evidence.log.run), evidence.log.steps, slack_share=EXACT_SHARE)
    return [] if mismatch is None else [str(mismatch)]


def early_stop_is_honest(evidence: Evidence) -> list[str]:
    """The run ended early where a replay of its validation rows ends it, and nowhere else (M26)."""
    facts, rows = run_facts(evidence.log.run), evidence.row_losses
    converged = facts.status == "CONVERGED"
    if facts.patience_evals is None:
        return ["the run says 'CONVERGED' and its recipe has no train.patience_evals"] if converged else []
    if converged and not rows:
        return ["the run says 'CONVERGED' and has no row_losses.jsonl to show it"]
    logged = {int(row["step"]): row.get("val_loss") for row in evidence.log.evals}
    for found in rows:
        claimed = logged.get(found.step)
        if claimed is None or not math.isclose(float(claimed), found.losses.mean, rel_tol=1e-4, abs_tol=1e-5):
            return [f"row_losses.jsonl has a mean of {found.losses.mean:.6g} at step {found.step}, the log {claimed!r}"]
    if lost := sorted(logged.keys() - {found.step for found in rows}):
        return [f"row_losses.jsonl lacks step {lost[0]}, which was evaluated"]
    if unsaid := facts.unsaid("patience_margin_share", "step", "max_steps"):
        return unsaid
    patience = Patience(evals=facts.patience_evals, margin_share=facts.patience_margin_share or 0.0)
    replayed = converged_at(rows, patience)
    step = facts.step if converged else None
    ends = replayed[0] if replayed else None
    if ends == step or (not converged and ends is not None and ends == facts.max_steps):
        return []
    return [f"the run {'converged at step ' + str(step) if converged else 'did not converge'}, a replay: {ends}"]


def device_is_as_asked(evidence: Evidence) -> list[str]:
    """The run trained on the device that the recipe names; "auto" takes what is there (M63)."""
    facts = run_facts(evidence.log.run)
    if unsaid := facts.unsaid("device_asked", "device"):
        return unsaid
    if str(facts.device_asked).partition(":")[0] in ("auto", facts.device):
        return []
    return [f"the recipe asks for device {facts.device_asked!r}, the run trained on {facts.device!r}"]


def not_overfit(evidence: Evidence) -> list[str]:
    """Warns when train falls, the gap to validation grows for three evaluations, and validation is worse than its best
    by more than two standard errors. best/ was kept, so the run may still be fit."""
    evals = [row for row in evidence.log.evals if _has_numbers(row, "val_loss", "train_eval_loss", "val_loss_se")]
    last = evals[-OVERFIT_EVALS - 1 :]
    if len(last) <= OVERFIT_EVALS:
        return []
    best = min(evals, key=lambda row: float(row["val_loss"]))
    falls = all(after["train_eval_loss"] < before["train_eval_loss"] for before, after in pairwise(last))
    grows = all(_gap(after) > _gap(before) for before, after in pairwise(last))
    if not (falls and grows and _worse(evidence, last[-1], best)):
        return []
    return [
        f"overfit: over the last {OVERFIT_EVALS} evaluations train fell to {last[-1]['train_eval_loss']:.4g} while "
        f"validation is {last[-1]['val_loss']:.4g}, {best['val_loss']:.4g} at step {best['step']}"
    ]


def _worse(evidence: Evidence, last: Row, best: Row) -> bool:
    """Above the best by two standard errors: of the paired differences where the row losses are there."""
    rows = {found.step: found.losses for found in evidence.row_losses}
    if last["step"] in rows and best["step"] in rows and rows[last["step"]].same_rows(rows[best["step"]]):
        return rows[last["step"]].gain_over(rows[best["step"]]).is_worse
    return bool(last["val_loss"] > best["val_loss"] + 2 * last["val_loss_se"])


def no_sign_of_a_leak(evidence: Evidence) -> list[str]:
    """Warns when validation rows are easier than rows that were trained on, by more than three standard errors.

    Seen rows should be the easier ones. Validation may be of other regions, and those may be easier honestly."""
    evals = [
        row for row in evidence.log.evals if _has_numbers(row, "val_loss", "train_eval_loss", "train_eval_loss_se")
    ]
    if not evals:
        return []
    last = evals[-1]
    error = math.hypot(float(last.get("val_loss_se") or 0.0), float(last["train_eval_loss_se"]))
    if not -_gap(last) > LEAK_ERRORS * error:
        return []
    return [
        f"leak: validation loss {last['val_loss']:.4g} is below that of trained rows, {last['train_eval_loss']:.4g}, "
        f"by {-_gap(last) / error if error else math.inf:.1f} standard errors"
    ]


def scores_have_settled(evidence: Evidence) -> list[str]:
    """Warns when macro-F1 fell by a tenth within the last five evaluations: many healthy runs do, so it stops none."""
    warnings = [w for w in judge_whole_log(evidence.log).warnings if w.rule == "swinging"]
    return [f"{warning.rule} at step {warning.step}: {warning.reason}" for warning in warnings]


def _gap(row: Row) -> float:
    return float(row["val_loss"]) - float(row["train_eval_loss"])


def _has_numbers(row: Row, *names: str) -> bool:
    return all(row.get(name) is not None and math.isfinite(row[name]) for name in names)


def data_was_enough(evidence: Evidence) -> list[str]:
    """Warns of labels with under 30 training pieces, of more than four passes over the rows on average, and of more
    parameters than pieces trained on (M27)."""
    facts = run_facts(evidence.log.run)
    return [
        *facts.unsaid("label_counts", "train_rows", "rows", "parameters", "tokens"),
        *shortages(
            facts.label_counts or {},
            rows=facts.train_rows,
            samples=facts.rows,
            parameters=facts.parameters,
            pieces=facts.tokens,
        ),
    ]


def no_line_was_torn(evidence: Evidence) -> list[str]:
    """Warns of what resumes had to drop or choose anew, as the run's notes say, and of a line cut short since (M80)."""
    return [*run_facts(evidence.log.run).notes, *evidence.notes]


Check = Callable[[Evidence], list[str]]

BLOCKING: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        rows_add_up,
        passes_are_logged,
        rates_are_those_of_the_schedule,
        resume_is_exact,
        run_is_reproducible,
        early_stop_is_honest,
        device_is_as_asked,
    )
}
WARNING: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        not_overfit,
        no_sign_of_a_leak,
        data_was_enough,
        scores_have_settled,
        run_stayed_on_one_machine,
        no_line_was_torn,
    )
}
