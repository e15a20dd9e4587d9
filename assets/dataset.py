"""Dataset stage: the tokenizer and the tokenized rows."""

import dagster as dg

from assets.corpus import corpus_manifest
from assets.metadata import OWNERS, code_version, columns, finding_check, materialized, plainly
from assets.partitions import recipe_of_corpus, recipes
from mw_pipeline.dataset.tokenized import TOKENIZED_MEANINGS, TOKENIZED_SCHEMA
from mw_pipeline.stages import checks, dataset, views
from resources.place import PlaceResource


@dg.asset(
    group_name="dataset",
    partitions_def=recipes,
    deps=[dg.AssetDep(corpus_manifest, partition_mapping=recipe_of_corpus)],
    kinds={"sentencepiece"},
    owners=OWNERS,
    code_version=code_version("tokenizer"),
)
@plainly
def tokenizer(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """A SentencePiece unigram model with byte fallback, trained on a balanced sample of the training rows."""
    built = dataset.build_tokenizer(place.open(), context.partition_key, progress=context.log.info)
    return materialized(built.artifact, reused=built.reused)


@dg.asset(
    group_name="dataset",
    partitions_def=recipes,
    deps=[tokenizer],
    kinds={"arrow"},
    owners=OWNERS,
    metadata=columns(TOKENIZED_SCHEMA, TOKENIZED_MEANINGS),
    code_version=code_version("tokenized_dataset"),
)
@plainly
def tokenized_dataset(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Piece ids, labels and row ids of every split, as memory-mapped Arrow files."""
    built = dataset.build_dataset(place.open(), context.partition_key, progress=context.log.info)
    return materialized(
        built.artifact,
        reused=built.reused,
        row_count=True,
        splits=views.split_facts(built.artifact),
        spans=views.survival_facts(built.artifact),
    )


dataset_checks = [
    finding_check(checks.tokenizer_round_trips, asset=tokenizer, partitions=recipes),
    finding_check(checks.labels_survive_tokenizing, asset=tokenized_dataset, partitions=recipes),
    finding_check(checks.dataset_matches_schema, asset=tokenized_dataset, partitions=recipes),
    finding_check(checks.data_is_enough, asset=tokenized_dataset, partitions=recipes, blocking=False),
    finding_check(checks.every_tag_is_taught, asset=tokenized_dataset, partitions=recipes, blocking=False),
]
