"""`mw-pipeline score`: anyone's predictions against gold rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import add_gold_arguments, add_prediction_arguments, gold_of
from mw_pipeline.evaluate.evaluation import EXTERNAL_DECODER, as_table, evaluate
from mw_pipeline.evaluate.predictions import Prediction, read_predictions
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.labels import LabelSet, label_set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... --predictions FILE, and how to score."""
    add_gold_arguments(parser)
    add_prediction_arguments(parser, decoder=EXTERNAL_DECODER)


def run(args: argparse.Namespace) -> int:
    """Prints the scores as JSON on stdout and as a table on stderr."""
    golden = gold_of(args)
    predictions = read_predictions(args.predictions, golden)
    return print_scores(args, golden, predictions, decoder=args.decoder, labels=label_set(args.stage))


def print_scores(
    args: argparse.Namespace, golden: GoldenSet, predictions: Sequence[Prediction], *, decoder: str, labels: LabelSet
) -> int:
    """EXIT_OK, when the scores of predictions are on stdout and, as a table, on stderr."""
    asked = {name: getattr(args, name) for name in ("policy", "resamples", "seed")}
    report = evaluate(golden, predictions, decoder=decoder, labels=labels, **asked).report
    print(json.dumps(report, ensure_ascii=False))
    say(as_table(report))
    return EXIT_OK
