"""Artifacts on object storage: there for everybody once their manifest is, which is put last and never replaced."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from mw_pipeline.artifact import MANIFEST, Artifact, FileEntry, Manifest, read_artifact
from mw_pipeline.bucket import Bucket, TakenError
from mw_pipeline.digest import json_value, sha256_file, write_json_atomically
from mw_pipeline.errors import ArtifactError, StoreError
from mw_pipeline.store.cache import AT_ONCE, Cache, cache_bytes
from mw_pipeline.store.leases import lease_seconds

_SAID_EVERY_SECONDS = 2.0


class Remote:
    """The artifacts of a bucket; `cache_path` holds those of their files that are in use on this machine.

    Raises ArtifactError for a setting of the environment that is no number."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        lease_seconds(), cache_bytes()  # settings that nobody understands are told of before anything is done
        self.bucket = Bucket(url)
        self.cache_path = cache_path_of(url)
        self._cache = Cache(self.cache_path, self.bucket)
        self._say = say

    def digests(self, kind: str, prefix: str) -> list[str]:
        """The digests of all artifacts of a kind that begin with a prefix, sorted."""
        return [name for name in self.bucket.folders(kind, prefix) if self._manifest(kind, name) is not None]

    def open(self, kind: str, digest: str) -> Artifact | None:
        """The artifact, whose files are fetched when they are opened; None when it is not there for everybody.

        Raises ArtifactError when its manifest is damaged, was edited, or is of another that belongs elsewhere."""
        content = self._manifest(kind, digest)
        if content is None:
            return None
        self._cache.hold(kind, digest)
        path = self.cache_path / kind / digest
        path.mkdir(parents=True, exist_ok=True)
        try:
            if not (path / MANIFEST).is_file() or (path / MANIFEST).read_bytes() != content:
                write_json_atomically(path / MANIFEST, json_value(content))
            manifest = read_artifact(path).manifest
        except (ValueError, ArtifactError):
            manifest = None
        if manifest is None or (manifest.kind, manifest.digest) != (kind, digest):
            raise ArtifactError(
                f"{self.bucket.url}/{kind}/{digest}/{MANIFEST}: is not the manifest that this artifact was given: it "
                f"was edited, or damaged. Run `mw-pipeline store --remove {kind}/{digest}` and make it again."
            )
        return self._artifact(path, manifest)

    def _manifest(self, kind: str, digest: str) -> bytes | None:
        found = self.bucket.get(f"{kind}/{digest}/{MANIFEST}")
        return found[0] if found else None

    def _artifact(self, path: Path, manifest: Manifest) -> Artifact:
        return Artifact(path, manifest, partial(self._cache.fetch, path.parent.name, path.name))

    def verify(self, artifact: Artifact) -> None:
        """Every listed file is there in its size, and no other; of those that are in the cache every byte counts, and
        what is damaged there is fetched again. The bytes of the others are compared when they are opened.

        Raises ArtifactError naming the first misfit."""
        where = f"{artifact.kind}/{artifact.digest}"
        there = self.bucket.sizes(where)
        listed = {f"{where}/{entry.path}": entry for entry in artifact.manifest.files}
        for path, entry in listed.items():
            if there.get(path) != entry.bytes:
                found = f"has {there[path]} bytes" if path in there else "is missing"
                raise ArtifactError(
                    f"{self.bucket.url}/{path}: {found}, the manifest lists it with {entry.bytes} bytes. Run "
                    f"`mw-pipeline store --remove {where}` and make it again."
                )
        extra = sorted(there.keys() - listed.keys() - {f"{where}/{MANIFEST}"})
        if extra:
            raise ArtifactError(f"{self.bucket.url}/{extra[0]}: the manifest does not list it. Remove it.")
        for entry in artifact.manifest.files:
            path_here = artifact.path / entry.path
            if path_here.is_file() and sha256_file(path_here) != entry.sha256:
                path_here.unlink()

    def publish(self, draft: Path, manifest: Manifest, demand_claim: Callable[[], None]) -> None:
        """Puts the files of a draft there and then its manifest, unless one of the same files came there first.

        Raises StoreError when the bucket fails or the claim was lost, which sending may take long enough for: the draft
        is kept, and whoever publishes it again goes on. Raises ArtifactError when something else was made from the same
        inputs meanwhile."""
        where = f"{manifest.kind}/{manifest.digest}"
        try:
            demand_claim()
            self._demand_alone(draft, manifest)
            self._send(draft, where, manifest.files)
            self._demand_alone(draft, manifest)
            demand_claim()
            self.bucket.put(f"{where}/{MANIFEST}", (draft / MANIFEST).read_bytes(), over=None)
        except TakenError:
            self._say(f"{where[:40]}: another has put the same files there meanwhile")
        except StoreError as error:
            raise StoreError(
                f"{manifest.kind} {manifest.digest[:12]} is made, but not there for others: {error} All of it is kept "
                f"in {draft}: the same command goes on with sending it, and makes nothing again."
            ) from None
        self._cache.hold(manifest.kind, manifest.digest)

    def _send(self, draft: Path, where: str, entries: tuple[FileEntry, ...]) -> None:
        """Puts the files there that are not there yet: of one name, which their digest is in, they are the same."""
        there = self.bucket.sizes(where)
        missing = [entry for entry in entries if there.get(f"{where}/{entry.path}") != entry.bytes]
        total, sent, said = sum(entry.bytes for entry in missing), 0, time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            calls = {
                pool.submit(self.bucket.upload, f"{where}/{entry.path}", draft / entry.path): entry for entry in missing
            }
            try:
                for call in as_completed(calls):
                    call.result()
                    sent += calls[call].bytes
                    if time.monotonic() - said >= _SAID_EVERY_SECONDS:
                        said = time.monotonic()
                        self._say(f"{where[:40]}: {sent / 1e6:,.1f} of {total / 1e6:,.1f} MB are on the store")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _demand_alone(self, draft: Path, manifest: Manifest) -> None:
        """Raises ArtifactError when the store has something else that was made from the same inputs."""
        other = next((name for name in self.digests(manifest.kind, manifest.key) if name != manifest.digest), None)
        if other is None:
            return
        theirs = self.open(manifest.kind, other)
        raise ArtifactError(
            f"{manifest.kind} {manifest.key[:12]}: {maker_of(manifest)} made {manifest.digest} from the same inputs as "
            f"{maker_of(theirs.manifest) if theirs else 'another'} made {other}, which is on the store and stays. To "
            f"take that, run the command again; to have the one in {draft} instead, run "
            f"`mw-pipeline store --keep {manifest.kind}/{manifest.digest}` before that."
        )

    def remove(self, kind: str, digest: str) -> None:
        """Takes an artifact away: the manifest first, so that nobody finds half of it."""
        where = f"{kind}/{digest}"
        self.bucket.delete([f"{where}/{MANIFEST}"])
        self.bucket.delete([*self.bucket.sizes(where)])


def maker_of(manifest: Manifest) -> str:
    """Who made an artifact, and when."""
    return f"{manifest.made_by or 'someone'} at {manifest.created_at}"


def cache_path_of(url: str) -> Path:
    """Where the files of a bucket are kept on this machine."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "mw-pipeline" / hashlib.sha256(url.encode()).hexdigest()[:16]
