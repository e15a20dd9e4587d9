"""Training stage: the smoke at sustained peak rate, its verdict, and the full run behind the lock."""

import dagster as dg

from assets.dataset import tokenized_dataset
from assets.metadata import OWNERS, code_version, finding_check, materialized, plainly
from assets.mix import closed_words, source_mix
from assets.partitions import recipes
from mw_pipeline.artifact import Artifact
from mw_pipeline.stages import checks, requests, views
from mw_pipeline.stages.place import Place
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="train",
    partitions_def=recipes,
    deps=[tokenized_dataset, source_mix, closed_words],
    kinds={"pytorch"},
    owners=OWNERS,
    code_version=code_version("smoke_checkpoint"),
)
@plainly
def smoke_checkpoint(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """A short run that stays at the peak learning rate for as long as its verdict needs."""
    here = place.open()
    artifact, reused = trainer.run(context, "smoke_checkpoint", here)
    return smoke_shown(here, context.partition_key, artifact, reused=reused)


@dg.asset(
    group_name="train",
    partitions_def=recipes,
    deps=[smoke_checkpoint, tokenized_dataset, source_mix, closed_words],
    kinds={"pytorch"},
    owners=OWNERS,
    code_version=code_version("full_checkpoint"),
)
@plainly
def full_checkpoint(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """The full run. Refuses to start without a passing verdict for exactly this recipe, data, code and smoke."""
    artifact, reused = trainer.run(context, "full_checkpoint", place.open())
    return full_shown(artifact, reused=reused)


def smoke_shown(place: Place, recipe: str, artifact: Artifact, *, reused: bool) -> dg.MaterializeResult[None]:
    """The result of a smoke: its curves with what its verdict says of them."""
    verdict = requests.verdict(place, place.recipe(recipe)).demand(place.store)
    return materialized(
        artifact,
        reused=reused,
        curves=views.curves_picture(artifact, verdict),
        run=views.run_facts(artifact),
        verdict=views.verdict_facts(verdict),
        **views.probe_of(artifact),
    )


def full_shown(artifact: Artifact, *, reused: bool) -> dg.MaterializeResult[None]:
    """The result of a full run: its curves and how it ended."""
    return materialized(
        artifact,
        reused=reused,
        curves=views.curves_picture(artifact),
        run=views.run_facts(artifact),
        **views.probe_of(artifact),
    )


training_checks = [
    finding_check(checks.smoke_verdict, asset=smoke_checkpoint, partitions=recipes),
    finding_check(checks.run_is_sound, asset=full_checkpoint, partitions=recipes),
]
