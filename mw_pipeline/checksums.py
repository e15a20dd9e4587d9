"""The SHA256SUMS of a folder, in the format that `sha256sum -c` reads."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError

SUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_sums(folder: Path) -> None:
    """Lists every file of the folder, sorted by name, except SHA256SUMS itself."""
    lines = [f"{sha256_file(folder / name)}  {name}\n" for name in _names(folder)]
    (folder / SUMS_NAME).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """File name → SHA-256 (hex). Raises ArtifactError when the list is missing or malformed, or leaves the folder."""
    path = folder / SUMS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ArtifactError(
            f"{path}: cannot be read, so nothing vouches for the files of this folder. Name a package folder."
        ) from None
    sums = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise ArtifactError(
                f"{path}:{number}: {line!r} is not `<sha256>  <file of this folder>`. Fetch the package again."
            )
        sums[match[2]] = match[1]
    return sums


def sums_findings(folder: Path, *, only: Container[str] | None = None) -> list[str]:
    """What is missing, changed or unlisted, one sentence each; empty when every byte is as listed.

    `only` names the files to look at; without it all are."""
    sums = read_sums(folder)
    findings = []
    for name, expected in sums.items():
        if only is not None and name not in only:
            continue
        path = folder / name
        if not path.is_file():
            findings.append(f"{name}: is listed in {SUMS_NAME} and not there")
        elif (found := sha256_file(path)) != expected:
            findings.append(f"{name}: has the sha256 {found[:16]}…, {SUMS_NAME} says {expected[:16]}…")
    unlisted = [name for name in _names(folder) if name not in sums]
    return findings + [f"{name}: is not listed in {SUMS_NAME}" for name in unlisted if only is None or name in only]


def _names(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.as_posix() != SUMS_NAME)
