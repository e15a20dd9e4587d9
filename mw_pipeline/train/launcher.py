"""torchrun as `mw_pipeline.train.ranks` starts it: the end of a process is one line, not the tracebacks of torchrun."""

from __future__ import annotations

import logging
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from mw_pipeline.failures import EXIT_STOPPED, EXIT_UNFINISHED, words_of_exit


def main() -> None:
    """Runs the processes that torchrun's own arguments describe.

    The exit status is 130 after a signal to this process, and 75 when one of the processes failed."""
    logging.disable(logging.ERROR)  # torchrun warns of every process that it ends: the line below says it once
    try:
        run(parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    except SignalException:  # its processes have saved and ended by then
        sys.exit(EXIT_STOPPED)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:  # else it has said itself what it met
            sys.stderr.write(f"process {rank}, pid {failure.pid}: {words_of_exit(failure.exitcode)}\n")
        sys.exit(EXIT_UNFINISHED)


if __name__ == "__main__":
    main()
