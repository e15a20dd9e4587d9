"""The three folders of a run, and who works there, as a Dagster resource."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from mw_pipeline.stages.place import Place
from resources.dead_runs import end_dead_runs, sign

CHECKOUT = Path(__file__).resolve().parent.parent


class PlaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Store, project and raw data of this code location, and its workers: "4" processes, "ray" or "ray://host:10001".

    `time_limit` is what one training stage may take, as in 90m: what cannot end in it is refused, or with `in_parts`
    trained up to it and gone on with by the next run. Fields left empty come from MW_STORE, MW_PROJECT, MW_DATA,
    MW_WORKERS, MW_TIME_LIMIT and MW_IN_PARTS; the project is else the checkout of this file, wherever someone stands.
    None of them changes a result."""

    store: str = ""
    project: str = ""
    data: str = ""
    workers: str = ""
    time_limit: str = ""
    in_parts: bool = False

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Signs the run that needs this place, and ends those before it that were killed."""
        if context.run is None or context.instance is None:  # a sensor or schedule
            return
        sign(context.instance, context.run.run_id)
        for sentence in end_dead_runs(context.instance):
            (context.log or dg.get_dagster_logger()).warning(sentence)

    def open(self) -> Place:
        """The place. Reads nothing but the environment."""
        return Place.of(
            store=self.store or None,
            project=self.project or os.environ.get("MW_PROJECT") or str(CHECKOUT),
            data=self.data or None,
            workers=self.workers or None,
            time_limit=self.time_limit or None,
            in_parts=self.in_parts or None,
        ).remembering()
