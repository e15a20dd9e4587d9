"""`mw-pipeline score`: anyone's predictions against gold rows."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import add_gold_arguments, add_prediction_arguments, gold_of
from mw_pipeline.evaluate.evaluation import EXTERNAL_DECODER, as_table, evaluate
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.labels import label_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... --predictions FILE, and how to score."""
    add_gold_arguments(parser)
    add_prediction_arguments(parser, decoder=EXTERNAL_DECODER)


def run(args: argparse.Namespace) -> int:
    """Prints the scores as JSON on stdout and as a table on stderr."""
    golden = gold_of(args)
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
    say(as_table(found.report))
    return EXIT_OK
