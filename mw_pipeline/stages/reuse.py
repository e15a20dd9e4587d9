"""Finds what a torch stage has already made, without loading torch, and without passing the lock by."""

from __future__ import annotations

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages.line import smoke_checkpoint
from mw_pipeline.stages.lock import demand_no_region_withheld, judge, permit_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.stages.stage import Stage, Subject


def find_made(stage: Stage, place: Place, partition: str) -> Artifact | None:
    """The stage's artifact for this partition, or None when it, or the permit of its full run, has yet to be made.

    Raises what the stage itself would, which makes some inputs on its way: GateError behind the lock, ArtifactError for
    an input that is not there."""
    place = place.remembering()
    if stage.packaging:
        demand_no_region_withheld(place, partition)
    if stage.locked and permit_of(judge(place, partition)) is None:
        return None  # the smoke must be made again before anything behind the lock is believed
    try:
        found = stage.find(place, partition)
    except ArtifactError:
        if stage.makes_inputs or _lacks_its_own_alone(stage, stage.subject(place, partition)):
            return None
        raise
    if found is not None:
        place.store.verify(found)
    if found is not None and stage is smoke_checkpoint:
        build_verdict(place, place.recipe(partition))
    return found


def _lacks_its_own_alone(stage: Stage, subject: Subject) -> bool:
    """Whether nothing is missing but an input that the stage's own node makes: a comparison with a new baseline."""
    own = [before for before in stage.inputs if before.node == stage.name]
    return bool(own) and all(before.is_there(subject) for before in stage.inputs if before not in own)
