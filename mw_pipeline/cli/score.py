"""`mw-pipeline score`: anyone's predictions against gold rows."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mw_pipeline.evaluate.evaluation import EXTERNAL_DECODER, as_table, evaluate
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.labels import label_set
from mw_pipeline.metrics.matching import POLICIES
from mw_pipeline.metrics.resampling import RESAMPLES

NAME = "score"
HELP = "Score anyone's predictions on gold rows, with the same numbers."

_SHOWN_FINDINGS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... --predictions FILE, and how to score."""
    add_gold_arguments(parser)
    parser.add_argument(
        "--predictions", type=Path, required=True, help='JSON lines {"raw", "components"}, one per text'
    )
    parser.add_argument(
        "--decoder", default=EXTERNAL_DECODER, help="how values were decoded; compared with other scores"
    )
    parser.add_argument("--stage", type=int, choices=(2, 3), default=2, help="label set whose tags are scored")


def add_gold_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that score, evaluate and diagnose share."""
    parser.add_argument("--golden", type=Path, nargs="+", required=True, metavar="FILE", help="gold rows as JSON lines")
    parser.add_argument("--policy", choices=tuple(POLICIES), default="strict", help="when two values are equal")
    parser.add_argument("--resamples", type=positive_count, default=RESAMPLES, help="bootstrap draws of the intervals")
    parser.add_argument("--seed", type=int, default=0, help="seed of these draws")


def positive_count(text: str) -> int:
    """A whole number of at least 1. Raises ValueError for anything else, as argparse wants it."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def run(args: argparse.Namespace) -> int:
    """Prints the scores as JSON on stdout and as a table on stderr."""
    golden = load_golden(args.golden)
    show_findings(golden)
    found = evaluate(
        golden,
        read_predictions(args.predictions, golden),
        decoder=args.decoder,
        labels=label_set(args.stage),
        policy=args.policy,
        resamples=args.resamples,
        seed=args.seed,
    )
    print(json.dumps(found.report, ensure_ascii=False))
    print(as_table(found.report), file=sys.stderr)
    return 0


def show_findings(golden: GoldenSet) -> None:
    """Says on stderr what is wrong with the gold: it lowers the ceiling, or makes one row count twice."""
    for finding in golden.findings[:_SHOWN_FINDINGS]:
        print(f"gold: {finding}", file=sys.stderr)
    if len(golden.findings) > _SHOWN_FINDINGS:
        print(f"gold: {len(golden.findings) - _SHOWN_FINDINGS} more findings", file=sys.stderr)
