"""What reports, gold and cards say of scores, as gates and pages rely on it."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from mw_pipeline.json_shapes import Count, Counts, Number, Shape, Share


def _rising(bounds: list[float]) -> list[float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower end lies above the upper one")
    return bounds


Bounds = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_rising)]
_Interval = Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(_rising)] | None


class _Intervals(Shape):
    core_macro_f1: _Interval
    exact_match: _Interval


class Measured(Shape):
    """Scores on one gold set: of a report, a card or a baseline."""

    rows: Count
    core_macro_f1: Share | None
    exact_match: Share | None
    intervals: _Intervals


class _TagScores(Shape):
    support: Count
    tp: Count
    fp: Count
    fn: Count
    precision: Share | None
    recall: Share | None
    f1: Share | None
    interval: _Interval

    @model_validator(mode="after")
    def _what_gold_has_is_scored(self) -> Self:
        if self.support and self.f1 is None:
            raise ValueError("gold has values and there is no f1")
        return self


class _AllIntervals(_Intervals):
    micro_f1: _Interval


class _TagCeilings(Shape):
    core_macro_f1: Share | None
    per_tag: dict[str, Share | None]


class OnGoldSet(Measured):
    """A gold set in `golden_sets.json`."""

    families: Count
    micro_f1: Share | None
    intervals: _AllIntervals
    ceiling: _TagCeilings
    tags: list[str]
    per_tag: dict[str, _TagScores]


class Scores(OnGoldSet):
    """`scores.json` of a report."""

    hashes: dict[str, str]
    policy: str


class GoldenSets(Shape):
    """`golden_sets.json` of a report: scores by set, and a sentence for each set that was not there."""

    scores: dict[str, OnGoldSet]
    skipped: list[str]


class _Ceiling(Shape):
    core_macro_f1: Share | None


class _OnGold(Measured):
    ceiling: _Ceiling


class _Metrics(Shape):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    golden: _OnGold


class _File(Shape):
    bytes: Count


class _CardFiles(Shape):
    network: _File = Field(alias="model.onnx")


class Card(Shape):
    """`model-card.json` of a package: what it scored on the corpus's gold, and whatever on other rows."""

    name: str
    version: str
    files: _CardFiles
    metrics: _Metrics


class _Finding(Shape):
    rule: str
    value: str
    file: str
    line: Count | None
    remedy: str


class _GoldFacts(Shape):
    findings: list[_Finding] = Field(default_factory=list)
    skipped: Annotated[str, Field(min_length=1)] | None = None
    tags: list[str] | None = None


class _GoldCounts(Shape):
    tag: Counts


class _PerTag(Shape):
    per_tag: dict[str, Share | None]


class _Ceilings(Shape):
    normalised: _PerTag


class _Regions(Shape):
    rows: Counts
    missing: list[str]
    elsewhere: Count


class Gold(Shape):
    """`golden.json` of gold."""

    counts: _GoldCounts
    ceilings: _Ceilings
    regions: dict[str, _Regions]
    findings: list[_Finding]
    sets: dict[str, _GoldFacts]


class _Sides(Shape):
    fn: Count
    fp: Count


class Diagnosis(Shape):
    """`diagnosis.json` of a report's misses; buckets stand in the order in which they are tried."""

    order: list[str]
    meanings: dict[str, str]
    totals: _Sides
    buckets: dict[str, _Sides]
    failure_modes: list[dict[str, Any]]

    @model_validator(mode="after")
    def _every_bucket_is_told(self) -> Self:
        for key in ("meanings", "buckets"):
            if lacking := [name for name in self.order if name not in getattr(self, key)]:
                raise ValueError(f"{key}.{lacking[0]} is missing, which order names")
        return self
