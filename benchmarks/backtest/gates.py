"""What each gate says to a smoke: this project's verdict, two rules of thumb, two public linters of logs."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losslint.checks import run_all_checks
from losslint.parsing import load_run
from losslint.report import exit_code
from trainproof.epoch import check_records

from backtest.answer import Answer, Gate, Smoke
from mw_pipeline.verdict.exposure import facts_of_run
from mw_pipeline.verdict.judge import verdict as judge
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, RunLog
from mw_pipeline.verdict.watchdog import Watchdog, in_step_order

FINAL_LOSS_SHARE = 0.5


def verdict(smoke: Smoke) -> Answer:
    """This project's verdict. A smoke that its watchdog stops costs the steps up to there."""
    entropy = run_facts(smoke.log.run).label_entropy
    judged = judge(facts_of_run(smoke.log.run), smoke.full, smoke.log.steps, smoke.log.evals, label_entropy=entropy)
    return Answer(judged.outcome == "pass", judged.rule or judged.outcome, watched(smoke.log).steps)


def no_gate(smoke: Smoke) -> Answer:
    """Every full run starts, and no smoke is run."""
    return Answer(True, "", 0)


def nan_rule(smoke: Smoke) -> Answer:
    """Stops when a logged number is not finite."""
    numbers = (row.get(name) for row in smoke.log.steps for name in ("loss", "grad_norm"))
    finite = all(n is None or math.isfinite(n) for n in numbers)
    return Answer(finite, "" if finite else "nan", _all_steps(smoke))


def final_loss_rule(smoke: Smoke) -> Answer:
    """Stops when the median of the last ten logged losses is not below half of the first logged loss."""
    losses = [float(row["loss"]) for row in smoke.log.steps]
    falls = statistics.median(losses[-10:]) < FINAL_LOSS_SHARE * losses[0]
    return Answer(falls, "" if falls else "final loss", _all_steps(smoke))


def losslint_at(severity: str) -> Gate:
    """The linter losslint, stopping at findings of a severity or above."""

    def gate(smoke: Smoke) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in _merged(smoke.log)))
            findings = run_all_checks(load_run(path))
        found = ", ".join(sorted({finding.check for finding in findings}))
        return Answer(not exit_code(findings, severity), found, _all_steps(smoke))

    return gate


def trainproof_at(*levels: str) -> Gate:
    """The linter trainproof, stopping at verdicts of the given levels."""

    def gate(smoke: Smoke) -> Answer:
        report = check_records(_merged(smoke.log))
        found = ", ".join(finding["id"] for finding in report["findings"] if finding["level"] in levels)
        return Answer(report["verdict"] not in levels, found, _all_steps(smoke))

    return gate


GATES: Mapping[str, Gate] = {
    "verdict": verdict,
    "no gate": no_gate,
    "NaN rule": nan_rule,
    "final-loss rule": final_loss_rule,
    "losslint, errors": losslint_at("error"),
    "losslint, warnings too": losslint_at("warning"),
    "trainproof, FAIL": trainproof_at("FAIL"),
    "trainproof, WARN too": trainproof_at("FAIL", "WARN"),
}


def _all_steps(smoke: Smoke) -> int:
    return int(smoke.log.steps[-1]["step"])


def watched(log: RunLog) -> Answer:
    """What the watchdog would have said while the run trained, and the step at which the run would have ended."""
    watchdog = Watchdog()
    for row, observe in in_step_order(watchdog, log.steps, log.evals):
        if (finding := observe(row)) is not None:
            return Answer(False, finding.rule, int(row["step"]))
    return Answer(True, "", int(log.steps[-1]["step"]))


def _merged(log: RunLog) -> list[dict[str, Any]]:
    """One row a step under the names that both linters know, evaluations in the row of their step."""
    rows: dict[int, dict[str, Any]] = {int(row["step"]): _renamed(row) for row in log.steps}
    for row in log.evals:
        rows.setdefault(int(row["step"]), {"step": int(row["step"])})["eval_loss"] = row["val_loss"]
    return [rows[step] for step in sorted(rows)]


def _renamed(row: Row) -> dict[str, Any]:
    names = {"step": "step", "loss": "loss", "lr": "lr", "grad_norm": "grad_norm", "wall_seconds": "time"}
    return {name: row[key] for key, name in names.items() if row.get(key) is not None}
