"""Verifying what lies in a path: an artifact, a checkpoint, a package, a release, or bare weights. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mw_pipeline.artifact import MANIFEST, read_artifact, verify_artifact
from mw_pipeline.checksums import SUMS_NAME, sums_findings
from mw_pipeline.client import MOST_PIECES
from mw_pipeline.digest import JSON, digest_of, json_value, sha256_file
from mw_pipeline.errors import ArtifactError, MwError
from mw_pipeline.labels import label_set_of
from mw_pipeline.package.contract import contract_findings
from mw_pipeline.package.lineage import LINEAGE_NAME, lineage_findings
from mw_pipeline.package.readme import attribution_text
from mw_pipeline.package.tensors import read_tensor_file
from mw_pipeline.parse import onnx_logits
from mw_pipeline.parser_files import (
    ATTRIBUTION_NAME,
    CARD_NAME,
    FACTS_NAME,
    ONNX_NAME,
    TRANSITIONS_NAME,
    ParserFiles,
    packages_below,
    read_json,
)
from mw_pipeline.tokenizer import PAD_ID

CHECKPOINT_NAME = "checkpoint.json"  # written by model.checkpoint, which loads torch: nothing here does


@dataclass(frozen=True)
class Inspection:
    """What a path is, facts that a person wants, and everything that is wrong with it."""

    path: Path
    kind: str
    facts: dict[str, JSON]
    findings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def as_json(self) -> JSON:
        """All of it as JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "sound": self.sound,
            "findings": list(self.findings),
            "facts": self.facts,
        }


def inspect_path(path: Path) -> Inspection:
    """All that can be verified without the artifact's maker. Raises ArtifactError for a path of no known kind."""
    if not path.exists():
        raise ArtifactError(f"{path}: there is no such file or folder. Check the path.")
    for matches, examine in _KINDS:
        if matches(path):
            return examine(path)
    raise ArtifactError(
        f"{path}: is no artifact, checkpoint, package, release folder or .safetensors file. Name one of these."
    )


def _safetensors(path: Path) -> Inspection:
    found = read_tensor_file(path)
    facts: dict[str, JSON] = {
        "tensors": found.tensors,
        "numbers": found.numbers,
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
    }
    return Inspection(path, "safetensors", facts, found.findings)


def _package(path: Path) -> Inspection:
    findings: list[str] = []
    facts: dict[str, JSON] = {}
    try:
        findings += sums_findings(path)
        files = ParserFiles.read(path)
        facts = {key: files.facts.get(key) for key in ("name", "version", "locale", "label_hash", "created_by")}
        findings += [*_model_findings(files), *_card_findings(files), *contract_findings(files)]
    except MwError as error:  # a reader stops at the first damage, which the sums may have named already
        findings += [] if any(finding in str(error) for finding in findings) else [str(error)]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        findings.append(f"{CARD_NAME}, {LINEAGE_NAME} or {TRANSITIONS_NAME}: not one of this version ({error!r})")
    return Inspection(path, "package", facts, tuple(findings))


def _model_findings(files: ParserFiles) -> Iterator[str]:
    """The model answers every piece of the vocabulary with finite numbers."""
    logits_of = onnx_logits(files.model_path, label_count=len(files.labels))
    size, width = files.tokenizer().vocab_size, min(files.max_length, MOST_PIECES)
    ids = np.arange(-(-size // width) * width, dtype=np.int64).reshape(-1, width) % size
    if not np.isfinite(logits_of(ids, np.ones_like(ids))).all():
        yield f"{ONNX_NAME}: answers with NaN or infinite logits"


def _card_findings(files: ParserFiles) -> Iterator[str]:
    """The card names what is there, and speaks of these bytes (M51, M52)."""
    card, lineage = read_json(files.path / CARD_NAME), read_json(files.path / LINEAGE_NAME)
    for name, entry in card["files"].items():
        path = files.path / name
        if not path.is_file() or entry != {"bytes": path.stat().st_size, "sha256": sha256_file(path)}:
            yield f"{CARD_NAME}: files.{name} is not the file in this folder"
    attribution = files.path / ATTRIBUTION_NAME
    wanted = attribution_text(card["name"], card["licences"])
    if not attribution.is_file() or attribution.read_text(encoding="utf-8") != wanted:
        yield f"{ATTRIBUTION_NAME}: does not name what the licences of {CARD_NAME} ask to be named"
    tokenizer = files.tokenizer()
    claims = {
        "label_hash": (card["label_hash"], files.labels.hash),
        "model.max_length": (card["model"]["max_length"], files.max_length),
        "model.architecture.max_length": (card["model"]["architecture"]["max_length"], files.max_length),
        "model.pad_id": (card["model"]["pad_id"], PAD_ID),
        "model.vocab_size": (card["model"]["vocab_size"], tokenizer.vocab_size),
        "model.tokenizer_sha256": (card["model"]["tokenizer_sha256"], tokenizer.sha256),
        "metrics.measured_on": (card["metrics"]["measured_on"][ONNX_NAME], sha256_file(files.model_path)),
        "lineage.digest": (card["lineage"]["digest"], digest_of(lineage)),
    }
    for key, (claimed, found) in claims.items():
        if digest_of(claimed) != digest_of(found):  # True is no 1
            yield f"{CARD_NAME}: {key} is {claimed!r}, this package has {found!r}"
    yield from (f"{LINEAGE_NAME}: {finding}" for finding in lineage_findings(lineage))


def _checkpoint(path: Path) -> Inspection:
    findings: list[str] = []
    facts: dict[str, JSON] = {}
    try:
        content = json_value((path / CHECKPOINT_NAME).read_text(encoding="utf-8"))
        if digest_of({key: value for key, value in content.items() if key != "sha256"}) != content["sha256"]:
            findings.append(f"{CHECKPOINT_NAME}: was edited: its hash is not {content['sha256']!r}")
        if label_set_of(tuple(content["labels"])).hash != content["label_hash"]:
            findings.append(f"{CHECKPOINT_NAME}: label_hash is not that of its labels")
        findings += [f for name, entry in content["files"].items() for f in _listed_findings(path / name, entry)]
        facts = {key: content[key] for key in ("step", "label_hash", "tokenizer_sha256", "vocab_size", "config")}
    except (MwError, KeyError, TypeError, ValueError, AttributeError) as error:
        findings.append(f"{CHECKPOINT_NAME}: not one of this version ({error!r})")
    return Inspection(path, "checkpoint", facts, tuple(findings))


def _listed_findings(path: Path, entry: JSON) -> list[str]:
    """What is wrong with one tensor file that a checkpoint lists."""
    if not path.is_file():
        return [f"{path.name}: is listed and not there"]
    if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
        return [f"{path.name}: {path.stat().st_size:,} bytes that are not the {entry['bytes']:,} that were hashed"]
    return [f"{path.name}: {finding}" for finding in read_tensor_file(path).findings]


def _artifact(path: Path) -> Inspection:
    """A store artifact and whatever checkpoints, packages and weights lie in it."""
    findings: list[str] = []
    facts: dict[str, JSON] = {}
    try:
        artifact = read_artifact(path)
        manifest = artifact.manifest
        facts = {
            "digest": artifact.digest,
            "recipe": manifest.recipe_name,
            "inputs": [f"{entry.kind}/{entry.digest}" for entry in manifest.inputs],
            "files": len(manifest.files),
            "bytes": sum(entry.bytes for entry in manifest.files),
            "created_at": manifest.created_at,
        }
        verify_artifact(artifact)
        kind = artifact.kind
    except ArtifactError as error:
        findings.append(str(error))
        kind = "artifact"
    return Inspection(path, kind, facts, (*findings, *_findings_within(path)))


def _findings_within(path: Path) -> Iterator[str]:
    folders = sorted({p.parent for name in (CHECKPOINT_NAME, FACTS_NAME) for p in path.rglob(name)})
    bare = sorted(p for p in path.rglob("*.safetensors") if p.parent not in folders)
    for part in (*folders, *bare):
        yield from (f"{part.relative_to(path)}: {finding}" for finding in inspect_path(part).findings)


def _release(path: Path) -> Inspection:
    locales = packages_below(path)
    findings = [f"{locale}: {f}" for locale in locales for f in _package(path / locale).findings]
    return Inspection(path, "release", {"locales": locales}, tuple(findings))


_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Inspection]], ...] = (
    (lambda path: path.is_file() and path.suffix == ".safetensors", _safetensors),
    (lambda path: (path / MANIFEST).is_file(), _artifact),
    (lambda path: (path / CHECKPOINT_NAME).is_file(), _checkpoint),
    (lambda path: (path / FACTS_NAME).is_file() or (path / SUMS_NAME).is_file(), _package),
    (lambda path: bool(packages_below(path)), _release),
)
