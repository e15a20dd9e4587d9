"""The folder that a command leaves its results in: whole, or not there; and the one for work that can go on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mw_pipeline.errors import ArtifactError


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends well, and is swept when it does not.

    Raises ArtifactError when there is something at `path` already, where an empty folder is nothing, and for a path
    that is not UTF-8, which the writers of Parquet and Arrow files cannot name."""
    if (written := os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")) != str(path.absolute()):
        raise ArtifactError(f"{written}: is not a name in UTF-8. Name another folder.")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        found = "holds files already" if path.is_dir() else "is a file"
        raise ArtifactError(f"{path}: {found}. Name a new folder, or remove it first.")
    parent, name = path.absolute().parent, path.absolute().name
    parent.mkdir(parents=True, exist_ok=True)
    draft = parent / f".{name}.{os.getpid()}"
    draft.mkdir()
    try:
        yield draft
        if path.exists():
            path.rmdir()
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def input_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` for what has to be fetched first, of the same name each time; swept at the end."""
    folder = path.absolute().parent / f".{path.absolute().name}.input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def work_folder(path: Path, request: str) -> Iterator[Path]:
    """A folder beside `path` for the work on one request: it outlives a kill or Ctrl-C, for the same request to go on.

    Swept when the block ends well. Raises ArtifactError while another process works in it."""
    work = path.absolute().parent / f".{path.absolute().name}.work-{request[:12]}"
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield work
        shutil.rmtree(work, ignore_errors=True)
    except BlockingIOError:
        raise ArtifactError(f"{path}: is being made by another process. Wait for it to end, or stop it.") from None
    finally:
        os.close(lock)
