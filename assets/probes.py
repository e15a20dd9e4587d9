"""Probe stage: forensics on the checkpoints of a recipe. Nothing waits for them, and they stop nothing."""

from collections.abc import Sequence

import dagster as dg

from assets.dataset import tokenized_dataset
from assets.metadata import OWNERS, code_version, materialized, plainly
from assets.partitions import recipes
from assets.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages import views
from resources.place import PlaceResource
from resources.trainer import Trainer


def _probe(name: str, *, of: Sequence[dg.AssetsDefinition], shows: str) -> dg.AssetsDefinition:
    """The asset of the probe stage `name`, with its page in the metadata."""

    @dg.asset(
        name=name,
        description=shows,
        group_name="probe",
        partitions_def=recipes,
        deps=of,
        kinds={"pytorch", "matplotlib"},
        owners=OWNERS,
        code_version=code_version(name),
    )
    @plainly
    def probe(context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer) -> dg.MaterializeResult[None]:
        artifact, reused = trainer.run(context, name, place.open())
        return materialized(artifact, reused=reused, **views.probe_of(artifact))

    return probe


gradient_probe = _probe(
    "gradient_probe",
    of=[smoke_checkpoint, tokenized_dataset],
    shows="How hard the terms of the loss and each source pull on the smoke's best checkpoint, before any full run.",
)
activation_trace = _probe(
    "activation_trace",
    of=[full_checkpoint, smoke_checkpoint, tokenized_dataset],
    shows="Every stage of the full checkpoint on the same rows as the smoke's, and the first where the two part.",
)
label_separation = _probe(
    "label_separation",
    of=[full_checkpoint, tokenized_dataset],
    shows="What the full checkpoint gives each label inside its spans and outside: a label may have collapsed unseen.",
)
