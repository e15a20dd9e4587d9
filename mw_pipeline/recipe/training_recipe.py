"""The recipe: everything that decides how a model is trained, judged and packaged."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mw_pipeline.client import MOST_PIECES
from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.labels import LabelSet, label_set
from mw_pipeline.recipe.release_sections import EvalConfig, PackageConfig
from mw_pipeline.recipe.section import (
    MOST,
    Name,
    NotNegative,
    Positive,
    Section,
    Share,
    Size,
    Weight,
    known_tags,
    tuple_of,
)

Precision = Literal["fp32", "bf16"]
"""In which matrices are multiplied."""

POOL_BATCHES = 128
"""Batches that training draws, sorts by length and deals out together."""

LEAST_PIECES = 259
"""Pieces that every vocabulary has: one for each byte, padding, the unknown one, and a character."""

LearningRate = Annotated[float, Field(gt=0.0, lt=1e3)]


class TokenizerConfig(Section):
    """SentencePiece unigram with byte fallback, trained on a balanced sample of the training rows."""

    vocab_size: Annotated[int, Field(ge=LEAST_PIECES, le=MOST)] = 8000
    sample_rows: Positive = 200_000
    character_coverage: Annotated[float, Field(ge=0.98, le=1.0)] = 0.9995
    seed: NotNegative = 0


class SubwordConfig(Section):
    """Subword regularization: this share of the training rows is cut into pieces by models that lack a share of theirs,
    the others as the parser cuts them. Names that nobody taught are read better for it, but a name of a closed list is
    none: the words of `kept_tags` are always cut as the parser cuts them."""

    share: Share = 0.0
    dropped_pieces: Share = 0.25
    kept_tags: Annotated[tuple[str, ...], AfterValidator(known_tags)] = ("country",)

    _lists = field_validator("kept_tags", mode="before")(tuple_of)


def _weigh_something(weights: dict[str, float]) -> dict[str, float]:
    if not any(weights.values()):
        raise ValueError("expected a weight above 0 for one source at least, else there is nothing to draw")
    if not math.isfinite(sum(weights.values())):
        raise ValueError("expected smaller weights: their sum is beyond any number, and they count against each other")
    return weights


class MixConfig(Section):
    """How the sampler draws from the sources: `weights` are relative, by source name.

    `max_repetitions` caps how often the run sees a row, at the cost of its source's share; `max_repetitions_per_place`
    how often it sees any one town of a source, whose other towns take its draws."""

    weights: Annotated[dict[Name, Weight], Field(min_length=1), AfterValidator(_weigh_something)]
    cycle: bool = True
    max_repetitions: Annotated[float, Field(gt=0.0)] | None = None
    max_repetitions_per_place: Positive | None = None


class ModelConfig(Section):
    """Geometry of the encoder. With `positions` "words", its layers see one position for each word of a row, the sum of
    its pieces, and twice as many addresses in the same time; with "pieces", one for each piece."""

    positions: Literal["words", "pieces"] = "words"
    width: Size
    layers: Size
    heads: Size
    feed_forward: Size
    max_length: Size = 128
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1

    @field_validator("max_length")
    @classmethod
    def _the_client_reads_that_far(cls, value: int) -> int:
        if value > MOST_PIECES:
            raise ValueError(f"expected {MOST_PIECES} at most: the client of the packages runs no longer sequence")
        return value

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        return self


class LossConfig(Section):
    """What training minimises; docs/losses.md has the formulas.

    `crf_weight` is the λ of CE + λ·CRF; "uncertainty" learns the weights of both. `positive_weight_cap` bounds n₋/n₊ in
    "soft-span", whose balance it is: 1 gives plain binary cross-entropy for every label rarer than half."""

    kind: Literal["ce", "crf", "ce+crf", "soft-span", "uncertainty"] = "ce+crf"
    crf_weight: Weight = 0.05
    crf_reduction: Literal["per_token", "per_sequence"] = "per_sequence"
    class_weights: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    label_smoothing: Share = 0.0
    positive_weight_cap: Annotated[float, Field(ge=1.0)] = 10.0

    @model_validator(mode="after")
    def _weights_are_used(self) -> Self:
        if self.kind == "soft-span" and self.class_weights:
            raise ValueError("class_weights belong to cross-entropy; kind 'soft-span' has positive_weight_cap instead")
        return self


class TrainConfig(Section):
    """The full run. `batch_size` counts rows; effective batch = batch_size × accumulation × processes. The rate of
    `linear_cooldown` falls from `cooldown_from` on, or from the end of the warmup.

    `patience_evals` ends it early once that many evaluations have brought no lower loss and the last rules out a fall
    by `patience_margin_share` of it (docs/training.md). `device` "auto" is a GPU where there is one, else the CPU;
    "cuda:1" is the second. `precision` "auto" is bf16 where that has instructions for it, else fp32. `compile` sends
    the network through torch.compile, and changes its rounding alone."""

    steps: Positive
    peak_lr: LearningRate
    warmup_steps: NotNegative
    batch_size: Size
    accumulation: Size = 1
    processes: Size = 1
    schedule: Literal["cosine", "constant", "linear_cooldown"] = "cosine"
    cooldown_from: NotNegative | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: Weight = 0.01
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    precision: Literal["auto"] | Precision = "fp32"
    compile: bool = False
    seed: NotNegative = 0
    eval_every: Positive = 250
    eval_rows: Positive = 2000
    checkpoint_every: Positive = 250
    log_every: Positive = 10
    threads: Size = 2
    patience_evals: Positive | None = None
    patience_margin_share: Share = 0.01
    device: Annotated[str, Field(pattern="^(auto|cpu|cuda|cuda:[0-9]+)$")] = "auto"

    @property
    def effective_batch(self) -> int:
        """Rows that one optimizer step sees."""
        return self.batch_size * self.accumulation * self.processes

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be below steps {self.steps}")
        if self.schedule != "linear_cooldown" and self.cooldown_from is not None:
            raise ValueError(f"cooldown_from is for schedule 'linear_cooldown', not for {self.schedule!r}")
        if self.cooldown_from is not None and not self.warmup_steps <= self.cooldown_from < self.steps:
            raise ValueError(f"cooldown_from {self.cooldown_from} must lie between warmup_steps and steps")
        return self


class SmokeConfig(Section):
    """The short run before the full one: `constant` is warmup then flat, `long-tail` a cosine of ≥ 10,000 steps.

    `cosine` of any length is there to show what it cannot: a short one has decayed, and its verdict is `invalid` (M01).
    `batch_size` and `accumulation` default to the full run's; a smoke that sets others is `invalid` (M02)."""

    steps: Positive
    mode: Literal["constant", "long-tail", "cosine"] = "constant"
    eval_every: Positive = 100
    batch_size: Size | None = None
    accumulation: Size | None = None

    @model_validator(mode="after")
    def _tail_is_long(self) -> Self:
        if self.mode == "long-tail" and self.steps < 10_000:
            raise ValueError(f"mode 'long-tail' needs steps ≥ 10000, found {self.steps}")
        return self


class Recipe(Section):
    """One training recipe. A TOML file in `recipes/`; its path below that folder without suffix is the name."""

    name: Name
    corpus: Name
    labels: Literal[2, 3] = 3
    tokenizer: TokenizerConfig = TokenizerConfig()
    subwords: SubwordConfig = SubwordConfig()
    mix: MixConfig
    model: ModelConfig
    loss: LossConfig = LossConfig()
    train: TrainConfig
    smoke: SmokeConfig
    eval: EvalConfig = EvalConfig()
    package: PackageConfig = PackageConfig()
    changes: dict[str, JSON] = Field(default_factory=dict)
    """Dotted key → value for every key that differs from `base`; empty for a recipe that has none."""

    @property
    def digest(self) -> str:
        """SHA-256 of the effective recipe; neither its name nor how its files are split into bases counts."""
        return digest_of(self.model_dump(mode="json", exclude={"name", "changes"}))

    @property
    def changed_groups(self) -> tuple[str, ...]:
        """What it trains differently from its base: data, tokenizer, labels, model, loss, class weights, train.

        Two or more at once, and no run can tell which of them made a difference (M05)."""
        return tuple(dict.fromkeys(_group_of(key) for key in self.changes if key.split(".")[0] not in _NOT_TRAINED))

    @property
    def label_set(self) -> LabelSet:
        """The labels that this recipe trains."""
        return label_set(self.labels)

    @property
    def samples(self) -> int:
        """Rows that the full run draws, repetitions counted."""
        return self.train.steps * self.train.effective_batch

    @property
    def sources_in_use(self) -> list[str]:
        """The sources that it weights above zero, sorted: the others are neither tokenized nor drawn."""
        return sorted(name for name, weight in self.mix.weights.items() if weight > 0)

    def slice(self, *sections: str) -> dict[str, JSON]:
        """The named sections as JSON: what a stage depends on, and nothing else."""
        return self.model_dump(mode="json", include=set(sections))


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The same recipe trained from another seed, under the name NAME@SEED."""
    changes = {**recipe.changes, **({"train.seed": seed} if seed != recipe.train.seed else {})}
    train = recipe.train.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"name": f"{recipe.name}@{seed}", "train": train, "changes": changes})


_NOT_TRAINED = ("smoke", "eval", "package")
"""Sections that say how a model is judged and shipped, not what it is."""


def _group_of(key: str) -> str:
    """What a dotted key belongs to: a corpus and its weights go together, as does all that cuts texts; class weights go
    by themselves."""
    if key.startswith("loss.class_weights"):
        return "class weights"
    section = key.split(".")[0]
    return {"corpus": "data", "mix": "data", "subwords": "tokenizer"}.get(section, section)
