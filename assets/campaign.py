"""The runs of a campaign: many recipes in one node, each recorded as the partition of the stages that it is."""

from collections.abc import Iterator, Mapping

import dagster as dg

from assets.metadata import evidence_of, materialized, sentence_of
from assets.nodes import result_of
from assets.shown import SHOWN
from mw_pipeline.artifact import Artifact
from mw_pipeline.campaign.folder import Campaign, Member
from mw_pipeline.digest import digest_of
from mw_pipeline.stages import campaign, line
from mw_pipeline.stages.campaign_runs import train_campaign
from mw_pipeline.stages.check_answers import ask
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.road import upstream_of
from mw_pipeline.stages.stage import Stage
from resources.trainer import Trainer

DATA_VERSION_TAG = "dagster/data_version"


def train_members(context: dg.AssetExecutionContext, place: Place, trainer: Trainer) -> dg.MaterializeResult[None]:
    """Every smoke of the campaign, and each full run that is licensed, with an event for all that they stand on."""
    asked = campaign.campaign_named(place, context.partition_key)

    def train(stage: Stage, member: Member, progress: Progress) -> None:
        progress("begins")
        trainer.run(context, stage, place.anew(), partition=member.recipe.name)

    train_campaign(place, asked, train, progress=context.log.info)
    made = campaign.all_made(place, asked)
    for event in events_of(place, asked, made):
        context.log_event(event)
    digests = [artifact.digest for runs in made.values() for artifact in runs.values()]
    table = dg.MetadataValue.md(campaign.run_table(made).as_markdown())
    return dg.MaterializeResult(metadata={"runs": table}, data_version=dg.DataVersion(digest_of(digests)))


def events_of(
    place: Place, asked: Campaign, made: Mapping[str, Mapping[str, Artifact]]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """All that the runs of a campaign stand on, then each smoke and full run with what its check found."""
    names = [member.recipe.name for member in asked.members]
    for stage, partition in dict.fromkeys(pair for name in names for pair in upstream_of(place, name)):
        artifact = stage.demand(place, partition)
        yield _recorded(
            stage, partition, artifact, materialized(artifact, reused=True, row_count=SHOWN[stage.name].counted)
        )
    for member, name in zip(asked.members, names, strict=True):
        for kind, stage in (("smoke", line.smoke_checkpoint), ("full", line.full_checkpoint)):
            if kind in made[member.name]:
                artifact = made[member.name][kind]
                yield _recorded(stage, name, artifact, result_of(stage, place, name, artifact, reused=True))
                yield from _checked(place, stage, name)


def _recorded(
    stage: Stage, partition: str, artifact: Artifact, shown: dg.MaterializeResult[None]
) -> dg.AssetMaterialization:
    """The event of another asset's partition that a run has made on its way: out of date once an input is made again.

    Without the versions of its inputs Dagster goes by the order of the events, so those of the inputs come first."""
    tags = {DATA_VERSION_TAG: artifact.digest}
    return dg.AssetMaterialization(stage.name, partition=partition, metadata=shown.metadata, tags=tags)


def _checked(place: Place, stage: Stage, partition: str) -> Iterator[dg.AssetCheckEvaluation]:
    """The answers of the blocking checks about such a partition."""
    for check in stage.checks(blocking=True):
        found = ask(place, stage, check, partition)
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(stage.name),
            check_name=check.__name__,
            passed=not found.problems,
            description=sentence_of(found),
            metadata=evidence_of(found),
            blocking=True,
            partition=partition,
        )
