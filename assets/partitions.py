"""The sets of partitions, read from the config files, and how they hang together."""

import dagster as dg

from mw_pipeline.stages.partitions import partitions_of
from mw_pipeline.stages.stage import Per
from resources.place import PlaceResource

_known = partitions_of(PlaceResource().open())
for _problem in _known.problems:
    dg.get_dagster_logger("config").warning(_problem)

_keys_of_corpus = {name: {f"{name}:{source}" for source in of} for name, of in _known.sources.items()}
_campaign_of = _known.campaign_of
_compared = _known.loss_folders

sources = dg.StaticPartitionsDefinition(sorted(key for keys in _keys_of_corpus.values() for key in keys))
corpora = dg.StaticPartitionsDefinition(sorted(_known.sources))
recipes = dg.StaticPartitionsDefinition(sorted(_known.corpus_of))
campaigns = dg.StaticPartitionsDefinition(list(_known.campaigns))
loss_folders = dg.StaticPartitionsDefinition(sorted(_compared))

corpus_of_source = dg.StaticPartitionMapping({key: name for name, keys in _keys_of_corpus.items() for key in keys})
recipe_of_corpus = dg.StaticPartitionMapping(
    {corpus: {name for name, of in _known.corpus_of.items() if of == corpus} for corpus in _known.sources}
)
comparison_of_corpus = dg.StaticPartitionMapping(
    {corpus: {folder for folder, of in _compared.items() if of == corpus} for corpus in _known.sources}
)
recipe_of_campaign = dg.StaticPartitionMapping(_campaign_of)
campaign_of_corpus = dg.StaticPartitionMapping(
    {
        corpus: {campaign for recipe, campaign in _campaign_of.items() if _known.corpus_of[recipe] == corpus}
        for corpus in _known.sources
    }
)

SETS: dict[Per, dg.StaticPartitionsDefinition] = {
    "source": sources,
    "corpus": corpora,
    "recipe": recipes,
    "loss folder": loss_folders,
    "campaign": campaigns,
}
MAPPINGS: dict[tuple[Per, Per], dg.StaticPartitionMapping] = {
    ("source", "corpus"): corpus_of_source,
    ("corpus", "recipe"): recipe_of_corpus,
    ("corpus", "loss folder"): comparison_of_corpus,
    ("corpus", "campaign"): campaign_of_corpus,
    ("recipe", "campaign"): recipe_of_campaign,
}
"""(set above, set below) → which partitions of the one go into which of the other."""
