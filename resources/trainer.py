"""Runs the stages that need tensors in a child process, so that the graph itself never loads torch."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import dagster as dg
import pydantic

from mw_pipeline import native
from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import StoreError
from mw_pipeline.failures import cure_of_exit
from mw_pipeline.stages.attempts import AttemptLog, saved_step
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made
from mw_pipeline.stages.stage import Stage
from resources.place import CHECKOUT
from resources.refusal import Refusal


class Trainer(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts `resources.child` under Dagster Pipes and brings back the artifact that it made.

    A cancelled run sends the child SIGINT: training then saves its last checkpoint and the next run goes on from it.
    A failure that a retry cures is tried again by Dagster, up to `attempts` times in all, for as long as each attempt
    gains a step on the one before (M41); no other failure is, nor one whose time limit is spent: the next run goes on.

    On each machine `trainings_at_once` of a store train at a time, as two would only slow each other down; the next
    says for whom it waits. The child holds the turn: what is refused needs none, and what is killed holds none (M74).
    """

    grace_seconds: float = 60.0
    attempts: int = 3
    backoff_seconds: float = 10.0
    trainings_at_once: int = pydantic.Field(default=1, ge=1)

    def run(
        self, context: dg.AssetExecutionContext, stage: Stage, place: Place, *, partition: str | None = None
    ) -> tuple[Artifact, bool]:
        """The artifact of a stage for this run's partition, or another one, and whether it was reused.

        Raises MwError before any child is started when a gate refuses or an input is missing, and dg.Failure with the
        child's own sentence, or how it died, when it could not make the artifact."""
        key = partition or context.partition_key
        made = find_made(stage, place, key)
        if made is not None:
            context.log.info("%s of %s is in the store already: reused", stage.name, key)
            return made, True
        saved_step(place, stage, key)  # while the store answers: after a failure the place knows where to look
        client = dg.PipesSubprocessClient(termination_timeout_seconds=self.grace_seconds)
        asked = {
            "stage": stage.name,
            "partition": key,
            "parent": os.getpid(),
            "trainings_at_once": self.trainings_at_once,
        }
        command = [sys.executable, "-m", "resources.child"]
        try:
            child = client.run(
                context=context, command=command, extras=asked, env=_surroundings(place), cwd=str(CHECKOUT)
            )
            (answer,) = child.get_custom_messages()
        except Exception as error:  # killed, or an error that nobody expected: Dagster exports no name for it
            if type(error).__name__ != "DagsterPipesExecutionError":
                raise
            answer = _death(stage, key, error)
        if "error" in answer:
            raise self._after(context, stage, place, key, answer)
        return place.store.load(answer["kind"], answer["digest"]), answer["reused"]

    def _after(
        self, context: dg.AssetExecutionContext, stage: Stage, place: Place, key: str, answer: dict[str, Any]
    ) -> dg.Failure | dg.RetryRequested:
        """What to raise after a failed attempt: a retry where one may cure it, else the end of the step."""
        name = f"{stage.name}-{key.replace('/', '-')}.jsonl"
        step = saved_step(place, stage, key)
        cure = "never" if place.time_is_spent else answer["cure"]  # another attempt would have the whole limit again
        try:
            with place.store.ledger(f"attempts/{name}") as path:
                log = AttemptLog(path, run=context.run_id, allowed=self.attempts, backoff_seconds=self.backoff_seconds)
                move = log.failed(cure, answer["error"], step=step)
        except StoreError as error:  # what the child died of, perhaps: its words are written down here all the same
            context.log.warning("the log of this attempt waits on this machine for the next: %s", error)
        if not move.restarts:
            return Refusal(answer["error"], retry=move.reason)
        context.log.warning("%s", move.reason)
        return dg.RetryRequested(max_retries=self.attempts - 1, seconds_to_wait=move.wait_seconds)


def _surroundings(place: Place) -> dict[str, str]:
    """The environment of a child that works in a place, and has what is left of its time."""
    folders = {"MW_STORE": place.store.url, "MW_PROJECT": str(place.project), "MW_DATA": str(place.data)}
    if place.seconds_left is not None:
        folders |= {"MW_TIME_LIMIT": f"{max(1.0, place.seconds_left):.0f}", "MW_IN_PARTS": str(int(place.in_parts))}
    return {**native.SETTINGS, **os.environ, **folders}


def _death(stage: Stage, key: str, error: Exception) -> dict[str, Any]:
    """What a child that said nothing would have said."""
    status = re.search(r"-?\d+", str(error))
    sentence = (
        f"{stage.name} of {key!r}: its process died ({error}). Read what it wrote to stderr, and "
        "materialize it again: training goes on from its last checkpoint."
    )
    return {"error": sentence, "cure": cure_of_exit(int(status[0])) if status else "fix"}
