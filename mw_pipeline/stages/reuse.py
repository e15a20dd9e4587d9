"""Finds what a torch stage has already made, without loading torch, and without passing the lock by."""

from __future__ import annotations

from collections.abc import Callable

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import requests
from mw_pipeline.stages.lock import demand_no_region_withheld, judge, permit_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.request import Request
from mw_pipeline.stages.verdict import build_verdict

_REQUESTS: dict[str, Callable[[Place, Recipe], Request]] = {
    "smoke_checkpoint": requests.smoke,
    "full_checkpoint": requests.full,
    "gradient_probe": requests.gradient_probe,
    "activation_trace": requests.activation_trace,
    "label_separation": requests.label_separation,
    "eval_report": requests.report,
    "capability_matrix": requests.capability,
    "packaged_weights": requests.packages,
}
_UNLOCKED = ("smoke_checkpoint", "gradient_probe", "activation_trace", "label_separation")
"""Stages before the lock, and those that look into a run however it went."""
_OF_PACKAGES = ("capability_matrix", "packaged_weights")
"""Stages that are for the bytes of a package, and ask what a package is asked before anything is made."""


def find_made(stage: str, place: Place, recipe_name: str) -> Artifact | None:
    """The stage's artifact for this recipe, or None when it, or the permit of its full run, has yet to be made.

    Raises what the stage itself would: GateError behind the lock, ArtifactError for an input that is not there."""
    if stage == "loss_comparison":
        return _find_comparison(place, recipe_name)
    recipe = place.recipe(recipe_name)
    if stage in _OF_PACKAGES:
        demand_no_region_withheld(place, recipe_name)
    if stage not in _UNLOCKED and permit_of(place, judge(place, recipe_name)) is None:
        return None  # the smoke must be made again before anything behind the lock is believed
    found = _REQUESTS[stage](place, recipe).find(place.store)
    if found is not None:
        place.store.verify(found)
    if found is not None and stage == "smoke_checkpoint":
        build_verdict(place, recipe)
    return found


def _find_comparison(place: Place, folder: str) -> Artifact | None:
    """The comparison of a folder; it trains what it lacks, so a missing input means that it has yet to be made."""
    try:
        found = requests.loss_comparison(place, folder).find(place.store)
    except ArtifactError:
        return None
    if found is not None:
        place.store.verify(found)
    return found
