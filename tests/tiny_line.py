"""Runs the line of a tiny project, or one stage of it, in a process of its own: what the tests start, and kill."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tiny_project import place_at

from mw_pipeline.stages.closed_words import build_closed_words
from mw_pipeline.stages.corpus import build_shards
from mw_pipeline.stages.dataset import build_dataset, build_mix, build_tokenizer
from mw_pipeline.stages.diagnosis import build_diagnosis
from mw_pipeline.stages.evaluation import eval_report
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.release import packaged_weights
from mw_pipeline.stages.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages.upstream import prepare_dataset

STAGES: dict[str, Callable[[Place], object]] = {
    "corpus_shards": lambda place: build_shards(place, "builtin", "builtin"),
    "closed_words": lambda place: build_closed_words(place, "demo"),
    "source_mix": lambda place: build_mix(place, "demo"),
    "tokenizer": lambda place: build_tokenizer(place, "demo"),
    "tokenized_dataset": lambda place: build_dataset(place, "demo"),
    "smoke_checkpoint": lambda place: smoke_checkpoint(place, "demo"),
    "full_checkpoint": lambda place: full_checkpoint(place, "demo"),
}


def run_line(place: Place) -> None:
    """Everything for the recipe, from raw rows to packages."""
    prepare_dataset(place, place.recipe("demo"), "demo")
    smoke_checkpoint(place, "demo")
    full_checkpoint(place, "demo")
    eval_report(place, "demo")
    build_diagnosis(place, "demo")
    packaged_weights(place, "demo")


if __name__ == "__main__":
    here = place_at(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        run_line(here)
    for name in sys.argv[2:]:
        STAGES[name](here)
