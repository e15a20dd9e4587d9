"""`mw-pipeline diagnose`: every miss in a bucket, and what changed since a baseline."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mw_pipeline.cli.score import add_gold_arguments, show_findings
from mw_pipeline.evaluate.diagnose import as_table, diagnose
from mw_pipeline.evaluate.evaluation import EXTERNAL_DECODER
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.golden.gold import load_golden
from mw_pipeline.labels import label_set

NAME = "diagnose"
HELP = "Sort every miss into a bucket, and compare with a baseline."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... --predictions FILE [--baseline FILE] [--compat]."""
    add_gold_arguments(parser)
    parser.add_argument(
        "--predictions", type=Path, required=True, help='JSON lines {"raw", "components"}, one per text'
    )
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="predictions to compare with, decoded alike")
    parser.add_argument("--decoder", default=EXTERNAL_DECODER, help="how values were decoded")
    parser.add_argument("--stage", type=int, choices=(2, 3), default=2, help="label set whose tags are looked at")
    parser.add_argument("--compat", action="store_true", help="count every accent as non-Latin, as old tables did")


def run(args: argparse.Namespace) -> int:
    """Prints the diagnosis as JSON on stdout and as a table on stderr."""
    golden = load_golden(args.golden)
    show_findings(golden)
    report = diagnose(
        golden,
        read_predictions(args.predictions, golden),
        decoder=args.decoder,
        labels=label_set(args.stage),
        policy=args.policy,
        compat=args.compat,
        baseline=read_predictions(args.baseline, golden) if args.baseline else None,
        resamples=args.resamples,
        seed=args.seed,
    )
    print(json.dumps(report, ensure_ascii=False))
    print(as_table(report), file=sys.stderr)
    return 0
