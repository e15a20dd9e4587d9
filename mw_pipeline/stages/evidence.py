"""JSON files of artifacts that gates, cards and pages stand on, each with the shape that their readers rely on."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import REMEDY, Amount, Count, Counts, Number, Shape, Share, demand_shape
from mw_pipeline.schedule import Schedule
from mw_pipeline.verdict.runlog import MOST

_Steps = Annotated[int, Field(ge=0, le=MOST)]
_Difference = Annotated[float, Field(ge=-1, le=1)]


def _rising(bounds: list[float]) -> list[float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower end lies above the upper one")
    return bounds


_Bounds = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_rising)]
_Interval = Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(_rising)] | None


class _Agreement(Shape):
    model_config = ConfigDict(extra="forbid")

    texts: Count
    pieces: Count
    max_logit_difference: Amount
    label_agreement_share: Share


class Parity(Shape):
    """`parity.json` of packages."""

    fp32_against_checkpoint: _Agreement
    int8_against_checkpoint: _Agreement


class _Intervals(Shape):
    core_macro_f1: _Interval
    exact_match: _Interval


class Measured(Shape):
    """Scores on one gold set: of a report, a card or a baseline."""

    rows: Count
    core_macro_f1: Share | None
    exact_match: Share | None
    intervals: _Intervals


class Scores(Measured):
    """`scores.json` of a report."""

    hashes: dict[str, str]
    policy: str


class _Ceiling(Shape):
    core_macro_f1: Share | None


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
    line: Count | None
    remedy: str


class _GoldFacts(Shape):
    findings: list[_Finding] = Field(default_factory=list)
    skipped: str = ""
    tags: list[str] | None = None


class Gold(Shape):
    """`golden.json` of gold."""

    findings: list[_Finding]
    sets: dict[str, _GoldFacts]


class _Axis(Shape):
    candidate: Share | None
    baseline: Share | None
    difference: _Difference | None
    interval: _Bounds | None
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
    total: Count


class _Exchange(Shape):
    fixed: _Values
    broken: _Values
    still_wrong: _Values


class _RowsCompared(Shape):
    with_adversarial: Count


class _AskedOfBaseline(Measured):
    ece: Share | None


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
    rows: Count
    right: Count
    miss: _Miss | None


class Matrix(Shape):
    """`LOCALE.json` of a capability matrix."""

    locale: str
    seed: int
    rows: Count
    left_out: Count
    measured_on: str
    compared: str
    not_asked: dict[str, str]
    policy: str
    places_share: Share
    places_held_out: Share | None
    matrix: list[_Cell]


class _SourceCounts(Shape):
    rows: Count
    split: Counts
    licence: Counts
    country: Counts
    script: Counts
    locale: Counts
    tag: Counts


class _Source(Shape):
    digest: str
    counts: _SourceCounts


class _Licences(Shape):
    licences: Counts
    attribution: str


class _Lost(Shape):
    excluded: Counts
    repeats: Counts


class Census(Shape):
    """`census.json` of a corpus."""

    corpus: str
    version: str
    splits: Counts
    excluded: Counts
    sources: dict[str, _Source]
    licences: dict[str, _Licences]
    flow: dict[str, _Lost]


class Run(Shape):
    """`run.json` of a training, as far as a card says it again."""

    schedule: Schedule | None = None
    warmup_steps: _Steps | None = None
    max_steps: _Steps | None = None
    cooldown_from: _Steps | None = None


class Diagnosis(Shape):
    """`diagnosis.json` of a report's misses."""

    failure_modes: list[dict[str, Any]]


class Verdict(Shape):
    """`verdict.json` of a smoke."""

    outcome: str


class _Flow(Shape):
    read: Count
    kept: Count
    quarantined: Counts
    filtered: Counts
    deduplicated: Count


class _MethodFlow(Shape):
    asked: Count
    applied: Count
    quarantined: Count


class Waterfall(_Flow):
    """`waterfall.json` of a source."""

    source: str
    adapter: str
    variants: Count
    rows: _Flow
    methods: dict[str, _MethodFlow]
    holdout_records: Count


class _TaughtWord(Shape):
    kind: str
    word: str
    tags: list[str]
    where: str
    rows_by_tag: Counts
    subsets: Count


class ClosedWords(Shape):
    """`closed_words.json` of a recipe."""

    findings: list[str]
    words: list[_TaughtWord]


def _whole(sources: list[MixedSource]) -> list[MixedSource]:
    total = math.fsum(source.requested_share for source in sources)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the requested shares make {total:g} together, expected 1")
    return sources


class _Place(Shape):
    places: Count
    commonest: str
    commonest_rows: Count
    repetitions: Amount
    drawn: Count
    capped: bool


class MixedSource(Shape):
    """A source in `mix.json`."""

    name: str
    rows: Count
    weight: Amount
    declared_share: Share
    requested_share: Share
    realised_share: Share
    window_shares: list[Share]
    repetitions: Amount
    shards: Count
    legacy_share: Share
    place: _Place | None


class SourceMix(Shape):
    """`mix.json` of a recipe."""

    sources: Annotated[list[MixedSource], AfterValidator(_whole)]
    samples: Count
    concentrated: bool
    findings: list[str]
    warnings: list[str]


class _AuditedSource(Shape):
    name: str
    digest: str
    rows: Count
    weight: Amount
    requested_share: Share
    repetitions: Amount
    licences: Counts


class _Since(Shape):
    digest: str | None


class _Changed(Shape):
    rows: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    licences: Annotated[list[list[str]], Field(min_length=2, max_length=2)] | None = None


class _Changes(Shape):
    added: list[str]
    removed: list[str]
    changed: dict[str, _Changed]
    unchanged: list[str]


class Audit(Shape):
    """`audit.json` of a recipe."""

    sources: list[_AuditedSource]
    since: _Since
    changes: _Changes | None
    findings: list[str]
    warnings: list[str]

    @model_validator(mode="after")
    def _names_what_it_was_compared_with(self) -> Audit:
        if self.changes is not None and self.since.digest is None:
            raise ValueError("it has changes, and names no audit before it")
        return self


def read_evidence(artifact: Artifact, name: str, shape: type[Shape]) -> JSON:
    """The value of one of an artifact's JSON files, which has this shape. Raises ArtifactError for any other."""
    value = artifact.read_json(name)
    demand_shape(value, shape, where=artifact.path / name)
    return value


def demand_names(artifact: Artifact, name: str, key: str, there: JSON, wanted: list[str]) -> None:
    """Returns when a table of one of an artifact's JSON files has all these keys. Raises ArtifactError otherwise."""
    if lacking := [one for one in wanted if one not in there]:
        raise ArtifactError(f"{artifact.path / name}: {key}.{lacking[0]} is missing. {REMEDY}")
