"""Release stage: one package per locale, measured on the bytes that ship."""

import dagster as dg

from assets.evaluation import capability_matrix, eval_report, regression_diagnosis
from assets.metadata import OWNERS, code_version, finding_check, materialized, plainly
from assets.partitions import recipes
from assets.training import full_checkpoint
from mw_pipeline.stages import checks, views
from mw_pipeline.stages.shipping import ship
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="release",
    partitions_def=recipes,
    deps=[full_checkpoint, capability_matrix, eval_report, regression_diagnosis],
    kinds={"onnx"},
    owners=OWNERS,
    code_version=code_version("packaged_weights"),
)
@plainly
def packaged_weights(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """One int8 ONNX package per locale, with a generated card and its whole lineage; also under `releases/`."""
    here = place.open()
    artifact, reused = trainer.run(context, "packaged_weights", here)
    context.log.info(ship(here, context.partition_key, artifact))
    return materialized(
        artifact,
        reused=reused,
        packages=views.package_facts(artifact),
        lineage=artifact.file("lineage.md").read_text(),
    )


release_checks = [
    finding_check(checks.package_matches_checkpoint, asset=packaged_weights, partitions=recipes),
    finding_check(checks.quantisation_costs_little, asset=packaged_weights, partitions=recipes),
    finding_check(checks.release_beats_its_gates, asset=packaged_weights, partitions=recipes),
    finding_check(checks.no_cell_is_blind, asset=packaged_weights, partitions=recipes),
]
