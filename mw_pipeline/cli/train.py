"""`mw-pipeline train`: a recipe's smoke, or its full run behind the smoke's verdict."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.new_folder import new_folder
from mw_pipeline.stages import checks
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages.upstream import prepare_dataset
from mw_pipeline.stages.verdict import build_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R [--smoke] [--resume DIR] --out DIR."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for logs and checkpoints")
    parser.add_argument("--smoke", action="store_true", help="the short run at sustained peak rate, and its verdict")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="folder of an interrupted run to go on from")


def run(args: argparse.Namespace) -> int:
    """Prints what was made as JSON; returns 1 when the smoke's verdict is no pass, or the full run is not sound.

    A full run that is refused raises."""
    place = Place.of()
    recipe = place.recipe(args.recipe)
    with new_folder(args.out) as draft:
        prepare_dataset(place, recipe, args.recipe, progress=say)
        stage = smoke_checkpoint if args.smoke else full_checkpoint
        built = stage(place, args.recipe, progress=say, resume_from=args.resume)
        shutil.copytree(built.artifact.folder(), draft, dirs_exist_ok=True)
    verdict = build_verdict(place, recipe)[1]
    unsound = () if args.smoke else checks.run_is_sound(place, args.recipe).problems
    for sentence in unsound:
        say(sentence)
    judged = {"reused": built.reused, "verdict": verdict.outcome, "findings": list(unsound)}
    print(json.dumps(_summary(built.artifact, args.out) | judged))
    return EXIT_OK if verdict.outcome == "pass" and not unsound else EXIT_REFUSED


def _summary(artifact: Artifact, out: Path) -> dict[str, object]:
    return {"kind": artifact.kind, "digest": artifact.digest, "out": str(out), **artifact.metrics}
