"""The sections of a recipe that say what a release must score, and what is released."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

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
from mw_pipeline.recipe.section import Name, Section, SetName, Share, each_once, tuple_of

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
