"""`mw-pipeline diagnose`: every miss in a bucket, and what changed since a baseline."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import add_gold_arguments, add_prediction_arguments, gold_of, named_path
from mw_pipeline.evaluate.diagnose import as_table, diagnose
from mw_pipeline.evaluate.evaluation import EXTERNAL_DECODER
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.labels import label_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... --predictions FILE [--baseline FILE] [--compat]."""
    add_gold_arguments(parser)
    add_prediction_arguments(parser, decoder=EXTERNAL_DECODER)
    parser.add_argument(
        "--baseline", type=named_path, metavar="FILE", help="predictions to compare with, decoded alike"
    )
    parser.add_argument("--compat", action="store_true", help="count every accent as non-Latin, as old tables did")


def run(args: argparse.Namespace) -> int:
    """Prints the diagnosis as JSON on stdout and as a table on stderr."""
    golden = gold_of(args)
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
    say(as_table(report))
    return EXIT_OK
