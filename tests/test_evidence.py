"""Evidence of the wrong shape is told by file and key: a whole artifact may hold anything that is JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_project import rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import checks, evidence, line
from mw_pipeline.stages.evidence import Shape, demand_names, read_evidence, shape_problem
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Store

AGREEMENT = {"texts": 1, "pieces": 2, "max_logit_difference": 1e-5, "label_agreement_share": 1.0}
MEASURED = {
    "rows": 9,
    "core_macro_f1": 0.9,
    "exact_match": 0.8,
    "intervals": {"core_macro_f1": [0.8, 1.0], "exact_match": [0.7, 0.9]},
}
FLOW = {"read": 2, "kept": 1, "quarantined": {"ragged": 1}, "filtered": {"no_street": 0}, "deduplicated": 0}
FINDING = {"rule": "empty", "value": "x", "file": "us.jsonl", "line": 3, "remedy": "Write it."}
AXIS = {"candidate": 0.5, "baseline": 0.4, "difference": 0.1, "interval": [0.0, 0.2], "verdict": "better"}
AXES = dict.fromkeys(("coarse_f1", "fine_f1", "calibration", "training_stability"), AXIS)
COMPARED = {
    "headline": "none improved",
    "gold": "golden",
    "baseline": {"name": "n", "version": "1", "folder": "f", "model_sha256": "a"},
    "tags": ["unit"],
    "only_here": ["unit"],
    "only_there": ["unit"],
    "rows": {"with_adversarial": 3},
    "worsened": ["fine_f1"],
    "with_adversarial": AXES,
    "without_adversarial": AXES,
    "regression": {key: {"total": 1} for key in ("fixed", "broken", "still_wrong")},
    "metrics": {"golden": {**MEASURED, "ece": 0.1}},
}
SAMPLES: list[tuple[type[Shape], dict[str, Any]]] = [
    (evidence.Parity, {"fp32_against_checkpoint": AGREEMENT, "int8_against_checkpoint": AGREEMENT}),
    (evidence.Scores, {**MEASURED, "hashes": {"gold": "a"}, "policy": "strict"}),
    (evidence.Card, {"metrics": {"golden": {**MEASURED, "ceiling": {"core_macro_f1": 1.0}}}}),
    (evidence.Gold, {"findings": [FINDING], "sets": {"real": {}}}),
    (
        evidence.Matrix,
        {
            "locale": "en-us",
            "seed": 0,
            "rows": 1,
            "left_out": 0,
            "measured_on": "a",
            "compared": "b",
            "not_asked": {"cell": "why"},
            "policy": "strict",
            "places_share": 0.1,
            "places_held_out": 0.1,
            "matrix": [
                {
                    "family": "cedex",
                    "values": ["a"],
                    "rows": 2,
                    "right": 1,
                    "miss": {"raw": "x", "expected": {"unit": "a"}, "read": {"unit": "b"}},
                }
            ],
        },
    ),
    (
        evidence.Census,
        {
            "corpus": "c",
            "version": "1",
            "splits": {"train": 1},
            "sources": {"ban": {"counts": {"split": {"train": 1}, "licence": {"MIT": 1}}}},
            "licences": {"ban": {"licences": {"MIT": 1}, "attribution": "who"}},
            "flow": {"ban": {"excluded": {"gold": 1}, "repeats": {"nad": 1}}},
        },
    ),
    (evidence.Axes, {"measured_on": "a", "locales": {"en-us": COMPARED}}),
    (evidence.Axes, {"measured_on": "a", "locales": {"en-us": {"sentence": "no row"}}}),
    (evidence.Diagnosis, {"failure_modes": [{}]}),
    (evidence.Verdict, {"outcome": "pass"}),
    (
        evidence.ClosedWords,
        {
            "words": [
                {
                    "kind": "street type",
                    "word": "Ave",
                    "tags": ["street"],
                    "where": "end",
                    "rows_by_tag": {"street": 60},
                    "subsets": 4,
                }
            ]
        },
    ),
    (
        evidence.Waterfall,
        {
            **FLOW,
            "source": "ban",
            "adapter": "ban",
            "variants": 1,
            "rows": FLOW,
            "methods": {"typos": {"asked": 1, "applied": 1, "quarantined": 0}},
            "holdout_records": 0,
        },
    ),
]
FREE_TABLES = {
    "hashes", "sets", "not_asked", "expected", "read", "split", "licence", "licences", "splits", "sources", "flow",
    "excluded", "repeats", "quarantined", "filtered", "methods", "locales", "metrics", "rows_by_tag",
}  # fmt: skip
OTHER = {dict: [], list: {}, str: 7, int: "7", float: "0.5"}


def damaged(value: Any, *, above: str = "") -> Iterator[Any]:
    """The value with one thing wrong: a node of another kind, or without one of its keys."""
    yield OTHER[type(value)]
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for other in damaged(value[key], above=str(key)):
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        if isinstance(value, dict) and not (above in FREE_TABLES and {*map(type, value.values())} <= {str, int, dict}):
            yield {name: below for name, below in value.items() if name != key}


def artifact_of(folder: Path, text: str) -> Artifact:
    return Store(folder).build("k", make=lambda out: {"n": (out / "facts.json").write_text(text)}).artifact


@pytest.mark.parametrize(("shape", "sample"), SAMPLES, ids=[shape.__name__ for shape, _ in SAMPLES])
def test_every_node_of_another_kind_and_every_missing_key_is_a_problem(
    shape: type[Shape], sample: dict[str, Any]
) -> None:
    assert shape_problem(sample, shape) is None

    wrong = [*damaged(sample)]
    assert len(wrong) > len(sample)
    assert [value for value in wrong if not shape_problem(value, shape)] == []


def test_what_a_file_holds_beside_its_shape_is_read_with_it(tmp_path: Path) -> None:
    value = {"outcome": "pass", "more": [1]}

    assert read_evidence(artifact_of(tmp_path, json.dumps(value)), "facts.json", evidence.Verdict) == value


def test_what_is_missing_is_named_by_its_key(tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path, json.dumps({"fp32_against_checkpoint": AGREEMENT}))

    with pytest.raises(ArtifactError, match=r"facts\.json: int8_against_checkpoint is missing\."):
        read_evidence(artifact, "facts.json", evidence.Parity)
    with pytest.raises(ArtifactError, match=r"facts\.json: sets\.real is missing\."):
        demand_names(artifact, "facts.json", "sets", {}, ["real"])


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\0"])
def test_what_is_no_json_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ArtifactError, match=r"facts\.json: not JSON"):
        read_evidence(artifact_of(tmp_path, text), "facts.json", evidence.Verdict)


def test_a_count_that_is_no_number_is_refused_and_a_score_that_is_none_is_left_to_its_gate(tmp_path: Path) -> None:
    nan = {**AGREEMENT, "max_logit_difference": float("nan")}
    left = artifact_of(
        tmp_path / "left", json.dumps({"fp32_against_checkpoint": nan, "int8_against_checkpoint": AGREEMENT})
    )
    read_evidence(left, "facts.json", evidence.Parity)

    count = artifact_of(tmp_path / "count", json.dumps({"fp32_against_checkpoint": {**nan, "pieces": float("nan")}}))
    with pytest.raises(ArtifactError, match=r"fp32_against_checkpoint\.pieces is nan"):
        read_evidence(count, "facts.json", evidence.Parity)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "file", "check", "partition"),
    [
        ("eval_report", "scores.json", checks.eval_is_comparable, "demo"),
        ("packaged_weights", "parity.json", checks.package_matches_checkpoint, "demo"),
        ("packaged_weights", "en-us/model-card.json", checks.release_beats_its_gates, "demo"),
        ("capability_matrix", "en-us.json", checks.no_cell_is_blind, "demo"),
        ("corpus_manifest", "census.json", checks.licences_are_allowed, "builtin"),
        ("corpus_shards", "waterfall.json", checks.rows_are_conserved, "builtin:builtin"),
    ],
)
@pytest.mark.parametrize("text", ["[]", "{}"])
def test_a_check_of_evidence_of_another_shape_names_the_file(
    place: Place, stage: str, file: str, check: Check, partition: str, text: str
) -> None:
    rewrite(line.STAGES[stage].demand(place, partition), file, lambda path: path.write_text(text))

    with pytest.raises(ArtifactError, match=rf"{file}: .* Delete the artifact's folder and materialize it again"):
        check(place, partition)
