"""The report on a campaign as an artifact: made from whatever its recipes have in the store, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.campaign.folder import Campaign, Member, read_campaign
from mw_pipeline.campaign.outcomes import RunOutcome, outcome_of
from mw_pipeline.campaign.report import campaign_report
from mw_pipeline.digest import write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.report.campaign.page import as_text, render_campaign
from mw_pipeline.report.cells import NOTHING, Table
from mw_pipeline.stages import line
from mw_pipeline.stages.evidence import Verdict, read_evidence
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.store import Built
from mw_pipeline.verdict.binding import VERDICT_FILE
from mw_pipeline.verdict.runlog import read_run

REPORT_FILE = "campaign.json"
PAGE_FILE = "campaign.html"
TABLE_FILE = "campaign.md"
_RUNS = {"smoke": line.smoke_checkpoint, "verdict": line.smoke_verdict, "full": line.full_checkpoint}


def campaign_report_of(place: Place, name: str, *, progress: Progress = quiet) -> Built:
    """The report on the campaign of a name. Raises RecipeError as `campaign_named` does.

    What has not been run yet is named in it: a later build with more in the store is another artifact."""
    campaign = campaign_named(place, name)
    asked = {"campaign": campaign, "made": all_made(place, campaign)}
    return line.campaign_report.build(place, name, progress=progress, given=asked, **asked)


def build_report(
    request: Request, out: Path, progress: Progress, *, campaign: Campaign, made: Mapping[str, Mapping[str, Artifact]]
) -> Metrics:
    """`campaign.json`, `campaign.html` and `campaign.md` of what the recipes of a campaign have in the store."""
    progress(f"campaign: laying {len(campaign.members)} recipes side by side")
    report = campaign_report(campaign, outcomes_of(campaign, made))
    write_json_atomically(out / REPORT_FILE, report)
    (out / TABLE_FILE).write_text(as_text(report) + "\n", encoding="utf-8")
    render_campaign(out / PAGE_FILE, report)
    rows = report["rows"]
    return {
        "recipes": len(rows),
        "failed": sum(row["failed"] is True for row in rows),
        "survived": sum(row["failed"] is False for row in rows),
        "steps_spent": sum(row["steps_spent"] for row in rows),
        "finding": report["attribution"]["sentences"][0],
    }


def all_made(place: Place, campaign: Campaign) -> dict[str, dict[str, Artifact]]:
    """What the store has of every recipe of a campaign, by its name."""
    return {member.name: made_of(place, member) for member in campaign.members}


def run_table(made: Mapping[str, Mapping[str, Artifact]]) -> Table:
    """One row per recipe: what its smoke is judged, and how its full run ended where there is one."""
    rows = [
        (
            name,
            str(runs["verdict"].metrics["outcome"]) if "verdict" in runs else NOTHING,
            str(runs["full"].metrics["status"]) if "full" in runs else NOTHING,
        )
        for name, runs in made.items()
    ]
    return Table(("recipe", "smoke", "full run"), tuple(rows))


def made_of(place: Place, member: Member) -> dict[str, Artifact]:
    """The smoke, its verdict and the full run of a recipe, as far as the store has them."""
    found: dict[str, Artifact] = {}
    try:
        for name, stage in _RUNS.items():
            artifact = stage.find(place, member.recipe)
            if artifact is None:
                break
            found[name] = artifact
    except ArtifactError:  # an input of the smoke is not there yet, so neither is the smoke
        return found
    return found


def outcomes_of(campaign: Campaign, made: Mapping[str, Mapping[str, Artifact]]) -> dict[str, dict[str, RunOutcome]]:
    """Recipe → kind → how that run ended, from artifacts whose bytes have been checked."""
    found: dict[str, dict[str, RunOutcome]] = {}
    for member in campaign.members:
        artifacts = made[member.name]
        if "verdict" not in artifacts:
            continue
        verdict = read_evidence(artifacts["verdict"], VERDICT_FILE, Verdict)
        smoke = read_run(artifacts["smoke"].folder())
        found[member.name] = {"smoke": outcome_of(member.recipe, smoke, kind="smoke", verdict=verdict)}
        if "full" in artifacts:
            full = read_run(artifacts["full"].folder())
            found[member.name]["full"] = outcome_of(member.recipe, full, kind="full")
    return found


def campaign_named(place: Place, name: str) -> Campaign:
    """The campaign of this name below `campaigns/`. Raises RecipeError with the nearest name when there is none."""
    return read_campaign(place.campaign_path(name), name=name)
