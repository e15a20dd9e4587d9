"""run.json by shape and bounds: what a run says of itself, as every rule that judges the run counts with it.

A fact that no run could have written is refused by its key: judged as it stands, it would switch a rule off in silence.
What run.json does not say at all is a finding of the rule that needs it. What no rule counts with is whatever its
writer made of it: logs of any trainer are judged.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import Amount, Count, Counts, Shape, demand_shape
from mw_pipeline.recipe import POOL_BATCHES
from mw_pipeline.recipe.section import NotNegative, Positive, Share, Size
from mw_pipeline.schedule import Schedule

RUN_JSON = "run.json"
_REMEDY = "Repair it, or remove it."
_MOST_LABELS = 1000


def _whole(value: Any) -> Any:
    """A whole number that was written with a point is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Whole = BeforeValidator(_whole)
_Positive = Annotated[Positive, _Whole]
_NotNegative = Annotated[NotNegative, _Whole]
_Size = Annotated[Size, _Whole]
_Total = Annotated[Count, _Whole]
_Labels = Annotated[int, Field(ge=2, le=_MOST_LABELS), _Whole]
_PoolBatches = Annotated[int, Field(ge=1, le=POOL_BATCHES), _Whole]
_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Word = Annotated[str, Field(min_length=1)]
_Moment = Annotated[str, AfterValidator(_moment)]


class RunPart(Shape):
    """What trained the steps after `from_step`."""

    from_step: _NotNegative


class RunJson(Shape):
    """The facts of a run that rules and pages count with; None where run.json does not say one.

    Losses are in nats per piece, label_entropy is H0 in nats, effective_batch = batch × accumulation × processes."""

    kind: _Word | None = None
    status: _Word | None = None
    converged: _Word | None = None
    step: _NotNegative | None = None
    schedule: Schedule | None = None
    max_steps: _Positive | None = None
    warmup_steps: _NotNegative | None = None
    cooldown_from: _NotNegative | None = None
    peak_lr: _Rate | None = None
    batch_size: _Positive | None = None
    accumulation: _Size | None = None
    processes: _Size | None = None
    effective_batch: _Positive | None = None
    ranks: _Size | None = None
    seed: Any = None
    device: _Word | None = None
    device_asked: _Word | None = None
    machine: Any = None
    precision: _Word | None = None
    precision_asked: _Word | None = None
    tokens: _Total | None = None
    rows: _Total | None = None
    train_rows: _Total | None = None
    parameters: _Total | None = None
    passes: dict[str, Amount] | None = None
    pool_batches: _PoolBatches | None = None
    label_count: _Labels | None = None
    label_counts: Counts | None = None
    label_entropy: Amount | None = None
    initial_weights: _Word | None = None
    initial_val_loss: float | None = None
    patience_evals: _Positive | None = None
    patience_margin_share: Share | None = None
    digests: dict[str, str] = Field(default_factory=dict)
    notes: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    parts: list[RunPart] = Field(default_factory=list)
    resumed_from_steps: list[_NotNegative] = Field(default_factory=list)
    started_at: _Moment | None = None
    ended_at: _Moment | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_says_nothing(cls, facts: Any) -> Any:
        return {name: fact for name, fact in facts.items() if fact is not None} if isinstance(facts, dict) else facts

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        """A higher entropy than labels can have would let every loss pass for better than a guess."""
        if self.label_count and self.label_counts is not None and len(self.label_counts) != self.label_count:
            raise ValueError(f"label_count is {self.label_count} and label_counts has {len(self.label_counts)} labels")
        count = self.label_count or len(self.label_counts or {})
        if count and self.label_entropy is not None and self.label_entropy > math.log(count) + 1e-9:
            raise ValueError(
                f"label_entropy is {self.label_entropy:g}, {count} labels have {math.log(count):g} at most"
            )
        return self

    @model_validator(mode="after")
    def _resumes_agree(self) -> Self:
        """A step after which nothing went on anew would excuse whatever its steps did."""
        began = [part.from_step for part in self.parts[1:]]
        if self.parts and self.resumed_from_steps != began:
            raise ValueError(f"resumed_from_steps is {self.resumed_from_steps} and its parts went on from {began}")
        return self

    def unsaid(self, *names: str) -> list[str]:
        """A finding that names those of these facts that run.json does not say; none when it says them all."""
        lacking = [name for name in names if getattr(self, name) in (None, {}, [])]
        return [f"run.json does not say {', '.join(lacking)}"] if lacking else []


def run_facts(run: JSON, *, where: Path | str = RUN_JSON, remedy: str = _REMEDY) -> RunJson:
    """The facts of a run.json. Raises ArtifactError, naming `where` and the key, for one that no run could have."""
    return demand_shape(run, RunJson, where=where, remedy=remedy)


def read_run_json(path: Path) -> dict[str, JSON]:
    """The content of a run.json as it was written; empty where there is none.

    Raises ArtifactError for what is no JSON, and as `run_facts` does."""
    if not path.exists():
        return {}
    try:
        value: dict[str, JSON] = json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read as JSON ({error}). {_REMEDY}") from None
    run_facts(value, where=path)
    return value
