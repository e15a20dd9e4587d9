"""Evaluation stage: scores with intervals and ceilings, and every miss in a bucket."""

import dagster as dg

from assets.corpus import golden_set
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


evaluation_checks = [finding_check(checks.eval_is_comparable, asset=eval_report, partitions=recipes)]
