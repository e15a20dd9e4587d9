"""Mix stage: what the sampler will really draw."""

import dagster as dg

from assets.corpus import corpus_manifest
from assets.metadata import OWNERS, code_version, finding_check, materialized, plainly
from assets.partitions import recipe_of_corpus, recipes
from mw_pipeline.stages import checks, dataset
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


mix_checks = [
    finding_check(checks.mix_is_as_declared, asset=source_mix, partitions=recipes),
    finding_check(checks.mix_is_not_concentrated, asset=source_mix, partitions=recipes, blocking=False),
    finding_check(checks.recipe_changes_one_thing, asset=source_mix, partitions=recipes, blocking=False),
]
