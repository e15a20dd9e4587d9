"""Training logs in the words of other trainers, and what the verdict makes of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from run_logs import FULL, Curve, line

from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import Verdict, verdict
from mw_pipeline.verdict.logfiles import read_log
from mw_pipeline.verdict.runlog import RunLog

PEAK, WARMUP, STEPS, EVERY, EVAL_EVERY = 5e-4, 60, 2400, 12, 150
LEARNS: Curve = line([(0, 2.9), (700, 0.35), (2400, 0.29)])
SCORES: Curve = line([(0, 0.0), (900, 0.81), (2400, 0.86)])
FALLS: Curve = line([(0, 0.0), (900, 0.81), (1500, 0.80), (1650, 0.3), (2400, 0.3)])
Records = list[dict[str, Any]]


def trained(loss: Curve = LEARNS, **others: Callable[[int], Any]) -> Records:
    """Records of steps in the words of Hugging Face, with a loss that is never twice the same."""
    return [
        {"step": s, "loss": loss(s) + 1e-4 * math.sin(s), "learning_rate": PEAK * min(1.0, s / WARMUP)}
        | {name: value(s) for name, value in others.items()}
        for s in range(EVERY, STEPS + 1, EVERY)
    ]


def evaluated(**columns: Curve) -> Records:
    """Records of evaluations, of each column its curve."""
    return [
        {"step": s, **{n: value(s) for n, value in columns.items()}} for s in range(EVAL_EVERY, STEPS + 1, EVAL_EVERY)
    ]


WHOLE = evaluated(eval_loss=lambda s: 0.4, eval_f1=SCORES)
"""Evaluations of a run that passes."""


def lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """The records as lines of JSON."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def table(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """The records as CSV, blank where one lacks a column."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for record in records for name in record)))
        writer.writeheader()
        writer.writerows(records)
    return path


def judge(log: RunLog) -> Verdict:
    """The verdict on a smoke of which nothing but its log is known."""
    full = RunFacts(FULL.schedule, 4000, WARMUP, None, PEAK)
    facts = RunFacts(resumed_from=tuple(log.run.get("resumed_from_steps", ())))
    return verdict(facts, full, log.steps, log.evals)


def of_lines(path: Path, records: Sequence[dict[str, Any]]) -> Verdict:
    """The verdict on these records, from a file in a folder."""
    return judge(read_log(lines(path / "log.jsonl", records)))
