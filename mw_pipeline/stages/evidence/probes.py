"""What `probe.json` says, as pages and pictures rely on it: one shape for each probe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mw_pipeline.json_shapes import Amount, Count, Number, Shape, Share
from mw_pipeline.stages.evidence.scores import Bounds


class ProbeKind(Shape):
    """Which probe a `probe.json` is of, and why it could not look, if so."""

    probe: Literal["gradients", "activations", "separation"]
    failed: Annotated[str, Field(min_length=1)] | None = None


class _Checkpoint(Shape):
    step: Count


class _Loss(Shape):
    kind: str
    crf_reduction: str


class _Ratios(Shape):
    raw: Amount | None
    weighted: Amount | None
    per_token: Amount | None
    cosine: Number | None


class _Terms(Shape):
    first: str
    second: str
    weight: float
    unit_pieces: Amount
    band: Literal["dominates", "balanced", "collapsed", "leaning", "not finite"]
    median: _Ratios
    per_batch: list[_Ratios]


class _SourceNorm(Shape):
    mean_norm: Amount | None
    variance: Amount | None
    share: Share | None
    z: Number | None
    outlier: bool


class GradientProbe(Shape):
    """`probe.json` of the terms of a loss, and of each source by itself."""

    probe: Literal["gradients"]
    checkpoint: _Checkpoint
    loss: _Loss
    terms: _Terms | None
    sources: dict[str, _SourceNorm]


class _Stats(Shape):
    n: Count
    mean: Number | None
    std: Amount | None
    min: Number | None
    max: Number | None
    nan: Count
    inf: Count
    zero: Count


class _TokenSets(Shape):
    all: _Stats
    first: _Stats
    rest: _Stats


class _Stage(Shape):
    name: str
    stats: _TokenSets


class _Trace(Shape):
    stages: list[_Stage]


class _Odd(Shape):
    stage: str
    reason: str


class _Reference(Shape):
    name: str
    precision: str


class _ComparedStage(Shape):
    stage: str
    reference_std: Amount | None
    ratio: Amount | None
    status: Literal["agrees", "suspect", "diverged"]


class _Compared(Shape):
    reference: _Reference
    origin: str | None
    cascade: list[str]
    agrees: Count
    stages: list[_ComparedStage]


class ActivationProbe(Shape):
    """`probe.json` of the stages of a network, beside those of a reference where there is one."""

    probe: Literal["activations"]
    tokens: Literal["all", "first", "rest"]
    trace: _Trace
    comparison: _Compared | None
    outliers: list[_Odd]

    @model_validator(mode="after")
    def _stages_are_compared(self) -> Self:
        if self.comparison is not None:
            names = [stage.name for stage in self.trace.stages]
            if [row.stage for row in self.comparison.stages] != names:
                raise ValueError("comparison.stages are not those of trace.stages, expected one for each")
            if self.comparison.origin not in (None, *names):
                raise ValueError(f"comparison.origin is {self.comparison.origin!r:.60}, expected one of its stages")
        return self


class _Separated(Shape):
    base_rate: Share | None
    mean_inside: Share | None
    mean_outside: Share | None
    separation: Annotated[float, Field(ge=-1, le=1)] | None
    interval: Bounds | None
    auroc: Share | None
    collapsed: bool | None

    @model_validator(mode="after")
    def _what_is_judged_is_measured(self) -> Self:
        if self.collapsed is not None and None in (self.mean_inside, self.mean_outside, self.interval, self.auroc):
            raise ValueError("collapsed is told without means, interval and auroc")
        return self


class _Threshold(Shape):
    threshold: Number
    f1: Number
    all_positive_f1: Number


class _Thresholds(Shape):
    labels: dict[str, _Threshold]


class SeparationProbe(Shape):
    """`probe.json` of what each label gives to the pieces of its spans and to all others."""

    probe: Literal["separation"]
    split: str
    rows: Count
    pieces: Count
    probability: str
    labels: dict[str, _Separated]
    thresholds: _Thresholds | None

    @model_validator(mode="after")
    def _every_label_has_its_threshold(self) -> Self:
        if self.thresholds is not None and (lacking := [*(self.labels.keys() - self.thresholds.labels.keys())]):
            raise ValueError(f"thresholds.labels.{min(lacking)} is missing, which labels name")
        return self


PROBES: dict[str, type[Shape]] = {
    "gradients": GradientProbe,
    "activations": ActivationProbe,
    "separation": SeparationProbe,
}
