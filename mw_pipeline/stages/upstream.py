"""Everything before training, for those who start from the command line instead of the graph."""

from __future__ import annotations

from mw_pipeline.recipe import Recipe
from mw_pipeline.stages.closed_words import build_closed_words
from mw_pipeline.stages.corpus import build_manifest, build_shards
from mw_pipeline.stages.dataset import build_dataset, build_mix, build_tokenizer
from mw_pipeline.stages.gates import demand_checks
from mw_pipeline.stages.golden import build_golden
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recipe_fit import demand_gates_known


def prepare_corpus(place: Place, corpus: str, *, progress: Progress = quiet) -> None:
    """Shards, gold and manifest of a corpus, made or found, each behind the checks that block it in the graph.

    Raises GateError naming the first check that fails."""
    for source in sorted(place.corpus_spec(corpus).sources):
        build_shards(place, corpus, source, progress=progress)
        demand_checks(place, "corpus_shards", f"{corpus}:{source}")
    build_golden(place, corpus)
    demand_checks(place, "golden_set", corpus)
    build_manifest(place, corpus)
    demand_checks(place, "corpus_manifest", corpus)


def prepare_dataset(place: Place, recipe: Recipe, name: str, *, progress: Progress = quiet) -> None:
    """The corpus, mix, closed words, tokenizer and tokenized dataset of a recipe, each behind its blocking checks.

    Raises RecipeError before any of it for a gate that would ask nothing."""
    demand_gates_known(place, recipe)
    prepare_corpus(place, recipe.corpus, progress=progress)
    build_mix(place, name)
    demand_checks(place, "source_mix", name)
    build_closed_words(place, name)
    demand_checks(place, "closed_words", name)
    build_tokenizer(place, name, progress=progress)
    demand_checks(place, "tokenizer", name)
    build_dataset(place, name, progress=progress)
    demand_checks(place, "tokenized_dataset", name)
