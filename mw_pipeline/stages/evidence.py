"""JSON files of artifacts that gates and cards stand on, read with the shape that their readers rely on.

A digest says that a file is whole, not that a stage of this version wrote it: what lacks a key, or holds a text for a
number, is told by file and key, and never ends in a traceback. What a file holds beside its shape is its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError

_REMEDY = "Delete the artifact's folder and materialize it again."
_Counts = dict[str, int]


class Shape(BaseModel):
    """The keys that readers of a file rely on. NaN is a number: gates are written so that it fails them."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Agreement(Shape):
    model_config = ConfigDict(extra="forbid")

    texts: int
    pieces: int
    max_logit_difference: float
    label_agreement_share: float


class Parity(Shape):
    """`parity.json` of packages."""

    fp32_against_checkpoint: _Agreement
    int8_against_checkpoint: _Agreement


_Interval = Annotated[list[float], Field(min_length=2, max_length=2)] | None


class _Intervals(Shape):
    core_macro_f1: _Interval
    exact_match: _Interval


class Measured(Shape):
    """Scores on one gold set: of a report, a card or a baseline."""

    rows: int
    core_macro_f1: float | None
    exact_match: float | None
    intervals: _Intervals


class Scores(Measured):
    """`scores.json` of a report."""

    hashes: dict[str, str]
    policy: str


class _Ceiling(Shape):
    core_macro_f1: float | None


class _OnGold(Measured):
    ceiling: _Ceiling


class _Metrics(Shape):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    golden: _OnGold


class Card(Shape):
    """`model-card.json` of a package: what it scored on the corpus's gold, and whatever on other rows."""

    metrics: _Metrics


class _Finding(Shape):
    rule: str
    value: str
    file: str
    line: int | None
    remedy: str


class _GoldFacts(Shape):
    findings: list[_Finding] = []
    skipped: str = ""
    tags: list[str] | None = None


class Gold(Shape):
    """`golden.json` of gold."""

    findings: list[_Finding]
    sets: dict[str, _GoldFacts]


class _Axis(Shape):
    candidate: float | None
    baseline: float | None
    difference: float | None
    interval: _Interval
    verdict: str


class _FourAxes(Shape):
    coarse_f1: _Axis
    fine_f1: _Axis
    calibration: _Axis
    training_stability: _Axis


class _Former(Shape):
    name: str | None
    version: str | None
    folder: str
    model_sha256: str


class _Values(Shape):
    total: int


class _Exchange(Shape):
    fixed: _Values
    broken: _Values
    still_wrong: _Values


class _RowsCompared(Shape):
    with_adversarial: int


class _AskedOfBaseline(Measured):
    ece: float | None


class _Compared(Shape):
    headline: str
    gold: str
    baseline: _Former
    tags: list[str]
    only_here: list[str]
    only_there: list[str]
    rows: _RowsCompared
    worsened: list[Literal["coarse_f1", "fine_f1", "calibration", "training_stability"]]
    with_adversarial: _FourAxes
    without_adversarial: _FourAxes
    regression: _Exchange
    metrics: dict[str, _AskedOfBaseline]


class _NotCompared(Shape):
    model_config = ConfigDict(extra="forbid")

    sentence: str


class Axes(Shape):
    """`axes.json`: the comparison of each locale with its baseline."""

    measured_on: str
    locales: dict[str, _Compared | _NotCompared]


class _Miss(Shape):
    model_config = ConfigDict(extra="forbid")

    raw: str
    expected: dict[str, str]
    read: dict[str, str]


class _Cell(Shape):
    family: str
    values: list[str]
    rows: int
    right: int
    miss: _Miss | None


class Matrix(Shape):
    """`LOCALE.json` of a capability matrix."""

    locale: str
    seed: int
    rows: int
    left_out: int
    measured_on: str
    compared: str
    not_asked: dict[str, str]
    policy: str
    places_share: float
    places_held_out: float | None
    matrix: list[_Cell]


class _SourceCounts(Shape):
    split: _Counts
    licence: _Counts


class _Source(Shape):
    counts: _SourceCounts


class _Licences(Shape):
    licences: _Counts
    attribution: str


class _Lost(Shape):
    excluded: _Counts
    repeats: _Counts


class Census(Shape):
    """`census.json` of a corpus."""

    corpus: str
    version: str
    splits: _Counts
    sources: dict[str, _Source]
    licences: dict[str, _Licences]
    flow: dict[str, _Lost]


class Run(Shape):
    """`run.json` of a training, as far as a card says it again."""

    schedule: str | None = None
    warmup_steps: int | None = None
    max_steps: int | None = None
    cooldown_from: int | None = None


class Diagnosis(Shape):
    """`diagnosis.json` of a report's misses."""

    failure_modes: list[dict[str, Any]]


class Verdict(Shape):
    """`verdict.json` of a smoke."""

    outcome: str


class _Flow(Shape):
    read: int
    kept: int
    quarantined: _Counts
    filtered: _Counts
    deduplicated: int


class _MethodFlow(Shape):
    asked: int
    applied: int
    quarantined: int


class Waterfall(_Flow):
    """`waterfall.json` of a source."""

    source: str
    adapter: str
    variants: int
    rows: _Flow
    methods: dict[str, _MethodFlow]
    holdout_records: int


class _TaughtWord(Shape):
    kind: str
    word: str
    tags: list[str]
    where: str
    rows_by_tag: _Counts
    subsets: int


class ClosedWords(Shape):
    """`closed_words.json` of a recipe."""

    words: list[_TaughtWord]


def shape_problem(value: JSON, shape: type[Shape]) -> str | None:
    """The first key of a value that is missing or of another kind, and what is wrong with it; or None."""
    try:
        shape.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not str(part).startswith("_")) or "the whole of it"
        return f"{key} {'is missing' if first['type'] == 'missing' else _found(first)}"
    return None


def _found(error: Any) -> str:
    return f"is {error['input']!r:.60}: {error['msg'].lower()}"


def read_evidence(artifact: Artifact, name: str, shape: type[Shape]) -> JSON:
    """The value of one of an artifact's JSON files, which has this shape. Raises ArtifactError for any other."""
    where = artifact.file(name)
    try:
        value = artifact.read_json(name)
    except ValueError as error:
        raise ArtifactError(f"{where}: not JSON ({error}). {_REMEDY}") from None
    if problem := shape_problem(value, shape):
        raise ArtifactError(f"{where}: {problem}. {_REMEDY}")
    return value


def demand_names(artifact: Artifact, name: str, key: str, there: JSON, wanted: list[str]) -> None:
    """Returns when a table of one of an artifact's JSON files has all these keys. Raises ArtifactError otherwise."""
    if lacking := [one for one in wanted if one not in there]:
        raise ArtifactError(f"{artifact.path / name}: {key}.{lacking[0]} is missing. {_REMEDY}")
