"""Artifacts: content-addressed folders with a manifest written last.

An artifact lies in `KIND/DIGEST/`. The first half of the digest is the *key*, a hash of everything that went in (kind,
inputs, config, code); the second half is a hash of the bytes that came out. So equal requests are found again by their
key, a touched file no longer fits its name, and two different answers to one request can never share a name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mw_pipeline.digest import JSON, digest_of, sha256_file, sha256_remembered, written_json_value
from mw_pipeline.errors import ArtifactError

MANIFEST = "manifest.json"
_HALF = 32
_REMEDY = "Delete the artifact's folder and materialize it again."


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: its path below the artifact's folder, size and hash."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Reference:
    """Another artifact, by name."""

    kind: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Everything that is known of an artifact; it is written last, so what has none is not there."""

    kind: str
    digest: str
    files: tuple[FileEntry, ...]
    inputs: tuple[Reference, ...]
    config: JSON
    recipe_digest: str
    recipe_name: str
    code_digest: str
    toolchain: dict[str, str]
    metrics: dict[str, JSON]
    created_at: str
    made_by: str = ""

    @property
    def key(self) -> str:
        """The first half of the digest, recomputed from what went in."""
        return key_of(self.kind, self.inputs, self.config, self.code_digest)

    def as_json(self) -> JSON:
        """The manifest as written to `manifest.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: JSON, where: Path) -> Manifest:
        """The manifest of a `manifest.json`. Raises ArtifactError when its fields are not those of a manifest."""
        try:
            files = tuple(_of_json(FileEntry, entry) for entry in value["files"])
            inputs = tuple(_of_json(Reference, entry) for entry in value["inputs"])
            return _of_json(cls, {**value, "files": files, "inputs": inputs})
        except (TypeError, KeyError) as error:
            raise ArtifactError(
                f"{where}: not a manifest of this version ({error}). Delete the folder and materialize it again."
            ) from None


_OF_JSON = {"str": str, "int": int, "dict[str, str]": dict, "dict[str, JSON]": dict}
_Facts = TypeVar("_Facts", FileEntry, Reference, Manifest)


def _of_json(kind: type[_Facts], value: JSON) -> _Facts:
    """An object with these fields. Raises TypeError for a field that is missing, unknown or of another type."""
    for field_ in dataclasses.fields(kind):
        expected = _OF_JSON.get(str(field_.type))
        if expected and field_.name in value and type(value[field_.name]) is not expected:
            raise TypeError(f"{field_.name} is {value[field_.name]!r:.60}")
    return kind(**value)


def key_of(kind: str, inputs: Sequence[Reference], config: JSON, code: str) -> str:
    """The key (32 hex) of a request: equal when kind, inputs in order, config and code are equal."""
    wanted = {"kind": kind, "inputs": [[i.kind, i.digest] for i in inputs], "config": config, "code": code}
    return digest_of(wanted)[:_HALF]


def content_of(files: Sequence[FileEntry]) -> str:
    """The content half (32 hex) of a digest: a hash over the paths and hashes of all files."""
    return digest_of([[f.path, f.sha256] for f in files])[:_HALF]


@dataclass(frozen=True)
class Artifact:
    """An artifact that is whole: its manifest was found and its name fits.

    `fetch` brings files of it into its folder, where it lies on object storage; elsewhere they are there. `load` finds
    another artifact, by kind and digest, in the store that it was found in."""

    path: Path
    manifest: Manifest
    fetch: Callable[[Sequence[FileEntry]], None] | None = field(default=None, compare=False, repr=False)
    load: Callable[[str, str], Artifact] | None = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """What it is: `corpus_shards`, `tokenizer`, …"""
        return self.manifest.kind

    @property
    def digest(self) -> str:
        """Its name (64 hex)."""
        return self.manifest.digest

    @property
    def reference(self) -> Reference:
        """How others name it."""
        return Reference(self.kind, self.digest)

    @property
    def metrics(self) -> dict[str, JSON]:
        """What its maker measured."""
        return self.manifest.metrics

    @property
    def removal(self) -> str:
        """How a person takes it out of its store."""
        if self.fetch is None:
            return f"delete {self.path}"
        return f"run `mw-pipeline store --remove {self.kind}/{self.digest}`"

    def file(self, name: str) -> Path:
        """The local path of one of its files, whose bytes are those that the manifest hashed.

        Raises ArtifactError when the manifest does not list it, or it is missing or damaged."""
        entry = next((entry for entry in self.manifest.files if entry.path == name), None)
        if entry is None:
            raise ArtifactError(
                f"{self.path}: has no file {name!r}: it has {', '.join(f.path for f in self.manifest.files)}. "
                "Ask for one of these."
            )
        self._demand([entry])
        return self.path / name

    def folder(self, name: str = ".") -> Path:
        """One of its folders, or the whole of it, in which every listed file is as the manifest hashed it.

        Raises ArtifactError when the manifest lists no file there, or one is missing or damaged."""
        within = [entry for entry in self.manifest.files if Path(name) in Path(entry.path).parents]
        if not within and name != ".":
            raise ArtifactError(f"{self.path}: has no folder {name!r}. Inspect it.")
        self._demand(within)
        return self.path / name

    def demand_sound(self) -> None:
        """Returns when what lies here is as the manifest hashed it. Files that are fetched are checked as they are
        opened. Raises ArtifactError as `folder` does."""
        if self.fetch is None:
            self._demand(self.manifest.files)

    def _demand(self, entries: Sequence[FileEntry]) -> None:
        if self.fetch is not None:
            self.fetch(entries)
        for entry in entries:
            _demand_bytes(self.path, entry, sha256_remembered)

    def read_json(self, name: str) -> JSON:
        """The value of one of its JSON files. Raises ArtifactError for what is no JSON, and as `file` does."""
        path = self.file(name)
        try:
            return written_json_value(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(f"{path}: not JSON ({error}). {_REMEDY}") from None

    def input(self, kind: str) -> Reference:
        """Its one input of a kind. Raises ArtifactError when there is none or more than one."""
        found = [reference for reference in self.manifest.inputs if reference.kind == kind]
        if len(found) != 1:
            raise ArtifactError(f"{self.path}: has {len(found)} inputs of kind {kind!r}, expected one. Inspect it.")
        return found[0]

    def inputs(self, kind: str | None = None) -> list[Artifact]:
        """All that it was made from, or what is of a kind. Only where a store has loaded it; raises ArtifactError for
        one that is no longer there."""
        assert self.load is not None, self.path
        return [self.load(named.kind, named.digest) for named in self.manifest.inputs if kind in (None, named.kind)]


def read_artifact(path: Path) -> Artifact:
    """The artifact in a folder. Raises ArtifactError without a manifest, or when its digest does not fit its facts."""
    try:
        value = written_json_value((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: has no {MANIFEST}, so it is not an artifact. Name an artifact's folder."
        ) from None
    except ValueError as error:
        raise ArtifactError(
            f"{path / MANIFEST}: not JSON ({error}). Delete the folder and materialize again."
        ) from None
    manifest = Manifest.from_json(value, path)
    try:
        expected = manifest.key + content_of(manifest.files)
    except ValueError as error:  # digests are of no NaN
        raise ArtifactError(
            f"{path}: not a manifest of this version ({error}). Delete the folder and materialize it again."
        ) from None
    if manifest.digest != expected:
        raise ArtifactError(
            f"{path}: the digest {manifest.digest!r} does not fit its inputs and files ({expected!r}): it was edited. "
            "Delete the folder and materialize it again."
        )
    return Artifact(path, manifest)


def verify_artifact(artifact: Artifact) -> None:
    """Every listed file is there with its size and hash, and no other. Raises ArtifactError naming the first misfit."""
    if artifact.fetch is not None:
        artifact.fetch(artifact.manifest.files)
    for entry in artifact.manifest.files:
        _demand_bytes(artifact.path, entry, sha256_file)
    extra = sorted(set(files_below(artifact.path)) - {entry.path for entry in artifact.manifest.files})
    if extra:
        raise ArtifactError(f"{artifact.path}: holds {extra[0]!r}, which the manifest does not list. {_REMEDY}")


def _demand_bytes(folder: Path, entry: FileEntry, sha256: Callable[[Path], str]) -> None:
    """Raises ArtifactError unless the file is there with the size and hash of its entry."""
    path = folder / entry.path
    if not path.is_file():
        raise ArtifactError(f"{path}: is missing, the manifest lists it with {entry.bytes} bytes. {_REMEDY}")
    if path.stat().st_size != entry.bytes:
        raise ArtifactError(f"{path}: has {path.stat().st_size} bytes, the manifest says {entry.bytes}. {_REMEDY}")
    if sha256(path) != entry.sha256:
        raise ArtifactError(f"{path}: its bytes are not those that the manifest hashed. {_REMEDY}")


def files_below(path: Path) -> list[str]:
    """Names of all files of an artifact's folder but the manifest, sorted."""
    found = (p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    return sorted(name for name in found if name != MANIFEST)
