"""The store: artifacts found again by what went into them, made once, and there for everybody or for nobody."""

from __future__ import annotations

import dataclasses
import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.artifact import (
    MANIFEST,
    Artifact,
    Manifest,
    read_artifact,
    verify_artifact,
)
from mw_pipeline.digest import JSON, code_digest
from mw_pipeline.errors import ArtifactError
from mw_pipeline.store.claims import claimed
from mw_pipeline.store.drafts import Wanted, made, whole
from mw_pipeline.store.kept_work import KeptWork, sweep
from mw_pipeline.store.leases import leased
from mw_pipeline.store.ledgers import changed_ledger, fetch_ledger
from mw_pipeline.store.remote import Remote, maker_of
from mw_pipeline.urls import is_url, meant_url

Claim = Callable[[], None]
"""Returns while a claim is held. Raises StoreError when another machine took it over."""


@dataclass(frozen=True)
class Built:
    """What `Store.build` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    reused: bool


def say_to_people(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Store:
    """Where artifacts lie: a local folder, or a URL of object storage with a cache on this machine.

    `root` is the folder, or the cache. What needs no other machine lies there: drafts, downloads, turns."""

    def __init__(self, url: str | Path, *, say: Callable[[str], None] = say_to_people) -> None:
        self.url = str(url)
        if meant := meant_url(self.url):
            raise ArtifactError(
                f"the store {self.url!r} has one slash where a URL has two: did you mean {meant!r}? A folder of that "
                f"name is './{self.url}'."
            )
        self._say = say
        self._remote = Remote(self.url, say) if is_url(self.url) and not self.url.startswith("file://") else None
        self.root = self._remote.cache_path if self._remote else Path(self.url.removeprefix("file://")).absolute()

    def find(self, kind: str, key: str) -> Artifact | None:
        """The artifact made from these inputs, or None: on object storage it is asked whether it is there for
        everybody, whatever the cache holds (M72).

        Raises ArtifactError when two different ones claim the key, or one lies where another belongs."""
        digests = self.digests(kind, key)
        if len(digests) > 1:
            made = [self.load(kind, digest) for digest in digests]
            raise ArtifactError(
                f"{self.url}/{kind}: {len(made)} artifacts were made from the same inputs with different content: "
                + ", ".join(f"{artifact.digest} by {maker_of(artifact.manifest)}" for artifact in made)
                + f". Run `mw-pipeline store --keep {kind}/DIGEST` with the one that you trust."
            )
        return self.load(kind, digests[0]) if digests else None

    def digests(self, kind: str, prefix: str) -> list[str]:
        """The digests of all artifacts of a kind that begin with a prefix, sorted."""
        if self._remote is not None:
            return self._remote.digests(kind, prefix)
        return sorted(p.name for p in (self.root / kind).glob(f"{prefix}*") if (p / MANIFEST).is_file())

    def load(self, kind: str, digest: str) -> Artifact:
        """The artifact of this name. Raises ArtifactError when it is not there or not what its name says."""
        if self._remote is not None:
            artifact = self._remote.open(kind, digest)
        else:
            path = self.root / kind / digest
            artifact = read_artifact(path) if (path / MANIFEST).is_file() else None
        if artifact is None:
            raise ArtifactError(
                f"{self.url}/{kind}/{digest}: there is no such artifact in this store. Materialize {kind} again."
            )
        if artifact.digest != artifact.path.name:
            raise ArtifactError(
                f"{artifact.path}: holds the artifact {artifact.digest}: it was renamed. Delete the folder and "
                "materialize again."
            )
        return dataclasses.replace(artifact, load=self.load)

    def verify(self, artifact: Artifact) -> None:
        """Checks every byte that lies here; see `verify_artifact` and `Remote.verify`."""
        if self._remote is not None:
            self._remote.verify(artifact)
        else:
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
        build of the same key. What was made here and could not be sent is sent by the next build, and not made again.
        Two builds of one key at a time are refused with the owner's name (M64, M73), the second after
        `patience_seconds`: what takes a moment is waited for.

        Nothing is made from damaged inputs, and nothing damaged is found again: either raises ArtifactError. Raises
        StoreError when object storage does not take what was made: it has not been made then (M72)."""
        references = tuple(artifact.reference for artifact in inputs)
        wanted = Wanted(kind, references, config, code_digest(tuple(modules)), recipe_digest, recipe_name)
        draft = self.root / kind / f".draft-{wanted.key}"
        with self.claim(kind, wanted.key, patience_seconds=patience_seconds) as demand_claim:
            found = self.find(kind, wanted.key)
            if found is not None:
                shutil.rmtree(draft, ignore_errors=True)
                self.verify(found)
                return Built(found, reused=True)
            for artifact in inputs:
                artifact.demand_sound()
            manifest = whole(draft) or made(draft, wanted, make)
            return Built(self._publish(draft, manifest, demand_claim), reused=False)

    def _publish(self, draft: Path, manifest: Manifest, demand_claim: Claim) -> Artifact:
        """The artifact of a whole draft, in its place."""
        path = self.root / manifest.kind / manifest.digest
        if self._remote is not None:
            self._remote.publish(draft, manifest, demand_claim)
        if self._remote is not None and path.exists():  # another machine was first, and its files may be in use here
            shutil.rmtree(draft)
        else:
            if not (path / MANIFEST).is_file():  # what a removal that was killed has left: it is not there
                shutil.rmtree(path, ignore_errors=True)
            draft.rename(path)
        return self.load(manifest.kind, manifest.digest)

    def keep(self, kind: str, digest: str) -> list[str]:
        """Settles which of the artifacts of one key stays, and returns the digests of those that went.

        Raises ArtifactError when it is neither in the store nor made here and waiting to be sent."""
        key = digest[: len(digest) // 2]
        draft = self.root / kind / f".draft-{key}"
        with self.claim(kind, key) as demand_claim:
            there = self.digests(kind, key)
            waiting = whole(draft)
            mine = waiting if digest not in there and waiting is not None and waiting.digest == digest else None
            if digest not in there and mine is None:
                raise ArtifactError(
                    f"{kind}/{digest}: is not in the store {self.url}, and not made here. "
                    f"Of its key there are: {', '.join(there) or 'none'}."
                )
            others = [other for other in there if other != digest]
            for other in others:
                self._remove(kind, other)
            if mine is not None:
                self._publish(draft, mine, demand_claim)
            return others

    def remove(self, kind: str, digest: str) -> None:
        """Takes an artifact out of the store. Raises ArtifactError when it is not there."""
        with self.claim(kind, digest[: len(digest) // 2]):
            if digest not in self.digests(kind, digest):
                raise ArtifactError(f"{kind}/{digest}: is not in the store {self.url}. Name one that is.")
            self._remove(kind, digest)

    def _remove(self, kind: str, digest: str) -> None:
        if self._remote is not None:
            self._remote.remove(kind, digest)
        (self.root / kind / digest / MANIFEST).unlink(missing_ok=True)  # first: without it the rest is not there
        shutil.rmtree(self.root / kind / digest, ignore_errors=True)

    def work_path(self, kind: str, key: str) -> Path:
        """A folder that survives a killed maker of this key, for work that can resume (training)."""
        path = self.root / "work" / kind / key
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def work(self, kind: str, key: str) -> Iterator[Path]:
        """`work_path` as whoever worked on this key last has left it, on whichever machine; what is done in the block
        is kept on the store as it grows. Whoever enters holds the claim of the key."""
        path = self.work_path(kind, key)
        if self._remote is None:
            yield path
            return
        note = self.root / "kept" / f"{kind}-{key}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        kept = KeptWork(self._remote.bucket, f"work/{kind}/{key}", path, note, self._say)
        kept.fetch()
        with kept.kept_while():
            yield path

    def sweep_work(self, kind: str, key: str) -> None:
        """Removes the work of a key, here and on the store, as what came of it is in its place; that of another who is
        at work on it is theirs to remove."""
        with suppress(ArtifactError), self.claim(kind, key):
            shutil.rmtree(self.root / "work" / kind / key, ignore_errors=True)
            if self._remote is not None:
                (self.root / "kept" / f"{kind}-{key}.json").unlink(missing_ok=True)
                sweep(self._remote.bucket, f"work/{kind}/{key}")

    @contextmanager
    def claim(self, kind: str, key: str, *, patience_seconds: float = 0.0) -> Iterator[Claim]:
        """Holds the right to make one artifact, on object storage among all machines. Raises ArtifactError naming the
        owner when another process has it."""
        what = f"{kind} {key[:12]}"
        with claimed(self.root / "locks" / f"{kind}-{key}", what, patience_seconds=patience_seconds):
            if self._remote is None:
                yield lambda: None
                return
            path = f"locks/{kind}/{key}.json"
            with leased(self._remote.bucket, path, what, patience_seconds=patience_seconds, say=self._say) as lease:
                yield lease.demand

    def ledger_path(self, name: str) -> Path:
        """A ledger (a file of JSON lines that only grows) as it is now, to be read; there may be none."""
        path = self.root / name
        if self._remote is not None:
            with _locked_ledger(path):
                fetch_ledger(self._remote.bucket, name, path)
        return path

    @contextmanager
    def ledger(self, name: str) -> Iterator[Path]:
        """The same to be added to: the lines that the block adds come after those of all others. Raises StoreError
        after the block when they could not be sent: they wait here, and go with the next."""
        path = self.root / name
        with _locked_ledger(path):
            if self._remote is None:
                yield path
                return
            with changed_ledger(self._remote.bucket, name, path):
                yield path


@contextmanager
def _locked_ledger(path: Path) -> Iterator[None]:
    """Keeps other processes of this machine, whether they add to a ledger or fetch it, from its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.block").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
