"""The corpus spec: which sources a corpus is made of, how their rows are varied, and what may be lost on the way."""

from __future__ import annotations

import difflib
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mw_pipeline.areas import region_problem
from mw_pipeline.countries import country_problem
from mw_pipeline.digest import digest_of
from mw_pipeline.recipe.input_patterns import file_pattern_problem, pattern_problem, url_problem
from mw_pipeline.recipe.section import (
    Name,
    NotNegative,
    Positive,
    Section,
    SetName,
    Share,
    SourceName,
    each_once,
    known_tags,
    tuple_of,
)
from mw_pipeline.urls import is_url, meant_url

OWN_GOLD = "golden"
"""What a corpus's own gold is called among its scores: no further set may take the name."""
LEAST_PLACES_SHARE = 0.001
"""The smallest share of places that is worth holding out: of each country it leaves some towns to judge by."""


def _known_country(code: str) -> str:
    """A country that rows can have; anything else is refused, so that no country can vanish unseen (M06)."""
    if problem := country_problem(code):
        raise ValueError(problem)
    return code


Country = Annotated[str, AfterValidator(_known_country)]


class Augmentations(Section):
    """Doses: the share (0..1) of composed rows that each method is applied to."""

    partial: Share = 0.0
    intersection: Share = 0.0
    corner: Share = 0.0
    po_box: Share = 0.0
    cedex: Share = 0.0
    unit: Share = 0.0
    direction: Share = 0.0
    person: Share = 0.0
    country_name: Share = 0.0
    zip4: Share = 0.0
    transliteration: Share = 0.0
    abbreviation: Share = 0.0
    expansion: Share = 0.0
    accents: Share = 0.0
    typos: Share = 0.0
    case: Share = 0.0
    order: Share = 0.0
    run_on: Share = 0.0
    brackets: Share = 0.0
    separators: Share = 0.0
    multi_line: Share = 0.0
    client_case: Share = 0.0
    other_script: Share = 0.0


def _augmentations(value: dict[str, float]) -> dict[str, float]:
    for name in value:
        if name not in Augmentations.model_fields:
            near = difflib.get_close_matches(name, Augmentations.model_fields, n=1, cutoff=0.0)[0]
            raise ValueError(f"{name!r} is not an augmentation; the nearest is {near!r}")
    return value


class Budgets(Section):
    """Largest shares of records that may be lost before a check blocks (M15, M16, M17).

    In quarantine altogether, for one reason and after one augmentation, where `methods` may name another share for
    some; and to one filter, which drops on purpose."""

    quarantine_share: Share = 0.05
    reason_share: Share = 0.05
    method_share: Share = 0.02
    filter_share: Share = 0.5
    methods: dict[str, Share] = Field(default_factory=dict)

    _methods = field_validator("methods")(_augmentations)


class SourceBudgets(Section):
    """The budgets of one source where they are not those of its corpus; what it leaves out is as the corpus says."""

    quarantine_share: Share | None = None
    reason_share: Share | None = None
    method_share: Share | None = None
    filter_share: Share | None = None
    methods: dict[str, Share] = Field(default_factory=dict)

    _methods = field_validator("methods")(_augmentations)


class SourceSpec(Section):
    """One raw source: which adapter reads which files, under which licence.

    `input` is a path or pattern below MW_DATA, or an https URL, which takes the `sha256` of its bytes. `streets` is the
    share of the towns of a list (geonames-postal) that get a street, drawn as the built-in source writes them.
    `other_names` is how many times more each labelled text (usaddress-xml) is told, with names and numbers drawn so."""

    adapter: Name
    input: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    licence: str | None = None
    attribution: str | None = None
    country: Country | None = None
    max_records: Positive | None = None
    share_alike_allowed: bool = False
    streets: Share = 0.0
    other_names: Annotated[int, Field(ge=0, le=1_000)] = 0
    budgets: SourceBudgets = SourceBudgets()

    @model_validator(mode="after")
    def _draws_are_for_who_takes_them(self) -> Self:
        for key, adapter in (("streets", "geonames-postal"), ("other_names", "usaddress-xml")):
            if (given := getattr(self, key)) and self.adapter != adapter:
                raise ValueError(f"{key} = {given:g}: only {adapter} takes it, {self.adapter!r} does not")
        return self

    @model_validator(mode="after")
    def _input_can_be_read(self) -> Self:
        if self.input is not None and (meant := meant_url(self.input)):
            raise ValueError(f"input {self.input!r} has one slash where a URL has two: did you mean {meant!r}?")
        if self.url is None:
            if self.input is not None and (problem := file_pattern_problem(self.input)):
                raise ValueError(f"input {self.input!r}: {problem}")
            return self
        if problem := url_problem(self.url):
            raise ValueError(f"input {self.url!r}: {problem}")
        if self.sha256 is None:
            raise ValueError(f"input {self.url!r} has no sha256, expected that of its bytes beside it")
        return self

    @property
    def url(self) -> str | None:
        """`input` where it is a URL, else None."""
        return self.input if self.input is not None and is_url(self.input) else None


class GoldenSetSpec(Section):
    """A further gold set below MW_DATA: gold files, or with `adapter` the judging half of a labelled source.

    It is scored beside the corpus's own gold, and gates the recipes that name it. `tags` are those that its labels are
    complete for (none named: all): only these are scored. `country` is that of an adapter's records; gold rows name
    their own. `optional`: it is skipped where its files are not there."""

    input: str
    adapter: Name | None = None
    country: Country | None = None
    tags: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(known_tags)] | None = None
    optional: bool = False

    _lists = field_validator("tags", mode="before")(tuple_of)

    @field_validator("input")
    @classmethod
    def _input_is_below_the_data(cls, value: str) -> str:
        if not value or value.startswith("/") or ".." in value.split("/"):
            raise ValueError("not a path or pattern below MW_DATA, as in 'usaddress/*.xml'")
        if problem := file_pattern_problem(value):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _country_is_of_an_adapter(self) -> Self:
        if self.country is not None and self.adapter is None:
            raise ValueError(
                f"country {self.country!r} says nothing of gold files, whose rows each name their own: "
                "it belongs to a set with an adapter"
            )
        return self


class CorpusSpec(Section):
    """What a corpus is made of. One TOML file in `corpora/`; its stem is the name.

    `holdout_places_share` of all towns are validated and tested on alone, half each: none, or one in a thousand at
    least, as fewer leave too few to judge by. `holdout_regions` are for experiments: what never met the names of a
    region cannot be packaged (M65)."""

    name: Name
    version: Name
    seed: NotNegative
    countries: tuple[str, ...]
    sources: dict[SourceName, SourceSpec] = Field(min_length=1)
    variants: Positive = 2
    validation_share: Share = 0.01
    test_share: Share = 0.01
    holdout_places_share: Share = 0.0
    holdout_regions: tuple[str, ...] = ()
    licences_allowed: tuple[str, ...] = ()
    golden: Annotated[tuple[str, ...], Field(min_length=1)] = ("golden/*.jsonl",)
    golden_sets: dict[SetName, GoldenSetSpec] = Field(default_factory=dict)
    augmentations: Augmentations = Augmentations()
    budgets: Budgets = Budgets()

    _lists = field_validator("countries", "holdout_regions", "licences_allowed", "golden", mode="before")(tuple_of)

    _each_once = field_validator("countries", "holdout_regions", "licences_allowed", "golden")(each_once)

    @field_validator("countries")
    @classmethod
    def _countries_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known_country(code) for code in value)

    @field_validator("holdout_places_share")
    @classmethod
    def _places_held_out_are_none_or_enough(cls, value: float) -> float:
        if 0 < value < LEAST_PLACES_SHARE:
            raise ValueError(f"expected 0, or {LEAST_PLACES_SHARE} at least: fewer places leave none to judge by")
        return value

    @field_validator("golden")
    @classmethod
    def _gold_can_be_found(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if problem := pattern_problem(pattern):
                raise ValueError(f"{pattern!r}: {problem}")
        return value

    @field_validator("golden_sets")
    @classmethod
    def _sets_are_not_the_own_gold(cls, value: dict[str, GoldenSetSpec]) -> dict[str, GoldenSetSpec]:
        if OWN_GOLD in value:
            raise ValueError(f"{OWN_GOLD!r} is the corpus's own gold, expected another name for a further set")
        return value

    @field_validator("holdout_regions")
    @classmethod
    def _regions_are_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            country, colon, region = key.partition(":")
            if not (colon and region.strip()):
                raise ValueError(f"{key!r} is not a country and a region, as in 'US:vermont'")
            if problem := region_problem(_known_country(country), region):
                raise ValueError(f"{key!r}: {problem}")
        return value

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        shares = {name: getattr(self, name) for name in ("validation_share", "test_share", "holdout_places_share")}
        if sum(shares.values()) >= 1:
            listed = ", ".join(f"{name} {share}" for name, share in shares.items())
            raise ValueError(f"{listed} leave nothing to train on: let their sum stay below 1")
        return self

    def budgets_of(self, source: str) -> Budgets:
        """What a source may lose: its own budgets laid over those of the corpus, key by key."""
        own = self.sources[source].budgets.model_dump(exclude_none=True)
        return self.budgets.model_copy(update={**own, "methods": {**self.budgets.methods, **own["methods"]}})

    @property
    def digest(self) -> str:
        """SHA-256 of the effective spec."""
        return digest_of(self.model_dump(mode="json"))
