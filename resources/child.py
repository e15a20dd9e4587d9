"""The child process of the trainer: runs one stage under Pipes and reports the artifact, or why there is none."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

from dagster_pipes import PipesContext, open_dagster_pipes

from mw_pipeline.errors import MwError
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.tensor import run_stage

LOGGED_EVERY_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the stage that the parent asks for. An expected error is reported as one sentence, never as a traceback."""
    die_with_parent()
    with open_dagster_pipes() as pipes:
        stage, partition = pipes.get_extra("stage"), pipes.get_extra("partition")
        try:
            built = run_stage(stage, Place.of(), partition, progress=_person(pipes))
        except MwError as error:
            pipes.log.error(str(error))
            pipes.report_custom_message({"error": str(error)})
            return
        artifact = built.artifact
        pipes.report_custom_message({"kind": artifact.kind, "digest": artifact.digest, "reused": built.reused})


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


def die_with_parent() -> None:
    """Ask the kernel to interrupt this process when its parent dies, so that a killed graph leaves no orphan."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
