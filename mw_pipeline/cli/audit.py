"""`mw-pipeline audit`: the source mix of a recipe as its sampler draws it, and what is wrong with it."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.stages.dataset import audit_mix
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_corpus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")


def run(args: argparse.Namespace) -> int:
    """Prints the mix as JSON, and as a table for people; returns 1 when it is not as declared."""
    place = Place.of()
    recipe = place.recipe(args.recipe)
    prepare_corpus(place, recipe.corpus, progress=say)
    mix = audit_mix(place, recipe)
    say(mix.as_table())
    for sentence in (*mix.findings, *mix.warnings):
        say(sentence)
    print(json.dumps(mix.as_json(), ensure_ascii=False))
    return EXIT_REFUSED if mix.findings else EXIT_OK
