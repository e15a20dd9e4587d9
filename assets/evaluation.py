"""Evaluation stage: scores with intervals and ceilings, and every miss in a bucket."""

import dagster as dg

from assets.corpus import corpus_manifest, golden_set
from assets.dataset import tokenizer
from assets.metadata import OWNERS, code_version, finding_check, materialized, near, plainly
from assets.partitions import recipe_of_corpus, recipes
from assets.training import full_checkpoint
from mw_pipeline.stages import checks, diagnosis, views
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="eval",
    partitions_def=recipes,
    deps=[full_checkpoint, dg.AssetDep(golden_set, partition_mapping=recipe_of_corpus)],
    kinds={"pytorch", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("eval_report"),
)
@plainly
def eval_report(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """Per-tag scores on gold and held-out rows with ceilings and intervals, and an HTML page that shows them."""
    artifact, reused = trainer.run(context, "eval_report", place.open())
    return materialized(
        artifact,
        reused=reused,
        scores=artifact.file("scores.md").read_text(),
        golden_sets=views.golden_set_facts(artifact),
        tags=views.tags_picture(artifact),
        report=dg.MetadataValue.path(near(artifact.file("report.html"))),
    )


@dg.asset(
    group_name="eval",
    partitions_def=recipes,
    deps=[eval_report],
    kinds={"json"},
    owners=OWNERS,
    code_version=code_version("regression_diagnosis"),
)
@plainly
def regression_diagnosis(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Every miss in a bucket, per tag; and against the recipe's baseline: what was fixed and what broke."""
    built = diagnosis.build_diagnosis(place.open(), context.partition_key)
    return materialized(
        built.artifact,
        reused=built.reused,
        buckets=views.bucket_facts(built.artifact),
        misses_by_tag=built.artifact.file("diagnosis.md").read_text(),
    )


@dg.asset(
    group_name="eval",
    partitions_def=recipes,
    deps=[
        full_checkpoint,
        tokenizer,
        dg.AssetDep(corpus_manifest, partition_mapping=recipe_of_corpus),
    ],
    kinds={"onnx", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("capability_matrix"),
)
@plainly
def capability_matrix(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """What the bytes that will be packaged can read, cell by cell, on towns and streets that training never saw."""
    artifact, reused = trainer.run(context, "capability_matrix", place.open())
    pages = [near(path) for path in views.capability_pages(artifact)]
    return materialized(
        artifact,
        reused=reused,
        worst=views.capability_facts(artifact),
        pages=dg.MetadataValue.json(pages),
    )


evaluation_checks = [finding_check(checks.eval_is_comparable, asset=eval_report, partitions=recipes)]
