"""Runs the line of a tiny project, or one stage of it, in a process of its own: what the tests start, and kill."""

from __future__ import annotations

import sys
from pathlib import Path

from tiny_project import place_at

from mw_pipeline.stages.line import STAGES, packaged_weights, road_to
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_dataset


def run_stage(place: Place, name: str) -> None:
    """One stage of the recipe, or of the one source of its corpus."""
    stage = STAGES[name]
    (partition,) = stage.partitions(packaged_weights.subject(place, "demo"))
    stage.make(place, partition)


def run_line(place: Place) -> None:
    """Everything for the recipe, from raw rows to packages."""
    prepare_dataset(place, "demo")
    for stage in road_to(packaged_weights):
        if stage.maker and stage.node == stage.name:
            stage.make(place, *stage.partitions(packaged_weights.subject(place, "demo")))


if __name__ == "__main__":
    here = place_at(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        run_line(here)
    for name in sys.argv[2:]:
        run_stage(here, name)
