"""`mw-pipeline train`: a recipe's smoke, or its full run behind the smoke's verdict."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import local_path, named_path
from mw_pipeline.cli.new_folder import new_folder
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.cli.supervise import ChildCommand
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.attempts import ATTEMPTS_FILE, AttemptLog, keep_trying, saved_step
from mw_pipeline.stages.place import Place, seconds_of
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.stages.upstream import prepare_dataset

BACKOFF_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R [--smoke] [--resume DIR] [--time-limit T [--in-parts]] [--attempts N] --out DIR."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="new folder for logs and checkpoints"
    )
    parser.add_argument("--smoke", action="store_true", help="the short run at sustained peak rate, and its verdict")
    parser.add_argument("--resume", type=named_path, metavar="DIR", help="folder of an interrupted run to go on from")
    parser.add_argument("--time-limit", metavar="T", help="refuse what cannot end in so long: seconds, 90m or 1.5h")
    parser.add_argument("--in-parts", action="store_true", default=None, help="train up to the limit, go on next time")
    parser.add_argument("--attempts", type=int, default=1, metavar="N", help="start again after what a retry cures")


def run(args: argparse.Namespace) -> int:
    """Prints what was made as JSON; returns 1 when the smoke's verdict is no pass, or the full run is not sound.

    A full run that is refused raises. With more than one attempt a child process does it, and OUT.attempts.jsonl has a
    row for each that failed."""
    if args.attempts > 1:
        return _supervised(args)
    place = place_in_use(time_limit=args.time_limit, in_parts=args.in_parts)
    recipe = place.recipe(args.recipe)
    with new_folder(args.out) as draft:
        prepare_dataset(place, args.recipe, progress=say)
        stage = line.smoke_checkpoint if args.smoke else line.full_checkpoint
        built = stage.make(place, args.recipe, progress=say, resume_from=args.resume)
        shutil.copytree(built.artifact.folder(), draft, dirs_exist_ok=True)
    verdict = build_verdict(place, recipe)
    unsound = () if args.smoke else checks.run_is_sound(place, args.recipe).problems
    for sentence in unsound:
        say(sentence)
    judged = {"reused": built.reused, "verdict": verdict.outcome, "findings": list(unsound)}
    print(json.dumps(_summary(built.artifact, args.out) | judged))
    return EXIT_OK if verdict.outcome == "pass" and not unsound else EXIT_REFUSED


def _supervised(args: argparse.Namespace) -> int:
    place, stage = Place.of().remembering(), line.smoke_checkpoint if args.smoke else line.full_checkpoint
    words = ["--smoke"] * args.smoke + ["--in-parts"] * bool(args.in_parts)
    words += ["--resume", str(args.resume)] if args.resume else []
    seconds = seconds_of(args.time_limit) if args.time_limit else None
    child = ChildCommand(["train", "--recipe", args.recipe, "--out", str(args.out), *words], seconds=seconds)
    log = AttemptLog(
        args.out.with_name(f"{args.out.name}.{ATTEMPTS_FILE}"),
        run=f"{os.getpid()}-{time.time():.0f}",
        allowed=args.attempts,
        backoff_seconds=BACKOFF_SECONDS,
    )
    return keep_trying(child.run, log, step=lambda: saved_step(place, stage, args.recipe), say=say)


def _summary(artifact: Artifact, out: Path) -> dict[str, object]:
    return {"kind": artifact.kind, "digest": artifact.digest, "out": str(out), **artifact.metrics}
