"""Comparisons between recipes: which loss decodes best."""

import dagster as dg

from assets.corpus import corpus_manifest
from assets.metadata import OWNERS, code_version, materialized, plainly
from assets.partitions import comparison_of_corpus, loss_folders
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="eval",
    partitions_def=loss_folders,
    deps=[dg.AssetDep(corpus_manifest, partition_mapping=comparison_of_corpus)],
    kinds={"pytorch"},
    owners=OWNERS,
    code_version=code_version("loss_comparison"),
)
@plainly
def loss_comparison(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """The losses of a folder of recipes over several seeds, ranked by decoded F1; trains what the store lacks."""
    artifact, reused = trainer.run(context, "loss_comparison", place.open())
    return materialized(artifact, reused=reused, ranking=artifact.file("comparison.md").read_text())
