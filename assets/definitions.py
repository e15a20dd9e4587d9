"""The code location: wires assets, checks, jobs, schedules, sensors and resources together, and does nothing else."""

import dagster as dg

from assets.automation import jobs, schedules, sensors
from assets.campaign import train_members
from assets.nodes import assets_of, checks_of
from mw_pipeline.stages.line import STAGES
from resources.place import PlaceResource
from resources.trainer import Trainer

defs = dg.Definitions(
    assets=assets_of(STAGES.values(), bodies={"campaign_runs": train_members}),
    asset_checks=checks_of(STAGES.values()),
    jobs=jobs,
    schedules=schedules,
    sensors=sensors,
    resources={"place": PlaceResource(), "trainer": Trainer()},
    executor=dg.in_process_executor,
)
