"""Campaign stage: the runs of a campaign, and all of its recipes side by side."""

from collections.abc import Iterator, Mapping

import dagster as dg

from assets.corpus import corpus_manifest
from assets.metadata import OWNERS, code_version, materialized, near, plainly, recorded, recorded_check
from assets.partitions import campaign_of_corpus, campaigns, recipe_of_campaign
from assets.training import full_checkpoint, full_shown, smoke_checkpoint, smoke_shown
from mw_pipeline.artifact import Artifact
from mw_pipeline.campaign.folder import Campaign, Member
from mw_pipeline.digest import digest_of
from mw_pipeline.stages import campaign, checks
from mw_pipeline.stages.campaign_runs import train_campaign
from mw_pipeline.stages.gates import request_of, upstream_of
from mw_pipeline.stages.place import Place, Progress
from resources.place import PlaceResource
from resources.trainer import Trainer


@dg.asset(
    group_name="train",
    partitions_def=campaigns,
    deps=[dg.AssetDep(corpus_manifest, partition_mapping=campaign_of_corpus)],
    kinds={"pytorch"},
    owners=OWNERS,
    code_version=code_version("campaign_runs"),
)
@plainly
def campaign_runs(
    context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer
) -> dg.MaterializeResult[None]:
    """Every smoke of a campaign, and the full run of each recipe whose smoke has passed; trains what the store lacks.

    Each run, and all that it stands on, is recorded as what it is: a partition of `smoke_checkpoint` and the others."""
    here = place.open()
    asked = campaign.campaign_named(here, context.partition_key)

    def train(stage: str, member: Member, progress: Progress) -> None:
        progress("begins")
        trainer.run(context, stage, place.open(), partition=member.recipe.name)

    train_campaign(here, asked, train, progress=context.log.info)
    made = campaign.all_made(here, asked)
    for event in events_of(here, asked, made):
        context.log_event(event)
    digests = [artifact.digest for runs in made.values() for artifact in runs.values()]
    table = dg.MetadataValue.md(campaign.run_table(made).as_markdown())
    return dg.MaterializeResult(metadata={"runs": table}, data_version=dg.DataVersion(digest_of(digests)))


def events_of(
    place: Place, asked: Campaign, made: Mapping[str, Mapping[str, Artifact]]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """All that the runs of a campaign stand on, then each smoke and full run with what its check found."""
    names = [member.recipe.name for member in asked.members]
    for kind, partition in dict.fromkeys(pair for name in names for pair in upstream_of(place, name)):
        artifact = request_of(place, kind, partition).demand(place.store)
        yield recorded(partition, artifact, materialized(artifact, reused=True))
    for member, name in zip(asked.members, names, strict=True):
        runs = made[member.name]
        yield recorded(name, runs["smoke"], smoke_shown(place, name, runs["smoke"], reused=True))
        yield recorded_check(checks.smoke_verdict, place, "smoke_checkpoint", name)
        if "full" in runs:
            yield recorded(name, runs["full"], full_shown(runs["full"], reused=True))
            yield recorded_check(checks.run_is_sound, place, "full_checkpoint", name)


@dg.asset(
    group_name="eval",
    partitions_def=campaigns,
    deps=[
        campaign_runs,
        dg.AssetDep(smoke_checkpoint, partition_mapping=recipe_of_campaign),
        dg.AssetDep(full_checkpoint, partition_mapping=recipe_of_campaign),
    ],
    kinds={"json", "matplotlib"},
    owners=OWNERS,
    code_version=code_version("campaign_report"),
)
@plainly
def campaign_report(context: dg.AssetExecutionContext, place: PlaceResource) -> dg.MaterializeResult[None]:
    """Changes against outcomes of every recipe, what explains the failures, and what to run next, as a page.

    It is made from the smokes and full runs that are there, and names those that are not."""
    here = place.open()
    built = campaign.build_campaign(here, campaign.campaign_named(here, context.partition_key))
    return materialized(
        built.artifact,
        reused=built.reused,
        table=built.artifact.file(campaign.TABLE_FILE).read_text(),
        page=dg.MetadataValue.path(near(built.artifact.file(campaign.PAGE_FILE))),
    )
