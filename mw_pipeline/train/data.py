"""What a run trains and validates on, once dataset, tokenizer and recipe are known to belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mw_pipeline.dataset.batches import Batch, BatchStream, fixed_batches
from mw_pipeline.dataset.build import read_dataset_json
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.plan import sampler_for
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.train.plan import RunPlan


@dataclass(frozen=True)
class TrainingData:
    """The training stream, the fixed validation batches and the facts of `dataset.json`."""

    stream: BatchStream
    sampler: MixSampler
    rows_per_source: Mapping[str, int]
    validation: tuple[Batch, ...]
    summary: Mapping[str, JSON]

    @classmethod
    def open(cls, plan: RunPlan) -> TrainingData:
        """The data of a plan. Raises ArtifactError when it was made for other labels or another tokenizer (M32)."""
        summary = read_dataset_json(plan.dataset_path)
        _demand_fit(plan, summary)
        train, recipe, course = TokenizedDataset(plan.dataset_path, "train"), plan.recipe, plan.course
        samples = recipe.train.steps * recipe.train.effective_batch
        sampler = sampler_for(train.rows_per_source, recipe.mix, samples=samples, seed=recipe.train.seed)
        stream = BatchStream(train, sampler, batch_size=course.batch_size, seed=recipe.train.seed)
        held_out = TokenizedDataset(plan.dataset_path, "validation")
        validation = tuple(fixed_batches(held_out, recipe.train.eval_rows))
        return cls(stream, sampler, train.rows_per_source, validation, summary)

    def passes_after(self, samples: int) -> dict[str, float]:
        """Source → passes over its rows in the first `samples` samples."""
        turns = self.sampler.turns(samples)
        return {name: turns[name] / rows for name, rows in self.rows_per_source.items() if rows}


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
