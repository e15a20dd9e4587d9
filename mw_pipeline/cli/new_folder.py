"""The folder that a command leaves its results in: whole, or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mw_pipeline.errors import ArtifactError


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends well, and is swept when it does not.

    Raises ArtifactError when there is something at `path` already; an empty folder is nothing."""
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
