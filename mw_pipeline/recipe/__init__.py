"""The two config files, corpus spec and recipe: strict TOML with inheritance, digests and a list of what changed."""

from __future__ import annotations

from mw_pipeline.recipe.config_files import config_files, problem_of_name
from mw_pipeline.recipe.corpus_spec import (
    LEAST_PLACES_SHARE,
    OWN_GOLD,
    Augmentations,
    Budgets,
    CorpusSpec,
    GoldenSetSpec,
    SourceSpec,
)
from mw_pipeline.recipe.inheritance import base_chain
from mw_pipeline.recipe.input_patterns import url_problem
from mw_pipeline.recipe.mix_wishes import MixWishes, Wish
from mw_pipeline.recipe.names import corpus_problem
from mw_pipeline.recipe.reading import (
    as_written,
    differences,
    load_corpus_spec,
    load_mix_wishes,
    load_recipe,
)
from mw_pipeline.recipe.release_sections import (
    LAST_RELEASE,
    CellFamily,
    ClosedKind,
    EvalConfig,
    PackageConfig,
    SetGate,
)
from mw_pipeline.recipe.section import MOST, length_problem
from mw_pipeline.recipe.smoke_log import (
    MAX_REQUIRED_STEPS,
    REQUIRED_EVALS,
    REQUIRED_LOSSES,
    logging_problem,
    required_steps,
)
from mw_pipeline.recipe.training_recipe import (
    POOL_BATCHES,
    LossConfig,
    MixConfig,
    ModelConfig,
    Precision,
    Recipe,
    SmokeConfig,
    TokenizerConfig,
    TrainConfig,
    with_seed,
)

__all__ = [
    "LAST_RELEASE",
    "LEAST_PLACES_SHARE",
    "MAX_REQUIRED_STEPS",
    "MOST",
    "OWN_GOLD",
    "POOL_BATCHES",
    "REQUIRED_EVALS",
    "REQUIRED_LOSSES",
    "Augmentations",
    "Budgets",
    "CellFamily",
    "ClosedKind",
    "CorpusSpec",
    "EvalConfig",
    "GoldenSetSpec",
    "LossConfig",
    "MixConfig",
    "MixWishes",
    "ModelConfig",
    "PackageConfig",
    "Precision",
    "Recipe",
    "SetGate",
    "SmokeConfig",
    "SourceSpec",
    "TokenizerConfig",
    "TrainConfig",
    "Wish",
    "as_written",
    "base_chain",
    "config_files",
    "corpus_problem",
    "differences",
    "length_problem",
    "load_corpus_spec",
    "load_mix_wishes",
    "load_recipe",
    "logging_problem",
    "problem_of_name",
    "required_steps",
    "url_problem",
    "with_seed",
]
