"""The two config files, corpus spec and recipe: strict TOML with inheritance, digests and a list of what changed."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mw_pipeline.countries import COUNTRY_CODES
from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import LabelSet, label_set

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
LearningRate = Annotated[float, Field(gt=0.0, lt=1e3)]

RECIPES_FOLDER = Path("recipes")
CORPORA_FOLDER = Path("corpora")


class Section(BaseModel):
    """A table of a config file: frozen, typed, and every unknown key refused (M07, M08)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _tuple_of(value: object) -> object:
    """TOML arrays arrive as lists; the models hold tuples so that they can be frozen."""
    return tuple(value) if isinstance(value, list) else value


# --- corpus spec ---------------------------------------------------------------------------------------------------


class SourceSpec(Section):
    """One raw source: which adapter reads which files, under which licence."""

    adapter: str
    input: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    licence: str | None = None
    attribution: str | None = None
    country: str | None = None
    max_records: Positive | None = None
    share_alike_allowed: bool = False

    @field_validator("country")
    @classmethod
    def _country_is_known(cls, value: str | None) -> str | None:
        return None if value is None else _known_country(value)


class Augmentations(Section):
    """Doses: the share (0..1) of composed rows that each method is applied to."""

    partial: Share = 0.0
    order: Share = 0.0
    separators: Share = 0.0
    case: Share = 0.0
    abbreviation: Share = 0.0
    accents: Share = 0.0
    zip4: Share = 0.0
    other_script: Share = 0.0
    country_name: Share = 0.0


class Budgets(Section):
    """Largest shares of records that may be lost before a check blocks (M15, M16, M17)."""

    quarantine_share: Share = 0.05
    reason_share: Share = 0.05
    method_share: Share = 0.02


class CorpusSpec(Section):
    """What a corpus is made of. One TOML file in `corpora/`; its stem is the name."""

    name: str
    version: str
    seed: int
    countries: tuple[str, ...]
    sources: dict[str, SourceSpec] = Field(min_length=1)
    variants: Positive = 2
    validation_share: Share = 0.01
    test_share: Share = 0.01
    holdout_regions: tuple[str, ...] = ()
    licences_allowed: tuple[str, ...] = ()
    golden: tuple[str, ...] = ("golden/*.jsonl",)
    augmentations: Augmentations = Augmentations()
    budgets: Budgets = Budgets()

    _lists = field_validator("countries", "holdout_regions", "licences_allowed", "golden", mode="before")(_tuple_of)

    @field_validator("countries")
    @classmethod
    def _countries_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_country(code) for code in value)

    @property
    def digest(self) -> str:
        """SHA-256 of the effective spec."""
        return digest_of(self.model_dump(mode="json"))


def _known_country(code: str) -> str:
    """Upper-case ISO 3166-1 alpha-2; anything else is refused, so that no country can vanish unseen (M06)."""
    if code not in COUNTRY_CODES:
        near = difflib.get_close_matches(code.upper(), COUNTRY_CODES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{code!r} is not an ISO 3166-1 alpha-2 country code in upper case{hint}")
    return code


# --- recipe --------------------------------------------------------------------------------------------------------


class TokenizerConfig(Section):
    """SentencePiece unigram with byte fallback, trained on a balanced sample of the training rows."""

    vocab_size: Positive = 8000
    sample_rows: Positive = 200_000
    character_coverage: Annotated[float, Field(ge=0.98, le=1.0)] = 0.9995
    seed: int = 0


class MixConfig(Section):
    """How the sampler draws from the sources: `weights` are relative, by source name."""

    weights: dict[str, Annotated[float, Field(ge=0.0)]] = Field(min_length=1)
    cycle: bool = True
    max_repetitions: Annotated[float, Field(gt=0.0)] | None = None


class ModelConfig(Section):
    """Geometry of the encoder."""

    width: Positive
    layers: Positive
    heads: Positive
    feed_forward: Positive
    max_length: Positive = 128
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        return self


class LossConfig(Section):
    """Cross-entropy, CRF or their sum; `crf_weight` is the λ of CE + λ·CRF."""

    kind: Literal["ce", "crf", "ce+crf"] = "ce+crf"
    crf_weight: Annotated[float, Field(ge=0.0)] = 0.05
    crf_reduction: Literal["per_token", "per_sequence"] = "per_sequence"
    class_weights: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    label_smoothing: Share = 0.0


class TrainConfig(Section):
    """The full run. `batch_size` counts rows; effective batch = batch_size × accumulation × processes."""

    steps: Positive
    peak_lr: LearningRate
    warmup_steps: NotNegative
    batch_size: Positive
    accumulation: Positive = 1
    processes: Positive = 1
    schedule: Literal["cosine", "constant", "linear_cooldown"] = "cosine"
    cooldown_from: NotNegative | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    eval_every: Positive = 250
    eval_rows: Positive = 2000
    checkpoint_every: Positive = 250
    log_every: Positive = 10
    threads: Positive = 2
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def effective_batch(self) -> int:
        """Rows that one optimizer step sees."""
        return self.batch_size * self.accumulation * self.processes

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be below steps {self.steps}")
        if (self.schedule == "linear_cooldown") != (self.cooldown_from is not None):
            raise ValueError("cooldown_from is needed by schedule 'linear_cooldown' and by no other")
        if self.cooldown_from is not None and not self.warmup_steps <= self.cooldown_from < self.steps:
            raise ValueError(f"cooldown_from {self.cooldown_from} must lie between warmup_steps and steps")
        return self


class SmokeConfig(Section):
    """The short run before the full one: `constant` is warmup then flat, `long-tail` a cosine of ≥ 10,000 steps.

    `batch_size` and `accumulation` default to the full run's; a smoke that sets others is `invalid` (M02)."""

    steps: Positive
    mode: Literal["constant", "long-tail", "cosine"] = "constant"
    eval_every: Positive = 100
    batch_size: Positive | None = None
    accumulation: Positive | None = None

    @model_validator(mode="after")
    def _tail_is_long(self) -> Self:
        if self.mode == "long-tail" and self.steps < 10_000:
            raise ValueError(f"mode 'long-tail' needs steps ≥ 10000, found {self.steps}")
        return self


class EvalConfig(Section):
    """The gates that a release must pass; scores are normalised core macro-F1 (0..1).

    `baseline` names the recipe whose eval report the diagnosis compares with; without one it only explains misses."""

    baseline: str | None = None
    min_core_macro_f1: Share = 0.0
    max_quantisation_cost: Share = 0.005
    min_label_agreement: Share = 0.995


class PackageConfig(Section):
    """What is released."""

    version: str = "0.1.0"
    locales: tuple[str, ...] = ("en-us", "fr-fr")

    _lists = field_validator("locales", mode="before")(_tuple_of)


class Recipe(Section):
    """One training recipe. A TOML file in `recipes/`; its path below that folder without suffix is the name."""

    name: str
    corpus: str
    labels: Literal[2, 3] = 2
    tokenizer: TokenizerConfig = TokenizerConfig()
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
    def label_set(self) -> LabelSet:
        """The labels that this recipe trains."""
        return label_set(self.labels)

    def slice(self, *sections: str) -> dict[str, JSON]:
        """The named sections as JSON: what a stage depends on, and nothing else."""
        return self.model_dump(mode="json", include=set(sections))


# --- reading -------------------------------------------------------------------------------------------------------


def load_recipe(path: Path) -> Recipe:
    """The effective recipe of a TOML file, after its `base` chain. Raises RecipeError with file and key path."""
    name = _name_below(path, RECIPES_FOLDER.name)
    document, base = _with_base(path, seen=())
    return _validated(Recipe, {**document, "name": name, "changes": _changes(base, document)}, path)


def load_corpus_spec(path: Path) -> CorpusSpec:
    """The effective corpus spec of a TOML file, after its `base` chain. Raises RecipeError with file and key path."""
    document, _ = _with_base(path, seen=())
    return _validated(CorpusSpec, {**document, "name": _name_below(path, CORPORA_FOLDER.name)}, path)


def _name_below(path: Path, folder: str) -> str:
    parts = path.with_suffix("").parts
    if folder in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index(folder)
        return "/".join(parts[last + 1 :])
    return parts[-1]


def _with_base(path: Path, *, seen: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The merged document and, when the file names one, the merged document of its base."""
    if path.resolve() in seen:
        raise RecipeError(f"{path}: base leads back to this file. Remove one `base` line of the circle.")
    document = _read_toml(path)
    for key in ("name", "changes"):
        if key in document:
            raise RecipeError(f"{path}: {key} is not a key: it follows from the file. Remove the line.")
    base_name = document.pop("base", None)
    if base_name is None:
        return document, None
    if not isinstance(base_name, str):
        raise RecipeError(f"{path}: base is {base_name!r}, expected the path of a TOML file. Put it in quotes.")
    base, _ = _with_base(path.parent / base_name, seen=(*seen, path.resolve()))
    return _merged(base, document), base


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.stem, [p.stem for p in path.parent.glob("*.toml")], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "check the name."
        raise RecipeError(f"{path}: there is no such file; {hint}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(f"{path}: not readable as TOML: {error}. Correct the file.") from None


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`change` laid over `base`, table by table; arrays, `mix.weights` and `loss.class_weights` are replaced whole."""
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        keep_both = isinstance(value, dict) and isinstance(below, dict) and key not in ("weights", "class_weights")
        merged[key] = _merged(below, value) if keep_both and below is not None else value
    return merged


def _changes(base: dict[str, Any] | None, document: dict[str, Any]) -> dict[str, JSON]:
    if base is None:
        return {}
    before, after = _flat(base), _flat(document)
    return {key: after.get(key) for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)}


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, JSON]:
    flat: dict[str, JSON] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


Model = TypeVar("Model", bound=Section)


def _validated(model: type[Model], document: dict[str, Any], path: Path) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"{path}: {_sentence(model, first['loc'], first)}") from None


def _sentence(model: type[Section], location: tuple[int | str, ...], error: Any) -> str:
    key = ".".join(str(part) for part in location) or "the file"
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.0)
        return f"{key} is not a key; the nearest known key is {near[0]!r}. Known here: {', '.join(known)}."
    if error["type"] == "missing":
        return f"{key} is missing. Add it."
    message = error["msg"].removeprefix("Value error, ")
    return f"{key} is {error['input']!r}: {message[0].lower()}{message[1:]}. Correct the value."


def _known_keys(model: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `location` may hold."""
    fields: type[Section] = model
    for part in location:
        field = fields.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, Section):
            fields = annotation
        elif annotation == dict[str, SourceSpec]:
            fields = SourceSpec
    hidden = {"name", "changes"} if fields in (Recipe, CorpusSpec) else set()
    return sorted((set(fields.model_fields) - hidden) | ({"base"} if fields in (Recipe, CorpusSpec) else set()))
