"""What runs, verdicts, comparisons and matrices say, as gates and pages rely on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mw_pipeline.json_shapes import Amount, Count, Number, Shape, Share
from mw_pipeline.schedule import Schedule
from mw_pipeline.stages.evidence.scores import Bounds, Measured
from mw_pipeline.verdict.runlog import MOST

_Steps = Annotated[int, Field(ge=0, le=MOST)]
_Difference = Annotated[float, Field(ge=-1, le=1)]


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


class _Axis(Shape):
    candidate: Share | None
    baseline: Share | None
    difference: _Difference | None
    interval: Bounds | None
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
    values: Annotated[list[str], Field(min_length=1)]
    rows: Count
    right: Count
    miss: _Miss | None

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        if self.right > self.rows:
            raise ValueError("more of its rows are right than it has")
        return self


class Matrix(Shape):
    """`LOCALE.json` of a capability matrix."""

    locale: str
    seed: int
    min_cell: Share
    rows: Count
    left_out: Count
    measured_on: str
    compared: str
    not_asked: dict[str, str]
    policy: str
    places_share: Share
    places_held_out: Share | None
    matrix: list[_Cell]


class Run(Shape):
    """`run.json` of a training, as far as a card says it again."""

    schedule: Schedule | None = None
    warmup_steps: _Steps | None = None
    max_steps: _Steps | None = None
    cooldown_from: _Steps | None = None


class LossRanking(Shape):
    """`comparison.json` of the losses in a folder."""

    seeds: Count
    ranking: list[dict[str, Any]]
    failed: dict[str, str]


class _Fired(Shape):
    rule: str
    step: _Steps
    reason: str


_Window = Annotated[list[_Steps], Field(min_length=2, max_length=2)]


class _Evidence(Shape):
    near_peak_window: _Window | None
    last_step: _Steps | None
    loss_floor: Number | Literal["nan", "inf", "-inf"] | None
    recent_f1_fall: Number | None


class Verdict(Shape):
    """`verdict.json` of a smoke."""

    outcome: Literal["pass", "fail", "invalid"]
    rule: str | None
    step: _Steps | None
    reason: str
    exposure_ratio: Amount | None
    evidence: _Evidence
    findings: list[_Fired]
    warnings: list[_Fired]
    not_checked: list[str]
