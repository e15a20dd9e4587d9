"""Everything before training, for those who start from the command line instead of the graph."""

from __future__ import annotations

from mw_pipeline.errors import GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import checks
from mw_pipeline.stages.corpus import build_golden, build_manifest, build_shards
from mw_pipeline.stages.dataset import build_dataset, build_mix, build_tokenizer
from mw_pipeline.stages.findings import Findings
from mw_pipeline.stages.place import Place, Progress, quiet


def prepare_corpus(place: Place, corpus: str, *, progress: Progress = quiet) -> None:
    """Shards, gold and manifest of a corpus, made or found, each behind the checks that block it in the graph.

    Raises GateError naming the first check that fails."""
    for source in sorted(place.corpus_spec(corpus).sources):
        build_shards(place, corpus, source, progress=progress)
        partition = f"{corpus}:{source}"
        for check in (checks.rows_match_schema, checks.rows_are_conserved, checks.quarantine_within_budget):
            _demand(check.__name__, check(place, partition))
    build_golden(place, corpus)
    _demand("golden_is_valid", checks.golden_is_valid(place, corpus))
    build_manifest(place, corpus)
    for check in (checks.splits_are_disjoint, checks.licences_are_allowed, checks.golden_is_not_in_train):
        _demand(check.__name__, check(place, corpus))


def prepare_dataset(place: Place, recipe: Recipe, name: str, *, progress: Progress = quiet) -> None:
    """The corpus, mix, tokenizer and tokenized dataset of a recipe, each behind its blocking checks."""
    prepare_corpus(place, recipe.corpus, progress=progress)
    build_mix(place, name)
    _demand("mix_is_as_declared", checks.mix_is_as_declared(place, name))
    build_tokenizer(place, name, progress=progress)
    _demand("tokenizer_round_trips", checks.tokenizer_round_trips(place, name))
    build_dataset(place, name, progress=progress)
    for check in (checks.labels_survive_tokenizing, checks.dataset_matches_schema):
        _demand(check.__name__, check(place, name))


def _demand(name: str, found: Findings) -> None:
    if found.problems:
        raise GateError(f"{name} does not hold: {'; '.join(found.problems)}. Repair this before going on.")
