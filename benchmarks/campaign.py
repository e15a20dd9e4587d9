"""How robust the story of a campaign is: a recipe's decayed smoke, sustained smoke and unlicensed full run, over seeds.

Run as `python benchmarks/campaign.py RECIPE... [--seeds 3]`. The full run is trained although no smoke has licensed it,
under the watchdog as every run, with a permit that the benchmark writes itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from unlicensed import unlicensed

from mw_pipeline.campaign.outcomes import Kind, outcome_of
from mw_pipeline.digest import JSON
from mw_pipeline.recipe import Recipe, with_seed
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_dataset
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.runlog import read_run

DECAYED_STEPS = 400


def main() -> None:
    """Prints one JSON line a run, and one line for people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    for name in args.recipes:
        for seed in range(args.seeds):
            for row in runs_of(Place.of(), name, seed):
                print(json.dumps(row), flush=True)
                print(f"{row['run']}: {row['outcome']} {row['reason']}", file=sys.stderr, flush=True)


def runs_of(place: Place, name: str, seed: int) -> Iterator[dict[str, JSON]]:
    """The three runs of a recipe under a seed, in the order of what they cost."""
    recipe = place.recipe(name)
    prepare_dataset(place, name)
    recipe = with_seed(recipe, seed)
    smoke = recipe.smoke.model_copy(update={"mode": "cosine", "steps": DECAYED_STEPS})
    decayed = recipe.model_copy(update={"smoke": smoke})
    for title, run, kind in (("decayed", decayed, "smoke"), ("sustained", recipe, "smoke"), ("full", recipe, "full")):
        yield {"run": f"{recipe.name} {title}", **_trained(place, run, kind)}  # type: ignore[arg-type]


def _trained(place: Place, recipe: Recipe, kind: Kind) -> dict[str, JSON]:
    dataset = line.tokenized_dataset.demand(place, recipe).folder()
    tokenizer = line.tokenizer.demand(place, recipe).file("tokenizer.model")
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        plan = RunPlan(kind, recipe, dataset, tokenizer, Path(out, "run"))
        train(unlicensed(plan, Path(out, "permits")))
        found = outcome_of(recipe, read_run(plan.out), kind=kind).as_json()
    kept = ("outcome", "rule", "step", "reason", "best_f1", "best_step", "final_f1", "steps", "exposure_ratio", "f1")
    return {**{key: found[key] for key in kept}, "cpu_seconds": round(time.process_time() - begun, 1)}


if __name__ == "__main__":
    main()
