"""Everything before training, for those who start from the command line instead of the graph."""

from __future__ import annotations

from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import checks
from mw_pipeline.stages.corpus import build_manifest, build_shards
from mw_pipeline.stages.dataset import build_dataset, build_mix, build_tokenizer
from mw_pipeline.stages.findings import demand
from mw_pipeline.stages.golden import build_golden
from mw_pipeline.stages.place import Place, Progress, quiet

_REMEDY = "Repair this before going on."


def prepare_corpus(place: Place, corpus: str, *, progress: Progress = quiet) -> None:
    """Shards, gold and manifest of a corpus, made or found, each behind the checks that block it in the graph.

    Raises GateError naming the first check that fails."""
    for source in sorted(place.corpus_spec(corpus).sources):
        build_shards(place, corpus, source, progress=progress)
        for check in (checks.rows_match_schema, checks.rows_are_conserved, checks.quarantine_within_budget):
            demand(check, place, f"{corpus}:{source}", remedy=_REMEDY)
    build_golden(place, corpus)
    demand(checks.golden_is_valid, place, corpus, remedy=_REMEDY)
    build_manifest(place, corpus)
    for check in (checks.splits_are_disjoint, checks.licences_are_allowed, checks.golden_is_not_in_train):
        demand(check, place, corpus, remedy=_REMEDY)


def prepare_dataset(place: Place, recipe: Recipe, name: str, *, progress: Progress = quiet) -> None:
    """The corpus, mix, tokenizer and tokenized dataset of a recipe, each behind its blocking checks."""
    prepare_corpus(place, recipe.corpus, progress=progress)
    build_mix(place, name)
    demand(checks.mix_is_as_declared, place, name, remedy=_REMEDY)
    build_tokenizer(place, name, progress=progress)
    demand(checks.tokenizer_round_trips, place, name, remedy=_REMEDY)
    build_dataset(place, name, progress=progress)
    for check in (checks.labels_survive_tokenizing, checks.dataset_matches_schema):
        demand(check, place, name, remedy=_REMEDY)
