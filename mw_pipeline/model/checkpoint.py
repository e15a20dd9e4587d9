"""Checkpoints: a tagger's weights with everything that must fit before they may be used, complete or absent.

A checkpoint is a folder of safetensors files and `checkpoint.json`, which is written last and holds the hash of every
byte. It is written to a sibling and renamed; a kill at any moment leaves the old one, the new one, or a sibling that
`recover_checkpoint` finishes.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mw_pipeline.digest import JSON, digest_of, json_value, sha256_file, sync_folder, write_json_atomically
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.labels import LabelSet, label_set_of
from mw_pipeline.model.crf import LinearChainCrf
from mw_pipeline.model.encoder import Encoder
from mw_pipeline.model.soft_span import with_thresholds
from mw_pipeline.model.uncertainty import TASKS
from mw_pipeline.recipe import ModelConfig

FORMAT = 2
FACTS = "checkpoint.json"
WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"


class Tagger(nn.Module):
    """What training moves and a checkpoint holds: the encoder, the CRF over its logits, and the losses' log-variances.

    The last are trained by loss kind "uncertainty" alone; elsewhere they stay at 0."""

    def __init__(self, config: ModelConfig, *, vocab_size: int, labels: LabelSet) -> None:
        super().__init__()
        self.encoder = Encoder(config, vocab_size, len(labels))
        self.crf = LinearChainCrf(labels)
        self.log_variances = nn.Parameter(torch.zeros(len(TASKS)))


@dataclass(frozen=True)
class CheckpointFacts:
    """What the weights were made for and from; stored in `checkpoint.json` and compared when it is read.

    `thresholds` are those of a soft-span tagger, logits by tag as its last evaluation chose them: empty before it, and
    None for a tagger whose labels compete."""

    config: ModelConfig
    labels: LabelSet
    vocab_size: int
    tokenizer_sha256: str
    step: int
    digests: Mapping[str, str]
    metrics: Mapping[str, JSON] = field(default_factory=dict)
    progress: Mapping[str, JSON] = field(default_factory=dict)
    thresholds: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every byte was compared with its hash."""

    path: Path
    tagger: Tagger
    facts: CheckpointFacts

    @cached_property
    def model(self) -> Encoder:
        """The encoder whose logits the parser decodes; a soft-span tagger's has its thresholds in the last bias.

        Raises ArtifactError for a soft-span tagger that was never evaluated: it has no thresholds yet (M60)."""
        thresholds = self.facts.thresholds
        if thresholds is None:
            return self.tagger.encoder
        if not thresholds:
            raise ArtifactError(
                f"{self.path}: was trained by loss.kind 'soft-span' and holds no thresholds yet, as no evaluation has "
                "chosen them. Use the run's best/ checkpoint."
            )
        return with_thresholds(self.tagger.encoder, thresholds, self.labels)

    @property
    def crf(self) -> LinearChainCrf:
        """The CRF: transitions and start scores; zeros under the BIO mask when the loss had no CRF."""
        return self.tagger.crf

    @property
    def labels(self) -> LabelSet:
        """The labels of the logits, in id order."""
        return self.facts.labels

    @property
    def step(self) -> int:
        """Optimizer steps behind these weights."""
        return self.facts.step


def save_checkpoint(path: Path, tagger: Tagger, facts: CheckpointFacts, *, optimizer: Mapping[str, Tensor]) -> None:
    """Replaces the checkpoint at `path`. `optimizer` is its flat state, empty for a checkpoint that nobody resumes."""
    fresh, former = _siblings(path)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    tensors = {WEIGHTS: tagger.state_dict()} | ({OPTIMIZER: optimizer} if optimizer else {})
    for name, state in tensors.items():
        # save_file would leave a file that only its owner may read
        (fresh / name).write_bytes(save({key: value.detach().cpu().contiguous() for key, value in state.items()}))
        _flush(fresh / name)
    files = {name: {"bytes": (fresh / name).stat().st_size, "sha256": sha256_file(fresh / name)} for name in tensors}
    content = _facts_as_json(facts) | {"files": files}
    write_json_atomically(fresh / FACTS, content | {"sha256": digest_of(content)})
    shutil.rmtree(former, ignore_errors=True)
    if path.exists():
        path.rename(former)
    fresh.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(former, ignore_errors=True)


def recover_checkpoint(path: Path) -> bool:
    """Ends what a killed `save_checkpoint` began and sweeps its siblings; true when a checkpoint now lies at `path`."""
    for sibling in _siblings(path):
        if not path.exists() and (sibling / FACTS).is_file():
            sibling.rename(path)
        shutil.rmtree(sibling, ignore_errors=True)
    return path.exists()


def _siblings(path: Path) -> tuple[Path, Path]:
    """Where the next checkpoint is written, and where the one that it replaces waits for a moment."""
    return path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _facts_as_json(facts: CheckpointFacts) -> dict[str, JSON]:
    return {
        "format": FORMAT,
        "labels": list(facts.labels.labels),
        "label_hash": facts.labels.hash,
        "vocab_size": facts.vocab_size,
        "tokenizer_sha256": facts.tokenizer_sha256,
        "config": facts.config.model_dump(mode="json"),
        "step": facts.step,
        "digests": dict(facts.digests),
        "metrics": dict(facts.metrics),
        "progress": dict(facts.progress),
        "thresholds": None if facts.thresholds is None else dict(facts.thresholds),
    }


def load_checkpoint(
    path: Path,
    *,
    labels: LabelSet | None = None,
    tokenizer_sha256: str | None = None,
    config: ModelConfig | None = None,
) -> Checkpoint:
    """The checkpoint in a folder, in evaluation mode on the CPU.

    Every byte is compared with its hash, every number must be finite, and what the caller expects (labels, tokenizer,
    model geometry; None expects nothing) must be what the weights were trained for. Raises ArtifactError otherwise.
    """
    content = _read_facts(path)
    facts = _facts_of(content, path)
    _demand_fit(facts, path, labels=labels, tokenizer_sha256=tokenizer_sha256, config=config)
    tagger = Tagger(facts.config, vocab_size=facts.vocab_size, labels=facts.labels)
    weights = _read_tensors(path, WEIGHTS, content)
    try:
        tagger.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip().rstrip(".")
        raise ArtifactError(
            f"{path / WEIGHTS}: tensors do not fit the model of {FACTS} ({reason}). Train it again."
        ) from None
    return Checkpoint(path, tagger.eval(), facts)


def load_optimizer_state(path: Path) -> dict[str, Tensor]:
    """The flat optimizer state beside the weights, hashed like them. Raises ArtifactError when it was not kept."""
    return _read_tensors(path, OPTIMIZER, _read_facts(path))


def _read_facts(path: Path) -> dict[str, JSON]:
    """The content of `checkpoint.json`, once its own hash fits."""
    try:
        content: dict[str, JSON] = json_value((path / FACTS).read_text(encoding="utf-8"))
        claimed = content.pop("sha256")
    except FileNotFoundError:
        raise ArtifactError(
            f"{path}: has no {FACTS}, so it is no complete checkpoint. Name a folder that training finished writing."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path / FACTS}: not readable ({error}). Restore the folder or train again.") from None
    if digest_of(content) != claimed:
        raise ArtifactError(
            f"{path / FACTS}: was edited: its hash is not {claimed!r}. Restore the folder or train again."
        )
    return content


def _facts_of(content: Mapping[str, JSON], path: Path) -> CheckpointFacts:
    try:
        return CheckpointFacts(
            config=ModelConfig.model_validate(content["config"]),
            labels=label_set_of(tuple(content["labels"])),
            **{key: content[key] for key in _PLAIN_FACTS},
        )
    except (KeyError, ValidationError, RecipeError) as error:
        raise ArtifactError(
            f"{path / FACTS}: not a checkpoint of format {FORMAT}: {str(error).splitlines()[0]}. Train it again."
        ) from None


_PLAIN_FACTS = tuple(f.name for f in dataclasses.fields(CheckpointFacts) if f.name not in ("config", "labels"))


def _demand_fit(
    facts: CheckpointFacts,
    path: Path,
    *,
    labels: LabelSet | None,
    tokenizer_sha256: str | None,
    config: ModelConfig | None,
) -> None:
    """Weights read with other labels or pieces answer nonsense without an error (M32): refuse them by name."""
    if labels is not None and labels.hash != facts.labels.hash:
        raise ArtifactError(
            f"{path}: was trained on {len(facts.labels)} labels with hash {facts.labels.hash[:12]}, the reader has "
            f"{len(labels)} with {labels.hash[:12]}. Use the checkpoint's labels, or train on these."
        )
    if tokenizer_sha256 is not None and tokenizer_sha256 != facts.tokenizer_sha256:
        raise ArtifactError(
            f"{path}: was trained with tokenizer {facts.tokenizer_sha256[:12]}, the reader has "
            f"{tokenizer_sha256[:12]}. Use the tokenizer that lies with its dataset, or train with this one."
        )
    if config is not None and config != facts.config:
        differing = [key for key, value in config if value != getattr(facts.config, key)]
        raise ArtifactError(
            f"{path}: model.{differing[0]} is {getattr(facts.config, differing[0])!r} in the checkpoint and "
            f"{getattr(config, differing[0])!r} in the recipe. Use the recipe that trained it, or train again."
        )


def _read_tensors(path: Path, name: str, content: Mapping[str, JSON]) -> dict[str, Tensor]:
    """The finite tensors of one file, once its size and hash are those of `checkpoint.json` (M39, M40)."""
    entry, file = content["files"].get(name), path / name
    if entry is None:
        raise ArtifactError(f"{path}: keeps no {name}. Resume from a run's last/ checkpoint.")
    if not file.is_file():
        raise ArtifactError(f"{file}: is missing, {FACTS} lists it with {entry['bytes']} bytes. Restore the folder.")
    size = file.stat().st_size
    if size != entry["bytes"]:
        raise ArtifactError(
            f"{file}: has {size} bytes, {FACTS} says {entry['bytes']}. Restore the folder or train again."
        )
    if sha256_file(file) != entry["sha256"]:
        raise ArtifactError(f"{file}: its bytes are not those that {FACTS} hashed. Restore the folder or train again.")
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except SafetensorError as error:
        raise ArtifactError(f"{file}: not readable as safetensors ({error}). Train it again.") from None
    broken = sorted(key for key, value in tensors.items() if not torch.isfinite(value).all())
    if broken:
        raise ArtifactError(f"{file}: {broken[0]} holds NaN or infinite numbers. Use an earlier checkpoint.")
    return tensors
