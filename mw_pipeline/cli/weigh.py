"""`mw-pipeline weigh`: the mix weights that give each source the share or the repetitions that someone wants."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import named_path
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.mix.doses import as_toml
from mw_pipeline.recipe import load_mix_wishes
from mw_pipeline.stages import line
from mw_pipeline.stages.dataset import weigh
from mw_pipeline.stages.upstream import prepare_corpus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R --wanted FILE."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument(
        "--wanted",
        type=named_path,
        required=True,
        metavar="FILE",
        help="TOML: per source `share` (0..1) or `repetitions`, and how the `rest` divides",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the weights and what each source will get; returns 1 when the sampler would not deliver them."""
    wishes = load_mix_wishes(args.wanted)
    place = place_in_use()
    recipe = place.recipe(args.recipe)
    prepare_corpus(place, recipe.corpus, progress=say)
    weights, mix = weigh(line.corpus_manifest.demand(place, recipe), recipe, wishes)
    say(as_toml(weights))
    say(mix.as_table())
    for sentence in (*mix.findings, *mix.warnings):
        say(sentence)
    print(json.dumps({"weights": weights, "toml": as_toml(weights), "mix": mix.as_json()}, ensure_ascii=False))
    return EXIT_REFUSED if mix.findings else EXIT_OK
