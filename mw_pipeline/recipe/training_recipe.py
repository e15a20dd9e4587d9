"""The recipe: everything that decides how a model is trained, judged and packaged."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mw_pipeline.client import MOST_PIECES
from mw_pipeline.client.npm import (
    NAME,
    OPTIONAL_CHANNELS,
    SCOPE,
    UNDECIDED_LICENSE,
    Imprint,
    license_problem,
    name_problem,
    package_name,
    scope_problem,
    version_problem,
)
from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.labels import LabelSet, label_set
from mw_pipeline.recipe.section import (
    MOST,
    Name,
    NotNegative,
    Positive,
    Section,
    SetName,
    Share,
    Size,
    Weight,
    each_once,
    known_tags,
    tuple_of,
)

POOL_BATCHES = 128
"""Batches that training draws, sorts by length and deals out together."""

LEAST_PIECES = 259
"""Pieces that every vocabulary has: one for each byte, padding, the unknown one, and a character."""

LearningRate = Annotated[float, Field(gt=0.0, lt=1e3)]
_WordKind = Literal[
    "region name",
    "region code",
    "subregion name",
    "country",
    "country abroad",
    "street type",
    "military mail",
    "unit word",
    "box word",
    "cedex",
]

ClosedKind = Literal[_WordKind, "directional"]
"""The classes of words that are listed whole for each locale, and that training rows must teach (M65)."""

CellFamily = Literal[
    _WordKind,
    "directional in front",
    "directional behind",
    "crossing",
    "subset",
    "order",
    "separators and case",
    "subset × order",
    "subset × separators and case",
    "order × separators and case",
    "five digits first",
    "script",
]
"""The families of cells of the capability matrix; a test holds its plans to them."""


def _locale(name: str) -> str:
    if not re.fullmatch("[a-z]{2,3}-[a-z]{2}", name):
        raise ValueError("expected a language and a country in small letters, as in 'en-us'")
    return name


Locale = Annotated[str, AfterValidator(_locale)]


def _without_problem(problem_of: Callable[[str], str]) -> Callable[[str], str]:
    """A validator that refuses a text of which something is wrong, and says what."""

    def checked(text: str) -> str:
        if problem := problem_of(text):
            raise ValueError(problem)
        return text

    return checked


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
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
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


class SetGate(Section):
    """What a release must reach on a further gold set, with the lower ends of its intervals (0..1), locale by locale.

    Scores are over the tags that the set is complete for, normalised. `max_ece` is asked of it beside
    these, and only where it is written here."""

    min_core_macro_f1: Share | None = None
    min_exact_match: Share | None = None
    max_ece: Share | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.min_core_macro_f1 and not self.min_exact_match:
            raise ValueError("asks nothing, expected min_core_macro_f1, min_exact_match, or both, and one above 0")
        return self


LAST_RELEASE = "last-release"
"""The baseline that is whatever this recipe released last."""


class EvalConfig(Section):
    """The gates that a release must pass; scores are normalised core macro-F1 (0..1).

    `min_core_macro_f1` is asked of the lower end of the interval, for each locale on its own rows of the corpus's gold;
    `gates` ask the same of further gold sets, by their names in the corpus spec (M78, M86). `max_ece` is the most that
    the confidences of a locale's own rows may be off (expected calibration error). `baseline` is a package folder, or a
    folder with one per locale, below the project; "last-release" is the last release of this recipe with other weights,
    if there is one. A gate that the baseline does not pass is stale, and refuses the release; `axes_may_worsen` of the
    four axes may get worse than the baseline's. A cell of the capability matrix that is certainly read right
    less often than `min_cell` refuses it too; 0 lets every cell pass. `known_blind` names families of cells in which
    this recipe's packages are known to have blind ones: they are shown and refuse nothing."""

    baseline: Name | None = None
    axes_may_worsen: Annotated[int, Field(ge=0, le=4)] = 0
    min_core_macro_f1: Share = 0.0
    max_ece: Share = 0.05
    gates: dict[SetName, SetGate] = Field(default_factory=dict)
    max_quantisation_cost: Share = 0.005
    min_label_agreement: Share = 0.995
    min_cell: Share = 0.8
    known_blind: tuple[CellFamily, ...] = ()

    _lists = field_validator("known_blind", mode="before")(tuple_of)
    _each_once = field_validator("known_blind")(each_once)


class PackageConfig(Section):
    """What is released, and under which name on npm: `scope`/`name`-LOCALE.

    The training rows must teach every closed word of the locales, but for the kinds in `untaught`, which the packages
    do not promise to read: a small corpus says there what it cannot teach. `optional_channels` are inputs beside the
    text that a client may offer and that these weights do without."""

    version: Name = "0.1.0"
    locales: Annotated[tuple[Locale, ...], Field(min_length=1)] = ("en-us", "fr-fr")
    untaught: tuple[ClosedKind, ...] = ()
    scope: str = SCOPE
    name: Name = NAME
    license: Annotated[str, Field(min_length=1)] = UNDECIDED_LICENSE
    optional_channels: tuple[Name, ...] = OPTIONAL_CHANNELS

    _lists = field_validator("locales", "untaught", "optional_channels", mode="before")(tuple_of)
    _each_once = field_validator("locales", "untaught", "optional_channels")(each_once)
    _version = field_validator("version")(_without_problem(version_problem))
    _scope = field_validator("scope")(_without_problem(scope_problem))
    _license = field_validator("license")(_without_problem(license_problem))

    @model_validator(mode="after")
    def _npm_takes_every_name(self) -> Self:
        for locale in self.locales:
            name = self.imprint(locale).name
            if problem := name_problem(name):
                raise ValueError(f"scope and name give {name!r}, which npm does not take: {problem}")
        return self

    def imprint(self, locale: str) -> Imprint:
        """What the package of a locale is called, and under which licence."""
        name = package_name(locale, scope=self.scope, name=self.name)
        return Imprint(name, self.version, locale, self.license, self.optional_channels)


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
