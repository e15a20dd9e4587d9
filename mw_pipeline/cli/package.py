"""`mw-pipeline package`: the full run's checkpoint as packages, one per locale, behind every gate of a release."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import local_path, named_path
from mw_pipeline.cli.new_folder import new_folder
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.model.checkpoint import WEIGHTS
from mw_pipeline.stages import line
from mw_pipeline.stages.recomputation import unlock_made_again
from mw_pipeline.stages.shipping import demand_gates
from mw_pipeline.train.log import BEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R --checkpoint DIR --out DIR."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument(
        "--checkpoint",
        type=named_path,
        required=True,
        metavar="DIR",
        help="the full run's folder, or its best checkpoint",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="new folder: one package per locale"
    )


def run(args: argparse.Namespace) -> int:
    """Prints where the packages are and what they score. 1 without a passing verdict or behind a gate that refuses."""
    place = place_in_use()
    recipe = place.recipe(args.recipe)
    with new_folder(args.out) as draft:
        unlock_made_again(place, args.recipe, packaging=True)
        demand_best_of(args.checkpoint, line.full_checkpoint.demand(place, recipe))
        for stage in (line.eval_report, line.regression_diagnosis, line.capability_matrix, line.packaged_weights):
            built = stage.make(place, args.recipe, progress=say)
        demand_gates(place, args.recipe)
        for locale in recipe.package.locales:
            shutil.copytree(built.artifact.folder(locale), draft / locale)
    shown = {"out": str(args.out), "locales": list(recipe.package.locales), "digest": built.artifact.digest}
    print(json.dumps({**shown, "reused": built.reused, "metrics": built.artifact.metrics}, ensure_ascii=False))
    return EXIT_OK


def demand_best_of(checkpoint: Path, full: Artifact) -> Path:
    """The weights of a run or checkpoint folder, when they are those of the full run's best; else raises GateError."""
    path = next((p for p in (checkpoint / BEST / WEIGHTS, checkpoint / WEIGHTS) if p.is_file()), None)
    if path is None:
        raise ArtifactError(f"{checkpoint}: has no {WEIGHTS} and no {BEST}/{WEIGHTS}. Name a run or a checkpoint.")
    licensed = full.file(f"{BEST}/{WEIGHTS}")
    if sha256_file(path) != sha256_file(licensed):
        raise GateError(
            f"{path}: is not the best checkpoint of the full run that the verdict licensed. "
            f"Package {licensed.parent}, or train the recipe again."
        )
    return path
