"""Traces as values, what it takes to compare two of them, and where they part. Needs no tensors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError

TOKEN_SETS = ("all", "first", "rest")
"""Pieces that are no padding, the first of each row, and the rest: first pieces often stand far apart."""

AGREES_TO, DIVERGED_FROM = 2.0, 10.0


@dataclass(frozen=True)
class Stats:
    """Numbers of one stage over one token set; `std` is over n − 1, and None where no value is finite."""

    n: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    nan: int
    inf: int
    zero: int

    @property
    def broken(self) -> int:
        """Values that are NaN or infinite."""
        return self.nan + self.inf


@dataclass(frozen=True)
class TokenSet:
    """How many pieces a set holds, and the hash of their ids row by row."""

    count: int
    digest: str


@dataclass(frozen=True)
class StageTrace:
    """One stage: which others it is made of, how wide it is, its numbers by token set; `layer` is None outside."""

    name: str
    layer: int | None
    inputs: tuple[str, ...]
    width: int
    stats: Mapping[str, Stats]


@dataclass(frozen=True)
class Trace:
    """All stages in the order in which they run; `name` and `precision` say of what."""

    name: str
    precision: str
    tokens: Mapping[str, TokenSet]
    stages: tuple[StageTrace, ...]

    def as_json(self) -> dict[str, JSON]:
        """The trace as `trace_from` reads it."""
        return asdict(self)


def trace_from(path: Path) -> Trace:
    """The trace in a file that `probe activations` wrote. Raises ArtifactError when it holds none."""
    try:
        found = json_value(path.read_text(encoding="utf-8"))
        value = found["trace"]
        stages = tuple(
            StageTrace(
                name=stage["name"],
                layer=stage["layer"],
                inputs=tuple(stage["inputs"]),
                width=stage["width"],
                stats={tokens: Stats(**stats) for tokens, stats in stage["stats"].items()},
            )
            for stage in value["stages"]
        )
        tokens = {name: TokenSet(**entry) for name, entry in value["tokens"].items()}
        return Trace(value["name"], value["precision"], tokens, stages)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: is no activation trace ({type(error).__name__}: {error}). Name a checkpoint folder, or a file "
            "that `mw-pipeline probe activations` printed."
        ) from None


def compare(trace: Trace, reference: Trace, *, tokens: str = "all", reference_tokens: str | None = None) -> JSON:
    """Stage by stage the ratio of standard deviations, and the first stage that is out of band while its inputs are in.

    `origin` names it, `cascade` the other stages out of band: what comes after a broken stage is broken by it. Raises
    ArtifactError unless both traces are of the same ids and set: statistics of 7 pieces and of 1 differ in any network
    (M59)."""
    mine, theirs = trace.tokens[tokens], reference.tokens[reference_tokens or tokens]
    _demand_same_tokens(trace, mine, reference, theirs)
    stages, state = [], dict[str, str]()
    for stage, other in zip(trace.stages, reference.stages, strict=True):
        stats, expected = stage.stats[tokens], other.stats[reference_tokens or tokens]
        ratio = std_ratio(stats, expected)
        state[stage.name] = "diverged" if stats.broken > expected.broken else status_of(ratio)
        out_of_band = state[stage.name] != "agrees"
        is_origin = out_of_band and all(state[source] == "agrees" for source in stage.inputs)
        stages.append(
            {
                "stage": stage.name,
                "std": stats.std,
                "reference_std": expected.std,
                "ratio": ratio if math.isfinite(ratio) else None,
                "nan": stats.nan,
                "inf": stats.inf,
                "status": state[stage.name],
                "inputs_in_band": is_origin,
            }
        )
    origin = next((row["stage"] for row in stages if row["inputs_in_band"]), None)
    cascade = [name for name, status in state.items() if status != "agrees" and name != origin]
    counts = {status: list(state.values()).count(status) for status in ("agrees", "suspect", "diverged")}
    named = {"name": reference.name, "precision": reference.precision}
    return {"reference": named, "tokens": tokens, "origin": origin, "cascade": cascade, **counts, "stages": stages}


def _demand_same_tokens(trace: Trace, mine: TokenSet, reference: Trace, theirs: TokenSet) -> None:
    if [stage.name for stage in trace.stages] != [stage.name for stage in reference.stages]:
        raise ArtifactError(
            f"not comparable: {len(trace.stages)} stages vs {len(reference.stages)}. Compare networks of one shape."
        )
    for stage, other in zip(trace.stages, reference.stages, strict=True):
        if (mine.count, stage.width) != (theirs.count, other.width):
            raise ArtifactError(
                f"not comparable: {mine.count}×{stage.width} vs {theirs.count}×{other.width} at {stage.name} (pieces "
                "× width). Trace both on the same rows and the same token set."
            )
    if mine.digest != theirs.digest:
        raise ArtifactError(
            f"not comparable: both have {mine.count} pieces, but of other ids ({mine.digest[:12]} vs "
            f"{theirs.digest[:12]}). Trace both on the same rows, in the same tokenizer."
        )


def std_ratio(stats: Stats, reference: Stats) -> float:
    """The larger standard deviation over the smaller; 1 where both are nothing, ∞ where one is, or is not known."""
    first, second = stats.std, reference.std
    if first is None or second is None:
        return 1.0 if first == second else math.inf
    low, high = sorted((first, second))
    if low == 0.0:
        return 1.0 if high == 0.0 else math.inf
    return high / low


def status_of(ratio: float) -> str:
    """ "agrees" up to 2, "diverged" from 10 on, "suspect" between."""
    if ratio <= AGREES_TO:
        return "agrees"
    return "suspect" if ratio < DIVERGED_FROM else "diverged"


def outliers_of(trace: Trace, *, tokens: str = "all") -> list[dict[str, JSON]]:
    """Stages that stand apart from their like in the same network: NaN or ∞ in them, or a standard deviation ten times
    off the median of the same stage in the other layers. Without a reference no one can say that it is a fault."""
    found = []
    for stage in trace.stages:
        stats = stage.stats[tokens]
        if stats.broken:
            found.append({"stage": stage.name, "reason": f"{stats.nan} NaN and {stats.inf} infinite of {stats.n}"})
            continue
        expected = _median_of_others(trace.stages, stage, tokens)
        if stats.std is None or not expected:
            continue
        factor = stats.std / expected
        if factor >= DIVERGED_FROM or factor <= 1 / DIVERGED_FROM:
            reason = f"std {stats.std:.3g} where the other layers have {expected:.3g}"
            found.append({"stage": stage.name, "reason": reason})
    return found


def _median_of_others(stages: Sequence[StageTrace], stage: StageTrace, tokens: str) -> float | None:
    """The median standard deviation of the same stage in the other layers."""
    kind = stage.name.rpartition(".")[2]
    others = [
        found
        for other in stages
        if other.layer not in (None, stage.layer)
        and stage.layer is not None
        and other.name.rpartition(".")[2] == kind
        and (found := other.stats[tokens].std) is not None
    ]
    return statistics.median(others) if others else None
