"""The line of a tiny project: all of it or one stage, run in a process that tests may kill, and what it has made."""

from __future__ import annotations

import sys
from pathlib import Path

from tiny_project import place_at

from mw_pipeline.artifact import Artifact
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.line import STAGES, packaged_weights
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import road_to
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


def made(place: Place, stage: str) -> Artifact:
    """The artifact of a stage of the recipe, or of the one source of its corpus."""
    return STAGES[stage].demand(place, "builtin:builtin" if stage == "corpus_shards" else "demo")


def remade_release(place: Place) -> Artifact:
    """Report, diagnosis, matrix and packages of the recipe, after a change of what they read of it."""
    for name in ("eval_report", "regression_diagnosis", "capability_matrix"):
        STAGES[name].make(place, "demo")
    return packaged_weights.make(place, "demo").artifact


def problems(check: Check, place: Place, partition: str = "demo") -> str:
    """All that a check finds wanting, as one text."""
    return "; ".join(check(place, partition).problems)


if __name__ == "__main__":
    here = place_at(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        run_line(here)
    for name in sys.argv[2:]:
        run_stage(here, name)
