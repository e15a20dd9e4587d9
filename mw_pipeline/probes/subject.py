"""What a probe looks at: a checkpoint, the rows that it was trained on, and the loss of a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from mw_pipeline.dataset.batches import Batch, BatchStream
from mw_pipeline.dataset.sampling import training_sampler
from mw_pipeline.dataset.summary import read_dataset_json
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import label_set_of
from mw_pipeline.model.checkpoint import FACTS, WEIGHTS, Checkpoint, load_checkpoint
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.recipe import Recipe
from mw_pipeline.train.log import BEST, LAST

LEAST_BATCHES = 5


def checkpoint_folder(path: Path) -> Path:
    """The checkpoint in a folder: itself, or best/ of a run, or last/ of one that never kept a best.

    Raises ArtifactError when there is none."""
    for folder in (path, path / BEST, path / LAST):
        if (folder / FACTS).is_file():
            return folder
    raise ArtifactError(
        f"{path}: holds no checkpoint: no {FACTS} there, in {BEST}/ or in {LAST}/. Name a checkpoint or a run folder."
    )


@dataclass(frozen=True)
class Subject:
    """A checkpoint with a tokenized dataset whose labels and tokenizer are its own."""

    checkpoint: Checkpoint
    dataset_path: Path

    @classmethod
    def open(cls, path: Path, dataset_path: Path) -> Subject:
        """`path` is a checkpoint or run folder. Raises ArtifactError when the two do not belong together (M32)."""
        summary = read_dataset_json(dataset_path)
        checkpoint = load_checkpoint(
            checkpoint_folder(path),
            labels=label_set_of(tuple(summary["labels"])),
            tokenizer_sha256=summary["tokenizer_sha256"],
        )
        return cls(checkpoint, dataset_path)

    def split(self, name: str) -> TokenizedDataset:
        """One split of the dataset."""
        return TokenizedDataset(self.dataset_path, name)

    @cached_property
    def facts(self) -> dict[str, JSON]:
        """Which checkpoint it is, whatever folder it lies in."""
        return {"step": self.checkpoint.step, "weights_sha256": sha256_file(self.checkpoint.path / WEIGHTS)}

    def loss_of(self, recipe: Recipe) -> TaggingLoss:
        """The loss of a recipe on this dataset's labels."""
        counts = read_dataset_json(self.dataset_path)["label_counts"]
        return TaggingLoss(recipe.loss, self.checkpoint.labels, label_counts=counts)

    def training_batches(self, recipe: Recipe, count: int) -> list[Batch]:
        """The batches that training would have drawn next from this checkpoint on, mix and all."""
        train, config = self.split("train"), recipe.train
        stream = BatchStream(train, training_sampler(train, recipe), batch_size=config.batch_size, seed=config.seed)
        first = self.checkpoint.step * config.accumulation * config.processes
        return [stream.batch(first + number) for number in range(count)]


def norm_of(gradients: list[torch.Tensor]) -> float:
    """Euclidean norm of all of them together, summed up in float64."""
    return float(sum((g.double().pow(2).sum() for g in gradients), start=torch.zeros((), dtype=torch.float64)).sqrt())


def finite(value: float) -> float | None:
    """The number for JSON: None where it is NaN or infinite."""
    return value if math.isfinite(value) else None
