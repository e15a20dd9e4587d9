"""The cache of a store on object storage: files of artifacts, fetched when they are opened, evicted when it is full.

It has the layout of a store, `KIND/DIGEST/`, so a path in it is read like any other. What a living process has opened
stays: it holds a lock of the kernel for each artifact that it uses, on a byte of one file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.artifact import MANIFEST, FileEntry
from mw_pipeline.bucket import Bucket, number_in
from mw_pipeline.digest import sha256_file, sha256_remembered
from mw_pipeline.errors import ArtifactError

CACHE_GB = 50.0
"""How many gigabytes of artifacts are kept here; MW_CACHE_GB says otherwise. What is in use counts, and stays."""

AT_ONCE = 8
"""Files that are fetched or sent at the same time."""

_DRAFTS = "fetching"
_ABANDONED_SECONDS = 86_400.0


@dataclass(frozen=True)
class _Held:
    """What a process holds in one cache until it ends, as the paths that it has handed out may be read until then: an
    open file, which is never closed, with a lock on the byte of each artifact."""

    descriptor: int
    names: set[str]


_HELD: dict[tuple[int, Path], _Held] = {}
"""By process, as a forked one has none of its parent's locks, and by cache."""
_HOLDING = threading.Lock()


@dataclass(frozen=True)
class _Kept:
    """An artifact in the cache."""

    path: Path
    used: float
    bytes: int


class Cache:
    """The files of one bucket on this machine."""

    def __init__(self, root: Path, bucket: Bucket) -> None:
        self.root, self._bucket = root, bucket
        self._fetched_bytes, self._looks_at_bytes = 0, 0

    def hold(self, kind: str, digest: str) -> None:
        """Keeps an artifact from being evicted for as long as this process lives."""
        name = f"{kind}-{digest}"
        with _HOLDING:
            held = self._held()
            if name not in held.names:
                fcntl.lockf(held.descriptor, fcntl.LOCK_SH, 1, _byte_of(name))
                held.names.add(name)
        os.utime(self._use_file(name))

    def fetch(self, kind: str, digest: str, entries: Sequence[FileEntry]) -> None:
        """Brings files of an artifact here, those that are not here whole. Raises ArtifactError for bytes of another
        hash, and for a file that the bucket lacks."""
        missing = [entry for entry in entries if not self._is_here(kind, digest, entry)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda entry: self._fetch(kind, digest, entry), missing):
                pass
        if missing:
            self._fetched_bytes += sum(entry.bytes for entry in missing)
            if self._fetched_bytes >= self._looks_at_bytes:
                self._make_room()

    def _is_here(self, kind: str, digest: str, entry: FileEntry) -> bool:
        path = self.root / kind / digest / entry.path
        return path.is_file() and path.stat().st_size == entry.bytes and sha256_remembered(path) == entry.sha256

    def _fetch(self, kind: str, digest: str, entry: FileEntry) -> None:
        path, draft = self.root / kind / digest / entry.path, self.root / _DRAFTS / uuid.uuid4().hex
        draft.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._bucket.download(f"{kind}/{digest}/{entry.path}", draft)
            if (found := sha256_file(draft)) != entry.sha256:
                raise ArtifactError(
                    f"{self._bucket.url}/{kind}/{digest}/{entry.path}: has the sha256 {found[:12]}…, its bytes are not "
                    f"those that the manifest hashed ({entry.sha256[:12]}…). Remove the artifact there and make it "
                    "again."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Evicts what was used longest ago until the rest fits, and what killed processes left half fetched."""
        limit = cache_bytes()
        kept = sorted(self._kept(), key=lambda found: found.used)
        total = sum(found.bytes for found in kept)
        for found in kept:
            if total <= limit:
                break
            if self._evict(found):
                total -= found.bytes
        for draft in (self.root / _DRAFTS).iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process has fetched it meanwhile
                if time.time() - draft.stat().st_mtime > _ABANDONED_SECONDS:
                    draft.unlink()
        # Looked at again when as much was fetched as fits, or a twentieth more where all of it is in use.
        self._fetched_bytes, self._looks_at_bytes = 0, max(limit - total, limit // 20)

    def _kept(self) -> list[_Kept]:
        found = []
        for path in self.root.glob(f"*/[!.]*/{MANIFEST}"):
            with contextlib.suppress(FileNotFoundError):  # another process has evicted it meanwhile
                used = self._use_file(_name(path.parent)).stat().st_mtime
                found.append(_Kept(path.parent, used, _bytes_in(path.parent)))
        return found

    def _evict(self, found: _Kept) -> bool:
        """Whether an artifact was removed, as nobody uses it. Its manifest goes first: it is there whole or not."""
        name = _name(found.path)
        with _HOLDING:
            held = self._held()
            if name in held.names:
                return False
            try:
                fcntl.lockf(held.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte_of(name))
            except (BlockingIOError, PermissionError):  # the two answers that systems give for a lock of another
                return False
            try:
                (found.path / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(found.path)
            finally:
                fcntl.lockf(held.descriptor, fcntl.LOCK_UN, 1, _byte_of(name))
            return True

    def _held(self) -> _Held:
        key = (os.getpid(), self.root)
        if key not in _HELD or not os.fstat(_HELD[key].descriptor).st_nlink:  # someone has removed the cache
            path = self.root / "locks" / "in-use.lock"
            path.parent.mkdir(parents=True, exist_ok=True)
            _HELD[key] = _Held(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), set())
        return _HELD[key]

    def _use_file(self, name: str) -> Path:
        path = self.root / "locks" / "in-use" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        return path


def cache_bytes() -> int:
    """How much is kept here. Raises ArtifactError for a setting that is no number."""
    return int(number_in("MW_CACHE_GB", CACHE_GB) * 1e9)


def _name(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


def _byte_of(name: str) -> int:
    """Which byte of the file of locks is an artifact's, far beyond its end. Two that share one only stay longer."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
