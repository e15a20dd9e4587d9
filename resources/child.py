"""The child process of the trainer: runs one stage under Pipes and reports the artifact, or why there is none."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
import traceback

from dagster_pipes import PipesContext, open_dagster_pipes

from mw_pipeline.errors import MwError
from mw_pipeline.failures import cure_of_error, exit_status_of
from mw_pipeline.stages.line import stage_named
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.turns import Turns

LOGGED_EVERY_SECONDS = 10.0
PARENT_ASKED_EVERY_SECONDS = 0.5


def main() -> None:
    """Run the stage that the parent asks for. An expected error is reported as one sentence, never as a traceback."""
    os.setpgrp()  # Ctrl-C then reaches the graph alone, which hands on one SIGINT: a second would cut the saving short
    try:
        with open_dagster_pipes() as pipes:
            threading.Thread(target=end_with, args=[pipes.get_extra("parent")], daemon=True).start()
            pipes.report_custom_message(answer(pipes))
    except Exception as error:  # a bug: Python's own status for it is that of a gate that refused (M41)
        traceback.print_exc()
        sys.exit(exit_status_of(error))


def answer(pipes: PipesContext) -> dict[str, str | bool]:
    """Kind and digest of the stage's artifact and whether it was reused, or an error in words and its cure."""
    stage, partition = pipes.get_extra("stage"), pipes.get_extra("partition")
    try:
        built = stage_named(stage).make(_place(pipes), partition, progress=_person(pipes))
    except (MwError, OSError, MemoryError) as error:
        return {"error": str(error) or "out of memory", "cure": cure_of_error(error)}
    except KeyboardInterrupt as error:
        sentence = f"{stage} of {partition!r} was interrupted. Materialize it again."
        return {"error": sentence, "cure": cure_of_error(error)}
    return {"kind": built.artifact.kind, "digest": built.artifact.digest, "reused": built.reused}


def _place(pipes: PipesContext) -> Place:
    """The place that the parent named, where this run's trainings take turns with those of others."""
    place = Place.of().remembering()
    turns = Turns(place.store.root / "turns", at_once=pipes.get_extra("trainings_at_once"), run=pipes.run_id)
    return dataclasses.replace(place, turns=turns)


def _person(pipes: PipesContext) -> Progress:
    """Lines go to stderr at once, for whoever watches; the run's log gets one in `LOGGED_EVERY_SECONDS`."""
    last = -LOGGED_EVERY_SECONDS

    def show(line: str) -> None:
        nonlocal last
        print(line, file=sys.stderr, flush=True)  # noqa: T201
        if time.monotonic() - last >= LOGGED_EVERY_SECONDS:
            last = time.monotonic()
            pipes.log.info(line)

    return show


def end_with(parent: int) -> None:
    """Interrupts this process, once, when its parent is gone, so that a killed graph leaves no orphan.

    The kernel's own PR_SET_PDEATHSIG would do it once for every thread of the parent, and the second cuts saving short.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_ASKED_EVERY_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
