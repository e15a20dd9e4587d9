"""Mix stage: what the sampler will really draw, the words that no parser may lack, and the audit of it all."""

import dagster as dg

from assets.corpus import corpus_manifest
from assets.metadata import OWNERS, code_version, finding_check, materialized, near, plainly
from assets.partitions import recipe_of_corpus, recipes
from mw_pipeline.stages import audit, checks, dataset
from mw_pipeline.stages import closed_words as words
from resources.place import PlaceResource


@dg.asset(
    group_name="mix",
    partitions_def=recipes,
    deps=[dg.AssetDep(corpus_manifest, partition_mapping=recipe_of_corpus)],
    kinds={"numpy"},
    owners=OWNERS,
    code_version=code_version("source_mix"),
)
@plainly
def source_mix(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Rows, weight, requested and realised share, and repetitions per row of every source in this recipe."""
    built = dataset.build_mix(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        mix=built.artifact.file("mix.md").read_text(),
    )


@dg.asset(
    group_name="mix",
    partitions_def=recipes,
    deps=[dg.AssetDep(corpus_manifest, partition_mapping=recipe_of_corpus)],
    kinds={"json", "pyarrow"},
    owners=OWNERS,
    code_version=code_version("closed_words"),
)
@plainly
def closed_words(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Every state, département, country, street type, unit and box word of the locales, and the rows that teach it."""
    built = words.build_closed_words(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        kinds=built.artifact.file(words.SUMMARY_FILE).read_text(),
        page=dg.MetadataValue.path(near(built.artifact.file(words.PAGE_FILE))),
    )


@dg.asset(
    group_name="mix",
    partitions_def=recipes,
    deps=[source_mix, dg.AssetDep(corpus_manifest, partition_mapping=recipe_of_corpus)],
    kinds={"json", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("source_audit"),
)
@plainly
def source_audit(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """What every source of this recipe holds, lost and gives, and what changed since its last audit, as a page."""
    built = audit.build_audit(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        mix=built.artifact.file(audit.TABLE_FILE).read_text(),
        page=dg.MetadataValue.path(near(built.artifact.file(audit.PAGE_FILE))),
    )


mix_checks = [
    finding_check(checks.mix_is_as_declared, asset=source_mix, partitions=recipes),
    finding_check(checks.mix_is_not_concentrated, asset=source_mix, partitions=recipes, blocking=False),
    finding_check(checks.recipe_changes_one_thing, asset=source_mix, partitions=recipes, blocking=False),
    finding_check(checks.closed_words_are_taught, asset=closed_words, partitions=recipes),
    finding_check(checks.sources_stay, asset=source_audit, partitions=recipes, blocking=False),
]
