"""Checks on a finished run's own log: is it complete, real, finite, better than guessing, and honest about its end?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, RunLog, total_of
from mw_pipeline.verdict.watchdog import Watchdog, judge_log

STEP_COLUMNS = ("step", "pass", "lr", "loss", "grad_norm", "tokens", "tokens_per_second", "wall_seconds")
EVAL_COLUMNS = ("step", "val_loss", "val_macro_f1")


def soundness_findings(log: RunLog) -> list[str]:
    """Everything that makes a finished run unfit to be evaluated, in words; empty for a sound run.

    The rules are those of the run checks in docs/gates.md; losses are in nats per token."""
    return [
        *_incomplete(log),
        *_untruthful_status(log.run),
        *_wrong_token_total(log),
        *_first_loss_too_high(log),
        *_falling_passes(log.steps),
        *(f"{finding.rule} at step {finding.step}: {finding.reason}" for finding in judge_whole_log(log).findings),
    ]


def judge_whole_log(log: RunLog) -> Watchdog:
    """The failure rules over the whole run; `rising` belongs to a smoke's window and is not asked here.

    Raises ArtifactError when run.json holds a fact that no run could have."""
    facts = run_facts(log.run)
    return judge_log(
        log.steps, log.evals, label_entropy=facts.label_entropy, resumed_from=tuple(facts.resumed_from_steps)
    )


def _incomplete(log: RunLog) -> list[str]:
    found = [*log.notes]
    for name, rows, columns in (("steps.jsonl", log.steps, STEP_COLUMNS), ("evals.jsonl", log.evals, EVAL_COLUMNS)):
        if not rows:
            found.append(f"{name} has no rows")
            continue
        missing = [column for column in columns if any(row.get(column) is None for row in rows)]
        if missing:
            found.append(f"{name} has rows without {', '.join(missing)}")
    if any((row.get("tokens") or 0) <= 0 for row in log.steps):
        found.append("some steps trained on no tokens")
    return found


def _untruthful_status(run: Row) -> list[str]:
    """A run that ended before its steps may not call itself completed; CONVERGED is for patience alone (M26)."""
    status, step, planned = run.get("status"), run.get("step"), run.get("max_steps")
    if unsaid := run_facts(run).unsaid("status", "step", "max_steps"):
        return unsaid
    if has_converged(run):
        return []
    if status != "COMPLETED":
        return [f"the run ended as {status!r} at step {step} of {planned}, expected 'COMPLETED'"]
    return [] if step == planned else [f"the run says 'COMPLETED' at step {step} of {planned}"]


def has_converged(run: Row) -> bool:
    """Whether a run says that its patience ended, and on what numbers: an end like that of all steps."""
    return run.get("status") == "CONVERGED" and bool(run.get("converged"))


def _wrong_token_total(log: RunLog) -> list[str]:
    total, logged = log.run.get("tokens"), total_of(log.steps, "tokens")
    if logged is None:
        return ["the tokens of some steps are no finite number"]
    return [] if total == logged else [f"run.json counts {total} training tokens, the steps {logged}"]


def _first_loss_too_high(log: RunLog) -> list[str]:
    """Before the first step validation loss is at most 2 ln K from scratch: above that labels or loss are wrong.

    From weights that were trained before it is at most H0, for they know more than the label frequencies. The first
    evaluation must keep it too, and alone where the run did not look before its first step."""
    facts = run_facts(log.run)
    seen = [facts.initial_val_loss, log.evals[0].get("val_loss") if log.evals else None]
    losses = [float(value) for value in seen if value is not None]
    tuned = facts.initial_weights not in (None, "random")
    if facts.label_entropy is None or facts.label_count is None:
        return facts.unsaid("label_entropy", "label_count")
    most, name = (facts.label_entropy, "H0") if tuned else (2 * math.log(facts.label_count), "2 ln K")
    high = [loss for loss in losses if not loss <= most]
    return [f"the first validation loss is {high[0]:.3f}, above {name} = {most:.3f}"] if high else []


def _falling_passes(steps: Sequence[Row]) -> list[str]:
    passes = [int(row["pass"]) for row in steps if row.get("pass") is not None]
    return ["the logged passes over the data go back"] if any(b < a for a, b in pairwise(passes)) else []
