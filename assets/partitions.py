"""The sets of partitions, read from the config files, and how they hang together."""

from pathlib import PurePath

import dagster as dg

from mw_pipeline.stages.place import Place

_place = Place.of()
_corpora = {name: _place.corpus_spec(name) for name in _place.names("corpora")}
_recipes = {name: _place.recipe(name) for name in _place.names("recipes")}


def source_key(corpus: str, source: str) -> str:
    """The partition key of one source of one corpus."""
    return f"{corpus}:{source}"


def corpus_and_source(key: str) -> tuple[str, str]:
    """The corpus and the source of a partition key."""
    corpus, _, source = key.partition(":")
    return corpus, source


_of_campaigns = [path for path in map(PurePath, _recipes) if len(path.parts) > 2 and path.parts[0] == "campaigns"]
_campaign_of = {path.as_posix(): path.parent.relative_to("campaigns").as_posix() for path in _of_campaigns}
_keys_of_corpus = {name: {source_key(name, source) for source in spec.sources} for name, spec in _corpora.items()}

sources = dg.StaticPartitionsDefinition(sorted(key for keys in _keys_of_corpus.values() for key in keys))
corpora = dg.StaticPartitionsDefinition(sorted(_corpora))
recipes = dg.StaticPartitionsDefinition(sorted(_recipes))
campaigns = dg.StaticPartitionsDefinition(_place.campaigns())

corpus_of_source = dg.StaticPartitionMapping({key: name for name, keys in _keys_of_corpus.items() for key in keys})
recipe_of_corpus = dg.StaticPartitionMapping(
    {corpus: {name for name, recipe in _recipes.items() if recipe.corpus == corpus} for corpus in _corpora}
)

_compared = {name.rpartition("/")[0]: recipe.corpus for name, recipe in _recipes.items() if "/losses/" in f"/{name}"}

loss_folders = dg.StaticPartitionsDefinition(sorted(_compared))
comparison_of_corpus = dg.StaticPartitionMapping(
    {corpus: {folder for folder, of in _compared.items() if of == corpus} for corpus in _corpora}
)
recipe_of_campaign = dg.StaticPartitionMapping(_campaign_of)
campaign_of_corpus = dg.StaticPartitionMapping(
    {
        corpus: {campaign for recipe, campaign in _campaign_of.items() if _recipes[recipe].corpus == corpus}
        for corpus in _corpora
    }
)
