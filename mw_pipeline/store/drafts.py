"""Drafts: an artifact while it is made, and when it is made whole and not yet in its place."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mw_pipeline.artifact import (
    MANIFEST,
    FileEntry,
    Manifest,
    Reference,
    content_of,
    files_below,
    key_of,
    read_artifact,
    verify_artifact,
)
from mw_pipeline.digest import JSON, sha256_file, toolchain, write_json_atomically
from mw_pipeline.errors import ArtifactError


@dataclass(frozen=True)
class Wanted:
    """What goes into an artifact that is asked for."""

    kind: str
    inputs: tuple[Reference, ...]
    config: JSON
    code: str
    recipe_digest: str
    recipe_name: str

    @property
    def key(self) -> str:
        """The first half of its digest."""
        return key_of(self.kind, self.inputs, self.config, self.code)


def whole(draft: Path) -> Manifest | None:
    """The manifest of a draft that was made whole, by a process that ended before it was in its place; else None."""
    try:
        artifact = read_artifact(draft)
        verify_artifact(artifact)
    except ArtifactError:
        return None
    return artifact.manifest


def made(draft: Path, wanted: Wanted, make: Callable[[Path], Mapping[str, JSON]]) -> Manifest:
    """Has the files made, and writes the manifest beside them."""
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    begun = time.monotonic()
    try:
        metrics = {**make(draft), "seconds": round(time.monotonic() - begun, 3)}
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # a disk that is full should not stay so
        raise
    files = tuple(_entry(draft, name) for name in files_below(draft))
    manifest = Manifest(
        kind=wanted.kind,
        digest=wanted.key + content_of(files),
        files=files,
        inputs=wanted.inputs,
        config=wanted.config,
        recipe_digest=wanted.recipe_digest,
        recipe_name=wanted.recipe_name,
        code_digest=wanted.code,
        toolchain=toolchain(),
        metrics=metrics,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=f"process {os.getpid()} on {os.environ.get('MW_MACHINE') or platform.node()}",
    )
    write_json_atomically(draft / MANIFEST, manifest.as_json())
    return manifest


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    return FileEntry(name, path.stat().st_size, sha256_file(path))
