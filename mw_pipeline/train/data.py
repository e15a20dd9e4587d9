"""What a run trains and validates on, once dataset, tokenizer and recipe are known to belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.dataset.batches import Batch, BatchStream, batches_of, fixed_batches
from mw_pipeline.dataset.sampling import training_sampler
from mw_pipeline.dataset.summary import read_dataset_json
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import ALONE, Processes

TRAIN_SAMPLE_ROWS = 500


@dataclass(frozen=True)
class TrainingData:
    """The training stream, the fixed validation batches and the facts of `dataset.json`.

    `train_sample` are training rows from the sources of the validation rows, in their proportions: what the model makes
    of rows that it has seen, to be held against those that it has not."""

    train: TokenizedDataset
    stream: BatchStream
    sampler: MixSampler
    rows_per_source: Mapping[str, int]
    validation: tuple[Batch, ...]
    train_sample: tuple[Batch, ...]
    summary: Mapping[str, JSON]

    @classmethod
    def open(cls, plan: RunPlan, *, multiple: int = 1, processes: Processes = ALONE) -> TrainingData:
        """The data of a plan for one of its processes; `multiple` is that of its training batches' lengths.

        Raises ArtifactError when it was made for other labels or another tokenizer (M32)."""
        summary = read_dataset_json(plan.dataset_path)
        _demand_fit(plan, summary)
        train, recipe, course = TokenizedDataset(plan.dataset_path, "train"), plan.recipe, plan.course
        sampler = training_sampler(train, recipe)
        size, seed = course.batch_size, recipe.train.seed
        own = partial(course.is_of_rank, rank=processes.rank, ranks=processes.count) if processes.count > 1 else None
        stream = BatchStream(train, sampler, batch_size=size, seed=seed, multiple=multiple, own=own)
        held_out = TokenizedDataset(plan.dataset_path, "validation")
        validation = tuple(fixed_batches(held_out, recipe.train.eval_rows))
        sample = tuple(batches_of(train, _rows_like(held_out, validation, train)))
        return cls(train, stream, sampler, train.rows_per_source, validation, sample, summary)

    def pieces_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pieces of training rows by number."""
        return self.train.lengths_of(rows)

    def passes_after(self, samples: int) -> dict[str, float]:
        """Source → passes over its rows in the first `samples` samples, rounds where places are capped."""
        return self.sampler.passes_of(samples)


def _rows_like(held_out: TokenizedDataset, validation: Sequence[Batch], train: TokenizedDataset) -> NDArray[np.int64]:
    """Training rows, evenly spaced over each source, at most TRAIN_SAMPLE_ROWS and as many as it has in validation."""
    chosen = np.concatenate([batch.rows for batch in validation]) if validation else np.empty(0, dtype=np.int64)
    scale = min(1.0, TRAIN_SAMPLE_ROWS / max(1, len(chosen)))
    found = [np.empty(0, dtype=np.int64)]
    for source, (first, end) in held_out.source_ranges.items():
        begin, stop = train.source_ranges.get(source, (0, 0))
        count = min(stop - begin, round(scale * int(((chosen >= first) & (chosen < end)).sum())))
        found.append(begin + np.arange(count, dtype=np.int64) * (stop - begin) // max(1, count))
    return np.concatenate(found)


def _demand_fit(plan: RunPlan, summary: Mapping[str, JSON]) -> None:
    labels, tokenizer = plan.recipe.label_set, sha256_file(plan.tokenizer_path)
    if summary["label_hash"] != labels.hash:
        raise ArtifactError(
            f"{plan.dataset_path}: was labelled with label set {summary['label_hash'][:12]}, the recipe trains "
            f"{labels.hash[:12]} (labels = {plan.recipe.labels}). Build the dataset for this recipe."
        )
    if summary["tokenizer_sha256"] != tokenizer:
        raise ArtifactError(
            f"{plan.dataset_path}: was tokenized with {summary['tokenizer_sha256'][:12]}, {plan.tokenizer_path} is "
            f"{tokenizer[:12]}. Use the tokenizer that the dataset was built with."
        )
