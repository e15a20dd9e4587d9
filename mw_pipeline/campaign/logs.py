"""The runs of a campaign from bare folders of logs, one folder per recipe, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.campaign.folder import Campaign, Member
from mw_pipeline.campaign.outcomes import Kind, RunOutcome, kind_of, outcome_of
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.logfiles import read_log


def outcomes_in(runs: Path, campaign: Campaign) -> dict[str, dict[str, RunOutcome]]:
    """Recipe → kind → outcome. `runs` holds RECIPE/ with a log, or RECIPE/smoke and RECIPE/full with one each.

    A log that says nothing of its kind is a full run when it stayed as long near the peak rate as the full run would.
    Raises ArtifactError for a folder that no recipe is named like: a misspelt name would otherwise count as not run."""
    if not runs.is_dir():
        raise ArtifactError(f"{runs}: is not a folder. Name the folder that holds one folder of logs per recipe.")
    names = {member.name for member in campaign.members}
    strange = sorted(path.name for path in runs.iterdir() if path.is_dir() and path.name not in names)
    if strange:
        raise ArtifactError(
            f"{runs / strange[0]}: no recipe of {campaign.name} has that name: there are {', '.join(sorted(names))}. "
            "Rename the folder, or add the recipe."
        )
    found = {member.name: _runs_of(member, runs / member.name) for member in campaign.members}
    return {name: outcomes for name, outcomes in found.items() if outcomes}


def _runs_of(member: Member, folder: Path) -> dict[str, RunOutcome]:
    if not folder.is_dir():
        return {}
    kinds: tuple[Kind, ...] = ("smoke", "full")
    apart = [kind for kind in kinds if (folder / kind).is_dir()]
    if apart:
        return {kind: outcome_of(member.recipe, read_log(folder / kind), kind=kind) for kind in apart}
    log = read_log(folder)
    kind = kind_of(member.recipe, log)
    return {kind: outcome_of(member.recipe, log, kind=kind)}
