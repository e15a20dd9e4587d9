"""The store: where artifacts lie, found again by what went into them, made once and moved into place whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mw_pipeline.artifact import (
    MANIFEST,
    Artifact,
    FileEntry,
    Manifest,
    content_of,
    files_below,
    key_of,
    read_artifact,
    verify_artifact,
)
from mw_pipeline.digest import JSON, code_digest, sha256_file, toolchain, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.urls import is_url, meant_url

_ASKED_EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Built:
    """What `Store.build` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    reused: bool


class Store:
    """Where artifacts lie: a local folder, or any fsspec URL with a local folder that mirrors what is in use."""

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        if meant := meant_url(self.url):
            raise ArtifactError(
                f"the store {self.url!r} has one slash where a URL has two: did you mean {meant!r}? A folder of that "
                f"name is './{self.url}'."
            )
        self._remote = _remote_of(self.url)
        self.root = _mirror_of(self.url) if self._remote else Path(self.url.removeprefix("file://")).absolute()

    def find(self, kind: str, key: str) -> Artifact | None:
        """The artifact made from these inputs, or None.

        Raises ArtifactError when two different ones claim the key, or one lies where another belongs."""
        if self._remote:
            self._remote.pull(self.root, kind, key)
        found = sorted(p for p in (self.root / kind).glob(f"{key}*") if (p / MANIFEST).is_file())
        if len(found) > 1:
            raise ArtifactError(
                f"{self.root / kind}: {len(found)} artifacts were made from the same inputs with different content "
                f"({', '.join(p.name for p in found)}). Delete the ones that you do not trust."
            )
        return _named(found[0]) if found else None

    def load(self, kind: str, digest: str) -> Artifact:
        """The artifact of this name. Raises ArtifactError when it is not there or not what its name says."""
        if self._remote:
            self._remote.pull(self.root, kind, digest)
        path = self.root / kind / digest
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path}: there is no such artifact in this store. Materialize {kind} again.")
        return _named(path)

    def verify(self, artifact: Artifact) -> None:
        """Checks every byte; see `verify_artifact`."""
        verify_artifact(artifact)

    def build(
        self,
        kind: str,
        *,
        make: Callable[[Path], Mapping[str, JSON]],
        inputs: Sequence[Artifact] = (),
        config: JSON = None,
        modules: Sequence[str] = (),
        recipe_digest: str = "",
        recipe_name: str = "",
        patience_seconds: float = 0.0,
    ) -> Built:
        """The artifact of a request: found again when it was made before, else made, hashed and moved into place.

        `make` writes its files into the empty folder that it is given and returns metrics, to which the seconds that it
        took are added. It may be killed at any moment: what it leaves behind has no manifest and is swept by the next
        build of the same key. Two builds of one key at a time are refused with the owner's name (M64), the second after
        `patience_seconds`: what takes a moment is waited for.

        Nothing is made from damaged inputs, and nothing damaged is found again: either raises ArtifactError."""
        references = tuple(artifact.reference for artifact in inputs)
        code = code_digest(tuple(modules))
        key = key_of(kind, references, config, code)
        with self.claim(kind, key, patience_seconds=patience_seconds):
            found = self.find(kind, key)
            if found is not None:
                self.verify(found)
                return Built(found, reused=True)
            for artifact in inputs:
                artifact.folder()
            draft = self.root / kind / f".draft-{key}"
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
                kind=kind,
                digest=key + content_of(files),
                files=files,
                inputs=references,
                config=config,
                recipe_digest=recipe_digest,
                recipe_name=recipe_name,
                code_digest=code,
                toolchain=toolchain(),
                metrics=metrics,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            return Built(self._publish(draft, manifest), reused=False)

    def _publish(self, draft: Path, manifest: Manifest) -> Artifact:
        write_json_atomically(draft / MANIFEST, manifest.as_json())
        path = self.root / manifest.kind / manifest.digest
        draft.rename(path)
        if self._remote:
            self._remote.push(self.root, manifest)
        return Artifact(path, manifest)

    def work_path(self, kind: str, key: str) -> Path:
        """A folder that survives a killed maker of this key, for work that can resume (training)."""
        path = self.root / "work" / kind / key
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def claim(self, kind: str, key: str, *, patience_seconds: float = 0.0) -> Iterator[None]:
        """Holds the right to make one artifact. Raises ArtifactError naming the owner when another process has it."""
        ends = time.monotonic() + patience_seconds
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{kind}-{key}").open("a+") as stream:
            while not _is_mine(stream):
                if time.monotonic() >= ends:
                    stream.seek(0)
                    raise ArtifactError(
                        f"{kind} {key[:12]} is being made by {stream.read().strip() or 'another process'}. "
                        "Wait for it to end, or stop it."
                    )
                time.sleep(_ASKED_EVERY_SECONDS)
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {platform.node()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
            stream.flush()
            yield


def _is_mine(stream: IO[str]) -> bool:
    """Whether this process holds the lock of an open file now; it keeps it until the file is closed."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _named(path: Path) -> Artifact:
    """The artifact in a folder that has its name. Raises ArtifactError for one that was put where another belongs."""
    artifact = read_artifact(path)
    if artifact.digest != path.name:
        raise ArtifactError(
            f"{path}: holds the artifact {artifact.digest}: it was renamed. Delete the folder and materialize again."
        )
    return artifact


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    return FileEntry(name, path.stat().st_size, sha256_file(path))


class _Remote:
    """Copies artifacts between a local mirror and an fsspec file system, manifests last in both directions."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec  # the parser's base install has no fsspec: only a remote store needs it

            self.files, self.base = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ArtifactError(
                f"the store {url!r} cannot be opened: {error}. Name a folder, or install what this kind of URL needs."
            ) from None

    def push(self, root: Path, manifest: Manifest) -> None:
        """Uploads an artifact of the mirror."""
        below = f"{manifest.kind}/{manifest.digest}"
        for name in [*(entry.path for entry in manifest.files), MANIFEST]:
            self.files.makedirs(f"{self.base}/{below}/{name}".rpartition("/")[0], exist_ok=True)
            self.files.put_file(str(root / below / name), f"{self.base}/{below}/{name}")

    def pull(self, root: Path, kind: str, prefix: str) -> None:
        """Downloads every artifact of a kind whose digest has the prefix and that the mirror lacks."""
        for manifest in self.files.glob(f"{self.base}/{kind}/{prefix}*/{MANIFEST}"):
            target = root / kind / Path(manifest).parent.name
            if (target / MANIFEST).is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".pull-", dir=target.parent))
            self.files.get(f"{manifest.rpartition('/')[0]}/", f"{draft}/", recursive=True)
            draft.rename(target)


def _remote_of(url: str) -> _Remote | None:
    return _Remote(url) if is_url(url) and not url.startswith("file://") else None


def _mirror_of(url: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "mw-pipeline" / hashlib.sha256(url.encode()).hexdigest()[:16]
