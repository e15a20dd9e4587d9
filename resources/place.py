"""The three folders of a run, and who works there, as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from mw_pipeline.stages.place import Place


class PlaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Store, project and raw data of this code location, and its workers: "4" processes, "ray" or "ray://host:10001".

    Fields left empty come from MW_STORE, MW_PROJECT, MW_DATA and MW_WORKERS. None of them changes a result."""

    store: str = ""
    project: str = ""
    data: str = ""
    workers: str = ""

    def open(self) -> Place:
        """The place. Reads nothing but the environment."""
        return Place.of(
            store=self.store or None,
            project=self.project or None,
            data=self.data or None,
            workers=self.workers or None,
        )
