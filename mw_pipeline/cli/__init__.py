"""The command line: one module per command, imported only when that command is asked for."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import io
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from mw_pipeline import __version__, failures, native
from mw_pipeline.errors import GateError, MwError

COMMANDS: dict[str, str] = {
    "corpus": "Read one raw file or folder through one adapter and count what became of every record.",
    "audit": "Show a recipe's source mix, as its sampler really draws it, and what is wrong with it.",
    "weigh": "Turn wanted shares and repetitions into the mix weights of a recipe.",
    "train": "Build what a recipe needs and run its smoke, or its full run behind the smoke's verdict.",
    "verdict": "Judge a folder of training logs: pass, fail or invalid, with the evidence.",
    "campaign": "Lay the recipes of a folder side by side, name what explains the failures, and say what to run next.",
    "golden": "Judge files of gold rows, row by row: exit 1 when they cannot judge anything themselves.",
    "losses": "Train the losses of a folder of recipes with several seeds, and rank them by what they decode.",
    "evaluate": "Score a package or a checkpoint on gold rows, with ceilings and intervals.",
    "capability": "Map what a package can read, cell by cell: exit 1 when a cell is blind.",
    "score": "Score anyone's predictions on gold rows, with the same numbers.",
    "diagnose": "Sort every miss into a bucket, and compare with a baseline.",
    "probe": "Take a checkpoint apart: its gradients, its activations, its labels.",
    "package": "Turn a checkpoint into packages that run without torch.",
    "parse": "Parse addresses with a package.",
    "why": "Name the training rows and sources that taught the reading of an address.",
    "inspect": "Verify an artifact, a checkpoint or a package, byte by byte.",
    "store": "Decide which of two artifacts of one request stays, or remove one.",
    "lineage": "Print the whole chain behind a package or an artifact.",
}

EXIT_OK, EXIT_REFUSED, EXIT_BAD_INPUT = failures.EXIT_DONE, failures.EXIT_REFUSED, failures.EXIT_BAD_INPUT
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0 when it is done, 1 when a gate refused, 2 on bad input; stdout carries JSON only."""
    arguments = sys.argv[1:] if argv is None else argv
    _open_closed_streams()
    if arguments[:1] == ["--version"]:
        print(f"mw-pipeline {__version__}")
        return EXIT_OK
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(), file=sys.stderr if not arguments else sys.stdout)
        return EXIT_OK if arguments else EXIT_BAD_INPUT
    if arguments[0] not in COMMANDS:
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1, cutoff=0.0)[0]
        print(
            f"{arguments[0]!r} is not a command; did you mean {near!r}? Commands: {', '.join(COMMANDS)}.",
            file=sys.stderr,
        )
        return EXIT_BAD_INPUT
    return _run(arguments[0], arguments[1:])


def say(line: str) -> None:
    """One line for people, at once."""
    print(line, file=sys.stderr, flush=True)


def _run(name: str, arguments: list[str]) -> int:
    for setting, value in native.SETTINGS.items():
        os.environ.setdefault(setting, value)
    try:
        command = _import(name)
        parser = argparse.ArgumentParser(
            prog=f"mw-pipeline {name}",
            description=COMMANDS[name],
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_arguments(parser)
        status = int(command.run(parser.parse_args(arguments)))
        sys.stdout.flush()  # here, and not at exit: a full disk can still be told from here
        return status
    except GateError as error:
        print(f"refused: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except MwError as error:
        print(f"error: {error}", file=sys.stderr)
        return failures.exit_status_of(error)
    except KeyboardInterrupt:
        print("stopped by the keyboard", file=sys.stderr)
        return failures.EXIT_STOPPED
    except BrokenPipeError:  # the reader of our output has left: nothing more to say to it
        _mute_stdout()
        return EXIT_OK
    except OSError as error:
        _mute_stdout()
        print(f"error: {_message_of(error)}", file=sys.stderr)
        return failures.exit_status_of(error)
    except Exception as error:  # a bug, or a machine that failed: the status says which, for whoever supervises
        traceback.print_exc()
        return failures.exit_status_of(error)


def _open_closed_streams() -> None:
    """A stream that the caller closed reads as empty and forgets what is written, so that no command has to ask."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  open as long as we run


def _mute_stdout() -> None:
    """What stdout still holds has nowhere to go: without this, Python would try once more while it exits."""
    with contextlib.suppress(io.UnsupportedOperation):  # a stream in memory has no descriptor, and no such end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message_of(error: OSError) -> str:
    """What the system refused, as one sentence for whoever gave the path or owns the disk."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    where = f"{error.filename}: " if error.filename else ""
    advice = "Free some space, or name a folder on another disk" if error.errno in _NO_ROOM else "Check the path"
    return f"{where}{reason[0].lower()}{reason[1:]}. {advice}, and run the command again."


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"mw_pipeline.cli.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mw_pipeline"):
            raise
        raise MwError(
            f"the command {name!r} needs the package {error.name!r}, which is not installed. "
            "Run `pip install 'mw-pipeline[pipeline]'`."
        ) from None


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        ["usage: mw-pipeline COMMAND ...", "", *lines, "", "`mw-pipeline COMMAND --help` explains a command."]
    )
