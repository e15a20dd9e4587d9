"""Runs the stages that need tensors in a child process, so that the graph itself never loads torch."""

from __future__ import annotations

import os
import sys

import dagster as dg

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made


class Trainer(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts `resources.child` under Dagster Pipes and brings back the artifact that it made.

    A cancelled run sends the child SIGINT: training then saves its last checkpoint and the next run goes on from it.
    """

    grace_seconds: float = 60.0

    def run(self, context: dg.AssetExecutionContext, stage: str, place: Place) -> tuple[Artifact, bool]:
        """The artifact of a stage for this run's partition, and whether it was reused.

        Raises dg.Failure with the child's own sentence when a gate refuses or its input is bad."""
        made = find_made(stage, place, context.partition_key)
        if made is not None:
            context.log.info("%s of %s is in the store already: reused", stage, context.partition_key)
            return made, True
        client = dg.PipesSubprocessClient(termination_timeout_seconds=self.grace_seconds)
        environment = {
            **os.environ,
            "MW_STORE": place.store.url,
            "MW_PROJECT": str(place.project),
            "MW_DATA": str(place.data),
        }
        invocation = client.run(
            context=context,
            command=[sys.executable, "-m", "resources.child"],
            extras={"stage": stage, "partition": context.partition_key},
            env=environment,
            cwd=str(place.project),
        )
        message = next((m for m in invocation.get_custom_messages() if isinstance(m, dict)), None)
        if message is None:
            raise ArtifactError(f"{stage} of {context.partition_key!r}: the child ended without naming an artifact.")
        if "error" in message:
            raise dg.Failure(description=message["error"], allow_retries=False)
        return place.store.load(message["kind"], message["digest"]), message["reused"]
