"""Corpus stage: shards per source, the manifest over them, and the gold that judges what is trained on them."""

import dagster as dg

from assets.metadata import OWNERS, code_version, columns, finding_check, materialized, plainly
from assets.partitions import corpora, corpus_and_source, corpus_of_source, sources
from mw_pipeline.records.tables import ROW_MEANINGS, ROW_SCHEMA
from mw_pipeline.stages import checks, corpus, golden, views
from resources.place import PlaceResource


@dg.asset(
    group_name="corpus",
    partitions_def=sources,
    kinds={"parquet", "pyarrow"},
    owners=OWNERS,
    metadata=columns(ROW_SCHEMA, ROW_MEANINGS),
    code_version=code_version("corpus_shards", "mw_pipeline.sources.registry"),
)
@plainly
def corpus_shards(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Canonical and aligned rows of one source as Parquet shards, with its quarantine and its row-loss waterfall."""
    name, source = corpus_and_source(context.partition_key)
    built = corpus.build_shards(place.open(), name, source, progress=context.log.info)
    return materialized(
        built.artifact,
        reused=built.reused,
        row_count=True,
        waterfall=checks.waterfall_table(corpus.waterfall_of(built.artifact)),
        augmentations=views.method_facts(built.artifact),
    )


@dg.asset(
    group_name="corpus",
    partitions_def=corpora,
    kinds={"json"},
    owners=OWNERS,
    code_version=code_version("golden_set"),
)
@plainly
def golden_set(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """The gold rows, validated: reachable values, families, ceilings, regions, and the hash of their conventions."""
    built = golden.build_golden(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        row_count=True,
        ceilings=views.ceiling_facts(built.artifact),
        regions=views.region_facts(built.artifact),
    )


@dg.asset(
    group_name="corpus",
    partitions_def=corpora,
    deps=[dg.AssetDep(corpus_shards, partition_mapping=corpus_of_source), golden_set],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version=code_version("corpus_manifest"),
)
@plainly
def corpus_manifest(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """All shards of the corpus: rows per source, split, country and licence, and what each source asks to be named."""
    built = corpus.build_manifest(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        row_count=True,
        census=corpus.census_table(built.artifact),
    )


corpus_checks = [
    finding_check(checks.rows_match_schema, asset=corpus_shards, partitions=sources),
    finding_check(checks.rows_are_conserved, asset=corpus_shards, partitions=sources),
    finding_check(checks.quarantine_within_budget, asset=corpus_shards, partitions=sources),
    finding_check(checks.splits_are_disjoint, asset=corpus_manifest, partitions=corpora),
    finding_check(checks.licences_are_allowed, asset=corpus_manifest, partitions=corpora),
    finding_check(checks.golden_is_valid, asset=golden_set, partitions=corpora),
    finding_check(checks.golden_is_not_in_train, asset=corpus_manifest, partitions=corpora),
    finding_check(checks.holdout_is_covered, asset=corpus_manifest, partitions=corpora, blocking=False),
    finding_check(checks.methods_apply, asset=corpus_manifest, partitions=corpora, blocking=False),
    finding_check(checks.labels_agree, asset=corpus_manifest, partitions=corpora, blocking=False),
    finding_check(checks.ordinals_are_no_house_numbers, asset=corpus_manifest, partitions=corpora, blocking=False),
    finding_check(checks.scripts_are_at_home, asset=corpus_manifest, partitions=corpora, blocking=False),
]
