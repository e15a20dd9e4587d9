"""`mw-pipeline verdict`: judges the log of a training run, whoever wrote it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import local_path, named_path
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.digest import JSON
from mw_pipeline.verdict.judge import Verdict, judge_run
from mw_pipeline.verdict.logfiles import read_log
from mw_pipeline.verdict.runlog import RunLog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R --run PATH [--plot FILE]."""
    parser.add_argument("--recipe", required=True, metavar="R", help="recipe of the full run: a name, or a TOML file")
    parser.add_argument(
        "--run",
        type=named_path,
        required=True,
        metavar="PATH",
        help="folder with steps.jsonl, evals.jsonl, run.json; or a trainer_state.json, CSV, JSON lines or event file",
    )
    parser.add_argument(
        "--plot", type=local_path, metavar="FILE", help="draw the log and what was judged (.svg or .png)"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the verdict as JSON on stdout and one line on stderr; 0 for pass, 1 for fail and invalid."""
    log = read_log(args.run)
    judged = judge_run(place_in_use().recipe(args.recipe), log)
    value = {**judged.to_json(), "log": {"format": log.format, "columns": dict(log.columns)}}
    if args.plot is not None:
        _draw(log, judged, args.plot)
        value["plot"] = str(args.plot)
    print(json.dumps(value, indent=2, ensure_ascii=False))
    say(judged.one_line())
    for warning in judged.warnings:
        say(f"warning: {warning.rule} at step {warning.step}: {warning.reason}")
    for text in judged.not_checked:
        say(f"not checked: {text}")
    return EXIT_OK if judged.outcome == "pass" else EXIT_REFUSED


def _draw(log: RunLog, judged: Verdict, path: Path) -> None:
    from mw_pipeline.report.runs.charts import write_curves  # matplotlib takes a second to load

    verdict: JSON = judged.to_json()
    write_curves(log, verdict, path, title=f"{log.run.get('kind', log.format)}: {judged.outcome}")
