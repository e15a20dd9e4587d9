"""Has made what a campaign lacks: every smoke, and the full run of each recipe whose smoke has passed."""

from __future__ import annotations

from collections.abc import Callable

from mw_pipeline.campaign.folder import Campaign, Member
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.stages.stage import Stage
from mw_pipeline.stages.upstream import prepare_dataset

Train = Callable[[Stage, Member, Progress], object]
"""Makes one training stage, smoke_checkpoint or full_checkpoint, of a member: here, or in a process of its own."""


def train_campaign(place: Place, campaign: Campaign, train: Train, *, progress: Progress = quiet) -> None:
    """Leaves every smoke and every licensed full run of a campaign in the store, one after the other.

    Smokes come first: they are cheap, and most of what a campaign can tell is known with them. A smoke that fails, or
    proves nothing, is an outcome and no error. What is there is not trained again; a run that was stopped goes on.
    Raises RecipeError before all of it for a member that names what is not there."""
    for member in campaign.members:
        place.recipe(str(member.path))
    for member in campaign.members:
        _smoke(place.anew(), member, train, _named(progress, member, "smoke"))
    for member in campaign.members:
        tell = _named(progress, member, "full")
        verdict = build_verdict(place.anew(), member.recipe)
        if verdict.outcome == "pass":
            train(line.full_checkpoint, member, tell)
        else:
            tell(f"no full run: the smoke is {verdict.outcome}")


def _smoke(place: Place, member: Member, train: Train, progress: Progress) -> None:
    prepare_dataset(place, str(member.path), progress=progress)
    if line.smoke_checkpoint.find(place, member.recipe) is None:
        train(line.smoke_checkpoint, member, progress)
    else:
        progress(f"there already: {build_verdict(place, member.recipe).one_line()}")


def _named(progress: Progress, member: Member, kind: str) -> Progress:
    return lambda line: progress(f"{member.name}, {kind}: {line}")
