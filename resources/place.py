"""The three folders of a run as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from mw_pipeline.stages.place import Place


class PlaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Store, project and raw data of this code location. Fields left empty come from MW_STORE, MW_PROJECT, MW_DATA."""

    store: str = ""
    project: str = ""
    data: str = ""

    def open(self) -> Place:
        """The place. Reads nothing but the environment."""
        return Place.of(store=self.store or None, project=self.project or None, data=self.data or None)
