"""The sampler of a recipe over a tokenized dataset: the one that training, its lock and the probes draw from."""

from __future__ import annotations

from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.mix.plan import sampler_for
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.recipe import Recipe


def training_sampler(train: TokenizedDataset, recipe: Recipe) -> MixSampler:
    """The sampler over the training rows, as long as the full run. The places of the rows are read, and kept in memory
    for the sources that it thins, only where `mix.max_repetitions_per_place` asks for them."""
    rows, config = train.rows_per_source, recipe.train
    samples = config.steps * config.effective_batch
    capped = recipe.mix.max_repetitions_per_place is not None
    places = {source: train.places_of(source) for source, count in rows.items() if count and capped}
    return sampler_for(rows, recipe.mix, samples=samples, seed=config.seed, places=places)
