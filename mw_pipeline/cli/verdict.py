"""`mw-pipeline verdict`: judges the log of a training run, whoever wrote it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.stages.place import Place
from mw_pipeline.verdict.judge import judge_run
from mw_pipeline.verdict.runlog import read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R --run DIR."""
    parser.add_argument("--recipe", required=True, metavar="R", help="recipe of the full run: a name, or a TOML file")
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder with steps.jsonl, evals.jsonl, run.json"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the verdict as JSON on stdout and one line on stderr; 0 for pass, 1 for fail and invalid."""
    judged = judge_run(Place.of().recipe(args.recipe), read_run(args.run))
    print(json.dumps(judged.to_json(), indent=2, ensure_ascii=False))
    say(judged.one_line())
    for text in judged.not_checked:
        say(f"not checked: {text}")
    return EXIT_OK if judged.outcome == "pass" else EXIT_REFUSED
