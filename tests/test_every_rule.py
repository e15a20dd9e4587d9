"""M61: every rule of the verdict has a run that it stops, and the run that all of them are made from passes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from run_logs import FULL, H0, HEALTHY_F1, HEALTHY_LOSS, SMOKE, course, decide, diverging, eval_rows, line, step_rows

from mw_pipeline.digest import JSON
from mw_pipeline.verdict import invalid
from mw_pipeline.verdict.judge import Verdict
from mw_pipeline.verdict.watchdog import FAILURE_RULES, Watchdog

Rows = list[dict[str, JSON]]


def steps(change: Callable[[dict[str, JSON]], dict[str, JSON]], *, after: int) -> Rows:
    """The healthy log with a change to every row past a step."""
    return [{**row, **change(row)} if row["step"] > after else row for row in step_rows(SMOKE, HEALTHY_LOSS)]


def scores(curve: Callable[[int], float], **others: float) -> Rows:
    return eval_rows(SMOKE, curve, **others)


STOPPED: dict[str, Callable[[], Verdict]] = {
    "nonfinite": lambda: decide(steps=steps(lambda row: {"grad_norm": math.inf}, after=1500)),
    "rebound": lambda: decide(loss=diverging(1500, 2000)),
    "collapse": lambda: decide(f1=line([(0, 0.0), (1000, 0.4), (2000, 0.4), (2250, 0.29)])),
    "flat": lambda: decide(evals=scores(HEALTHY_F1, val_loss=0.97 * H0)),
    "rising": lambda: decide(loss=line([(0, 6.5), (900, 0.3), (1100, 0.3), (3000, 0.4)])),
    "unreal": lambda: decide(steps=steps(lambda row: {"loss": 0.3}, after=1500)),
    "exposure": lambda: decide(course("cosine", 3000)),
    "learning_rate": lambda: decide(steps=steps(lambda row: {"lr": None}, after=0)),
    "losses": lambda: decide(steps=step_rows(SMOKE, HEALTHY_LOSS, every=50)),
    "evals": lambda: decide(evals=eval_rows(SMOKE, HEALTHY_F1, every=750)),
    "effective_batch": lambda: decide(replace(SMOKE, effective_batch=8)),
    "peak_lr": lambda: decide(replace(SMOKE, peak_lr=1e-4), steps=step_rows(course(peak_lr=1e-4), HEALTHY_LOSS)),
    "precision": lambda: decide(replace(SMOKE, precision="bf16")),
    "device": lambda: decide(replace(SMOKE, device="cpu"), replace(FULL, device="cuda")),
    "digests": lambda: decide(replace(SMOKE, digests={"data": "a"}), replace(FULL, digests={"data": "b"})),
    "log_incomplete": lambda: decide(steps=step_rows(SMOKE, HEALTHY_LOSS, until=2500)),
    "schedule": lambda: decide(steps=step_rows(course("cosine", 3000), HEALTHY_LOSS)),
}


def test_every_rule_is_among_those_that_stop_a_run_here() -> None:
    source = Path(invalid.__file__).read_text(encoding="utf-8")
    reasons = set(re.findall(r'(?:Problem|_other_number|_other_word)\("(\w+)"', source))

    assert STOPPED.keys() == {*FAILURE_RULES, *reasons}


@pytest.mark.parametrize("rule", STOPPED)
def test_a_rule_stops_the_run_that_breaks_it_and_says_what_to_do(rule: str) -> None:
    judged = STOPPED[rule]()

    assert (judged.outcome, judged.rule) == ("fail" if rule in FAILURE_RULES else "invalid", rule)
    assert "; " in judged.reason  # the evidence, then the next move


def test_the_run_that_they_are_made_from_passes() -> None:
    assert decide().outcome == "pass"


def test_a_long_cosine_smoke_is_the_other_way_to_pass() -> None:
    # smoke.mode = "long-tail": near its peak from step 1000 to 4923, the first step after it is 4924.
    long_tail = decide(course("cosine", 10_000))

    assert (long_tail.outcome, long_tail.evidence["near_peak_window"]) == ("pass", [1000, 4924])
    assert decide(course("cosine", 10_000), loss=diverging(4000, 5000)).rule == "rebound"


@pytest.mark.parametrize("rule", ["nonfinite", "rebound", "unreal"])
def test_what_the_verdict_finds_at_once_stops_a_run_that_is_training(rule: str) -> None:
    logs: dict[str, Rows] = {
        "nonfinite": steps(lambda row: {"loss": math.nan}, after=1500),
        "rebound": step_rows(SMOKE, diverging(1500, 2000)),
        "unreal": steps(lambda row: {"loss": 0.3}, after=1500),
    }
    watchdog = Watchdog()
    stopped_at = next(row["step"] for row in logs[rule] if watchdog.observe_step(row) is not None)

    assert watchdog.findings[0].rule == rule
    assert 1500 < stopped_at < 1800
