"""JSON files of artifacts that gates, cards and pages stand on, each with the shape that their readers rely on."""

from __future__ import annotations

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import REMEDY, Shape, demand_shape
from mw_pipeline.stages.evidence.data import (
    Audit,
    Census,
    ClosedWords,
    MixedSource,
    ShardCounts,
    SourceMix,
    Waterfall,
)
from mw_pipeline.stages.evidence.probes import (
    PROBES,
    ActivationProbe,
    GradientProbe,
    ProbeKind,
    SeparationProbe,
)
from mw_pipeline.stages.evidence.runs import Axes, LossRanking, Matrix, Parity, Run, Verdict
from mw_pipeline.stages.evidence.scores import Card, Diagnosis, Gold, GoldenSets, Measured, Scores

__all__ = [
    "ActivationProbe",
    "Audit",
    "Axes",
    "Card",
    "Census",
    "ClosedWords",
    "Diagnosis",
    "Gold",
    "GoldenSets",
    "GradientProbe",
    "LossRanking",
    "Matrix",
    "Measured",
    "MixedSource",
    "Parity",
    "ProbeKind",
    "Run",
    "Scores",
    "SeparationProbe",
    "ShardCounts",
    "SourceMix",
    "Verdict",
    "Waterfall",
    "demand_names",
    "read_evidence",
    "read_probe",
]


def read_evidence(artifact: Artifact, name: str, shape: type[Shape]) -> JSON:
    """The value of one of an artifact's JSON files, which has this shape. Raises ArtifactError for any other."""
    value = artifact.read_json(name)
    demand_shape(value, shape, where=artifact.path / name)
    return value


def read_probe(artifact: Artifact, name: str) -> JSON:
    """What a probe found, or with `failed` why it could not look. Raises ArtifactError for any other value."""
    found = read_evidence(artifact, name, ProbeKind)
    return found if "failed" in found else read_evidence(artifact, name, PROBES[found["probe"]])


def demand_names(artifact: Artifact, name: str, key: str, there: JSON, wanted: list[str]) -> None:
    """Returns when a table of one of an artifact's JSON files has all these keys. Raises ArtifactError otherwise."""
    if lacking := [one for one in wanted if one not in there]:
        raise ArtifactError(f"{artifact.path / name}: {key}.{lacking[0]} is missing. {REMEDY}")
