"""`mw-pipeline campaign`: the recipes of a folder side by side, what explains the failures, and what to run next."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.campaign.folder import Campaign, Member, read_campaign
from mw_pipeline.campaign.logs import outcomes_in
from mw_pipeline.campaign.next_runs import write_proposals
from mw_pipeline.campaign.outcomes import RunOutcome
from mw_pipeline.campaign.report import campaign_report, proposals_of
from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import local_path, named_path
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.report.campaign.page import as_text, render_campaign
from mw_pipeline.stages.campaign import all_made, outcomes_of
from mw_pipeline.stages.campaign_runs import train_campaign
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--folder DIR [--train | --runs DIR] [--page FILE] [--propose DIR]."""
    parser.add_argument("--folder", type=named_path, required=True, metavar="DIR", help="recipes that share a base")
    parser.add_argument("--page", type=local_path, metavar="FILE", help="also write the page for people here, as HTML")
    parser.add_argument("--propose", type=local_path, metavar="DIR", help="write the proposed runs here, as recipes")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--train", action="store_true", help="first run every smoke, and full run licensed by one")
    source.add_argument(
        "--runs", type=named_path, metavar="DIR", help="one folder of logs per recipe, instead of the store"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the report as JSON, and its tables for people. A recipe that failed is a result and no error."""
    campaign = read_campaign(args.folder)
    outcomes = outcomes_in(args.runs, campaign) if args.runs is not None else _from_store(campaign, train=args.train)
    report = campaign_report(campaign, outcomes)
    say(as_text(report))
    if args.page is not None:
        args.page.parent.mkdir(parents=True, exist_ok=True)
        say(f"page: {render_campaign(args.page, report)}")
    written = []
    if args.propose is not None:
        written = write_proposals(proposals_of(campaign, outcomes), args.propose, base=campaign.base_path)
        say(f"{len(written)} recipes written to {args.propose}")
    print(json.dumps({**report, "written": [str(path) for path in written]}, ensure_ascii=False))
    return EXIT_OK


def _from_store(campaign: Campaign, *, train: bool) -> dict[str, dict[str, RunOutcome]]:
    place = place_in_use()
    if train:

        def make(stage: Stage, member: Member, progress: Progress) -> object:
            return stage.make(place.anew(), str(member.path), progress=progress)

        train_campaign(place, campaign, make, progress=say)
    return outcomes_of(campaign, all_made(place, campaign))
