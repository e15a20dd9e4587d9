"""The corpus of the backtest: built-in addresses of two countries, tokenized once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.dataset.summary import DATASET_JSON
from mw_pipeline.digest import sha256_file
from mw_pipeline.labels import STAGE2
from mw_pipeline.recipe import CorpusSpec, TokenizerConfig
from mw_pipeline.stages.corpus import build_source
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

SOURCE = "builtin"
MAX_LENGTH = 64
TOKENIZER = TokenizerConfig(vocab_size=800, sample_rows=20_000)


@dataclass(frozen=True)
class Corpus:
    """A tokenized dataset and the tokenizer that made it."""

    dataset: Path
    tokenizer: Path


def corpus_at(folder: Path, *, records: int) -> Corpus:
    """The dataset of so many records in `folder`, built when it is not there yet; dataset.json is written last."""
    corpus = Corpus(folder / "dataset", folder / "tokenizer.model")
    if (corpus.dataset / DATASET_JSON).exists():
        return corpus
    corpus.dataset.mkdir(parents=True, exist_ok=True)
    shards = list(build_source(_spec(records), SOURCE, folder, folder / "rows").shards)
    texts = pq.read_table(shards, columns=["raw"]).column("raw").to_pylist()
    train_tokenizer(texts, TOKENIZER, corpus.tokenizer)
    build_dataset({SOURCE: shards}, Tokenizer(corpus.tokenizer), STAGE2, MAX_LENGTH, corpus.dataset)
    return corpus


def digest_of_corpus(corpus: Corpus) -> str:
    """What a run was trained on, in one hash."""
    return sha256_file(corpus.dataset / DATASET_JSON)


def _spec(records: int) -> CorpusSpec:
    return CorpusSpec.model_validate(
        {
            "name": SOURCE,
            "version": "1",
            "seed": 17,
            "countries": ["US", "FR"],
            "variants": 2,
            "validation_share": 0.05,
            "test_share": 0.01,
            "licences_allowed": ["CC-BY-4.0"],
            "augmentations": {"partial": 0.2, "order": 0.25, "separators": 0.25, "case": 0.28, "abbreviation": 0.15},
            "sources": {SOURCE: {"adapter": "builtin", "max_records": records}},
        }
    )
