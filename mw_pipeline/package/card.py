"""The model card of a package: generated from measured values, never typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.parser_files import ONNX_NAME

_DIAGNOSED = ("policy", "rows", "totals", "meanings", "buckets", "failure_modes")


@dataclass(frozen=True)
class Licence:
    """What one source of the training rows asks of those who pass the weights on, for its rows under one licence."""

    source: str
    licence: str
    attribution: str
    rows: int


@dataclass(frozen=True)
class Evidence:
    """What was measured on the way to a package, each value as its stage wrote it.

    run        facts of the training run (`run.json`)
    corpus     name, version, counts of the corpus
    diagnosis  misses sorted into buckets (see `diagnose`): the known failure modes
    lineage    see `lineage.lineage_of`
    licences   of all sources that the recipe trains on, one for each licence of a source
    """

    run: Mapping[str, JSON]
    corpus: Mapping[str, JSON]
    diagnosis: Mapping[str, JSON]
    lineage: Mapping[str, JSON]
    licences: Sequence[Licence]


def model_card(
    *,
    facts: Mapping[str, JSON],
    model: Mapping[str, JSON],
    files: Mapping[str, JSON],
    scores: Mapping[str, JSON],
    evidence: Evidence,
    capability: Mapping[str, JSON] | None,
    toolchain: Mapping[str, str],
) -> dict[str, JSON]:
    """The card: `facts` are those of package.json, `model` describes the network, `scores` were measured on `files`."""
    labels = facts["labels"]
    return {
        "name": facts["name"],
        "version": facts["version"],
        "locale": facts["locale"],
        "created_by": facts["created_by"],
        "task": "address parsing: one BIO label per piece, decoded to spans",
        "tags": [label[2:] for label in labels if label.startswith("B-")],
        "labels": labels,
        "label_hash": facts["label_hash"],
        "model": dict(model),
        "files": dict(files),
        "metrics": {"measured_on": {ONNX_NAME: files[ONNX_NAME]["sha256"]}, **scores},
        "training": dict(evidence.run),
        "corpus": dict(evidence.corpus),
        "licences": [vars(licence) for licence in evidence.licences],
        "capability": None if capability is None else dict(capability),
        "known_failure_modes": {key: evidence.diagnosis[key] for key in _DIAGNOSED if key in evidence.diagnosis},
        "toolchain": dict(toolchain),
        "lineage": {"roots": evidence.lineage.get("roots", []), "digest": digest_of(evidence.lineage)},
    }
