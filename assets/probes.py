"""Probe stage: forensics on the checkpoints of a recipe. Nothing waits for them, and they stop nothing."""

import dagster as dg

from assets.dataset import tokenized_dataset
from assets.metadata import OWNERS, code_version, materialized, plainly
from assets.partitions import recipes
from assets.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages import views
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="probe",
    partitions_def=recipes,
    deps=[smoke_checkpoint, tokenized_dataset],
    kinds={"pytorch", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("gradient_probe"),
)
@plainly
def gradient_probe(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """How hard the terms of the loss and each source pull on the smoke's best checkpoint: known before the full run."""
    artifact, reused = trainer.run(context, "gradient_probe", place.open())
    return materialized(artifact, reused=reused, **views.probe_of(artifact))


@dg.asset(
    group_name="probe",
    partitions_def=recipes,
    deps=[full_checkpoint, smoke_checkpoint, tokenized_dataset],
    kinds={"pytorch", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("activation_trace"),
)
@plainly
def activation_trace(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """Every stage of the full checkpoint on the same rows as the smoke's, and the first where the two part."""
    artifact, reused = trainer.run(context, "activation_trace", place.open())
    return materialized(artifact, reused=reused, **views.probe_of(artifact))


@dg.asset(
    group_name="probe",
    partitions_def=recipes,
    deps=[full_checkpoint, tokenized_dataset],
    kinds={"pytorch", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("label_separation"),
)
@plainly
def label_separation(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """What the full checkpoint gives each label inside its spans and outside: a label may have collapsed unseen."""
    artifact, reused = trainer.run(context, "label_separation", place.open())
    return materialized(artifact, reused=reused, **views.probe_of(artifact))
