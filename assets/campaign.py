"""Campaign stage: all recipes of a campaign side by side."""

import dagster as dg

from assets.metadata import OWNERS, code_version, materialized, near, plainly
from assets.partitions import campaigns, recipe_of_campaign
from assets.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages import campaign
from resources.place import PlaceResource


@dg.asset(
    group_name="eval",
    partitions_def=campaigns,
    deps=[
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
