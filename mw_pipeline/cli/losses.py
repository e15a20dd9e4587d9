"""`mw-pipeline losses`: the losses of a folder of recipes, ranked by decoded F1 over several seeds."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import positive_count
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.stages import line
from mw_pipeline.stages.evidence import LossRanking, read_evidence
from mw_pipeline.stages.loss_folder import COMPARISON_FILE, TABLE_FILE
from mw_pipeline.stages.slices import COMPARED_SEEDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--folder F [--seeds N]."""
    parser.add_argument("--folder", required=True, metavar="F", help="folder below recipes/, such as losses")
    parser.add_argument(
        "--seeds", type=positive_count, default=COMPARED_SEEDS, metavar="N", help="runs of each loss, at least 3"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the ranking as JSON, and as a table for people; what the store has trained already costs nothing."""
    built = line.loss_comparison.make(place_in_use(), args.folder, progress=say, seeds=args.seeds)
    say(built.artifact.file(TABLE_FILE).read_text(encoding="utf-8"))
    print(json.dumps({"digest": built.artifact.digest, **read_evidence(built.artifact, COMPARISON_FILE, LossRanking)}))
    return EXIT_OK
