"""Everything before training, for those who start from the command line instead of the graph."""

from __future__ import annotations

from mw_pipeline.stages.baseline import demand_baseline
from mw_pipeline.stages.check_answers import demand_checks
from mw_pipeline.stages.line import corpus_manifest
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.road import road_to, upstream_of


def prepare_corpus(place: Place, corpus: str, *, progress: Progress = quiet) -> None:
    """Shards, gold and manifest of a corpus, made or found, each behind the checks that block it in the graph.

    Raises GateError naming the first check that fails."""
    whole = corpus_manifest.subject(place, corpus)
    for stage in road_to(corpus_manifest):
        for partition in stage.partitions(whole):
            stage.make(place, partition, progress=progress)
            demand_checks(place, stage, partition)


def prepare_dataset(place: Place, recipe_name: str, *, progress: Progress = quiet) -> None:
    """The corpus, mix, closed words, tokenizer and tokenized dataset of a recipe, each behind its blocking checks.

    Raises before any of it as `Place.recipe` and `demand_baseline` do."""
    demand_baseline(place, place.recipe(recipe_name))
    for stage, partition in upstream_of(place, recipe_name):
        stage.make(place, partition, progress=progress)
        demand_checks(place, stage, partition)
