"""Evidence of the wrong shape is told by file and key: a whole artifact may hold anything that is JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evidence_samples import (
    ACTIVATIONS,
    CARD,
    DIAGNOSIS,
    GOLD,
    GOLDEN_SETS,
    GRADIENTS,
    INDEX,
    MATRIX,
    MEASURED,
    SCORES,
    SEPARATION,
    VERDICT,
)
from tiny_project import rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.dataset.summary import DatasetSummary, read_dataset_json
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import Shape, shape_problem
from mw_pipeline.mix.changes import changes_between
from mw_pipeline.stages import checks, evidence, line
from mw_pipeline.stages.dataset import mix_of
from mw_pipeline.stages.evidence import demand_names, read_evidence
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Store
from mw_pipeline.teaching.index_facts import IndexFacts

AGREEMENT = {"texts": 1, "pieces": 2, "max_logit_difference": 1e-5, "label_agreement_share": 1.0}
FLOW = {"read": 2, "kept": 1, "quarantined": {"ragged": 1}, "filtered": {"no_street": 0}, "deduplicated": 0}
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
SPLIT = {"rows": 1, "pieces": 9, "longest": 9, "digest": "a", "sources": {"ban": [0, 1]}}
DATASET = {
    "labels": ["O"],
    "label_hash": "a",
    "tokenizer_sha256": "a",
    "vocab_size": 600,
    "max_length": 64,
    "splits": {"train": SPLIT, "validation": SPLIT, "test": SPLIT},
    "rows": 3,
    "dropped": {"ban": {"too_long": 0}},
    "survival": {"street": {"gold": 3, "survived": 3}},
    "label_counts": {"O": 27},
    "label_entropy": 0.5,
}
MIXED = {
    "name": "ban",
    "rows": 1,
    "weight": 1.0,
    "declared_share": 1.0,
    "requested_share": 1.0,
    "realised_share": 1.0,
    "window_shares": [1.0],
    "repetitions": 4.0,
    "shards": 1,
    "legacy_share": 1.0,
    "place": {
        "places": 1,
        "commonest": "Paris",
        "commonest_rows": 1,
        "repetitions": 4.0,
        "drawn": 4,
        "capped": False,
    },
}
MIX = {"sources": [MIXED], "samples": 4, "concentrated": False, "findings": ["a"], "warnings": ["b"]}
AUDITED = {
    "name": "ban",
    "digest": "a",
    "rows": 1,
    "weight": 1.0,
    "requested_share": 1.0,
    "repetitions": 4.0,
    "licences": {"MIT": 1},
}
CHANGES = {
    "added": ["a"],
    "removed": ["b"],
    "changed": {"ban": {"rows": [1, 2], "licences": [["MIT"], []]}},
    "unchanged": ["c"],
}
AUDIT = {"sources": [AUDITED], "since": {"digest": "a"}, "changes": CHANGES, "findings": ["a"], "warnings": ["b"]}
COUNTED = {key: {"x": 1} for key in ("split", "licence", "country", "script", "locale", "tag")}
SAMPLES: list[tuple[type[Shape], dict[str, Any]]] = [
    (evidence.Parity, {"fp32_against_checkpoint": AGREEMENT, "int8_against_checkpoint": AGREEMENT}),
    (evidence.Scores, SCORES),
    (evidence.GoldenSets, GOLDEN_SETS),
    (evidence.Card, CARD),
    (evidence.Gold, {**GOLD, "regions": {"US": {**GOLD["regions"]["US"], "rows": {}}}}),
    (evidence.Matrix, MATRIX),
    (
        evidence.Census,
        {
            "corpus": "c",
            "version": "1",
            "splits": {"train": 1},
            "excluded": {"gold": 1},
            "sources": {"ban": {"digest": "a", "counts": {"rows": 1, **COUNTED}}},
            "licences": {"ban": {"licences": {"MIT": 1}, "attribution": "who"}},
            "flow": {"ban": {"excluded": {"gold": 1}, "repeats": {"nad": 1}}},
        },
    ),
    (evidence.Axes, {"measured_on": "a", "locales": {"en-us": COMPARED}}),
    (evidence.Axes, {"measured_on": "a", "locales": {"en-us": {"sentence": "no row"}}}),
    (evidence.Diagnosis, DIAGNOSIS),
    (evidence.Verdict, VERDICT),
    (evidence.LossRanking, {"seeds": 3, "ranking": [{}], "failed": {"crf": "seed 0: no sound run"}}),
    (evidence.ShardCounts, {"rows": 1, **COUNTED, "source": {"x": 1}, "method": {"x": 1}}),
    (evidence.ProbeKind, {"probe": "gradients"}),
    (evidence.GradientProbe, GRADIENTS),
    (evidence.ActivationProbe, ACTIVATIONS),
    (evidence.SeparationProbe, SEPARATION),
    (IndexFacts, INDEX),
    (
        evidence.ClosedWords,
        {
            "findings": ["a"],
            "words": [
                {
                    "kind": "street type",
                    "word": "Ave",
                    "tags": ["street"],
                    "where": "end",
                    "rows_by_tag": {"street": 60},
                    "subsets": 4,
                }
            ],
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
    (DatasetSummary, DATASET),
    (evidence.SourceMix, MIX),
    (evidence.Audit, AUDIT),
]
FREE_TABLES = {
    "hashes", "sets", "not_asked", "expected", "read", "split", "licence", "licences", "splits", "sources", "flow",
    "excluded", "repeats", "quarantined", "filtered", "methods", "locales", "metrics", "rows_by_tag",
    "country", "script", "locale", "tag", "dropped", "ban", "survival", "label_counts", "changed",
    "per_tag", "scores", "regions", "labels", "failed", "source", "method", "checkpoints",
}  # fmt: skip
OTHER = {dict: [], list: {}, str: 7, int: "7", float: "0.5", bool: "no"}


def damaged(value: Any, *, above: str = "") -> Iterator[Any]:
    """The value with one thing wrong: a node of another kind, or without one of its keys."""
    yield OTHER[type(value)]
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for other in damaged(value[key], above=str(key)):
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        if isinstance(value, dict) and not (
            above in FREE_TABLES and {*map(type, value.values())} <= {str, int, float, dict, list}
        ):
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
    value = {**VERDICT, "more": [1]}

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


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("shape", "sample", "changed", "key"),
    [
        (evidence.Parity, {"int8_against_checkpoint": AGREEMENT}, {"fp32_against_checkpoint": found}, key)
        for key, wrong in {
            "pieces": (NAN, -1, 2.5, True),
            "max_logit_difference": (NAN, INF, -1e-9),
            "label_agreement_share": (NAN, 1.01, -0.1),
        }.items()
        for value in wrong
        for found in ({**AGREEMENT, key: value},)
    ]
    + [
        (evidence.Scores, SCORES, {"core_macro_f1": 1.5}, "core_macro_f1"),
        (evidence.Scores, SCORES, {"rows": -1}, "rows"),
        (
            evidence.Scores,
            SCORES,
            {"intervals": {**SCORES["intervals"], "exact_match": [0.9, 0.7]}},
            "intervals.exact_match",
        ),
        (evidence.Run, {}, {"schedule": "step"}, "schedule"),
        (evidence.Run, {}, {"warmup_steps": -1}, "warmup_steps"),
        (evidence.Run, {}, {"max_steps": 10**13}, "max_steps"),
        (DatasetSummary, DATASET, {"label_entropy": -0.1}, "label_entropy"),
        (DatasetSummary, DATASET, {"survival": {"street": {"gold": 0, "survived": 0}}}, "survival.street.gold"),
        (DatasetSummary, DATASET, {"survival": {"street": {"gold": 1, "survived": 2}}}, "survival.street"),
        (DatasetSummary, DATASET, {"rows": 10**400}, "rows"),
        (evidence.Gold, GOLD, {"sets": {"real": {"skipped": ""}}}, "sets.real.skipped"),
        (evidence.Matrix, MATRIX, {"matrix": [{**MATRIX["matrix"][0], "rows": 1, "right": 2}]}, "matrix.0"),
        (evidence.SourceMix, MIX, {"sources": [{**MIXED, "requested_share": 0.5}]}, "sources"),
        (evidence.SourceMix, MIX, {"sources": [{**MIXED, "realised_share": 1.5}]}, "sources.0.realised_share"),
        (evidence.Audit, AUDIT, {"since": {"digest": None}}, "changes"),
        (evidence.Audit, AUDIT, {"changes": {**CHANGES, "changed": {"ban": {"rows": [-1, 2]}}}}, "changes.changed.ban"),
    ],
)
def test_a_number_out_of_its_bounds_is_a_problem_by_its_key(
    shape: type[Shape], sample: dict[str, Any], changed: dict[str, Any], key: str
) -> None:
    whole = {**sample, "fp32_against_checkpoint": AGREEMENT} if shape is evidence.Parity else sample
    assert shape_problem(whole, shape) is None

    problem = shape_problem({**whole, **changed}, shape)
    assert problem is not None and key in problem.partition(" is ")[0]


def test_a_dataset_json_of_another_shape_is_told_by_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(DATASET))
    assert read_dataset_json(tmp_path) == DATASET

    path.write_text(json.dumps({**DATASET, "label_counts": [27]}))
    with pytest.raises(ArtifactError, match=r"dataset\.json: label_counts is \[27\].* Build the dataset again"):
        read_dataset_json(tmp_path)


def test_a_mix_of_other_sources_than_the_corpus_is_refused_by_name(tmp_path: Path) -> None:
    made = Store(tmp_path).build("k", make=lambda out: {"n": (out / "mix.json").write_text(json.dumps(MIX))}).artifact
    assert mix_of(made, sources=["ban"]) == MIX

    with pytest.raises(ArtifactError, match=r"mix\.json: sources are ban, the corpus has ban, nad\."):
        mix_of(made, sources=["nad", "ban"])


def test_whatever_fits_the_shape_of_an_audit_can_be_compared_with_another() -> None:
    assert changes_between(AUDIT, {"sources": [{**AUDITED, "rows": 2}]})["changed"] == {"ban": {"rows": [1, 2]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "file", "check", "partition"),
    [
        ("eval_report", "scores.json", checks.eval_is_comparable, "demo"),
        ("packaged_weights", "parity.json", checks.package_matches_checkpoint, "demo"),
        ("packaged_weights", "en-us/model-card.json", checks.release_beats_its_gates, "demo"),
        ("capability_matrix", "en-us.json", checks.no_cell_is_blind, "demo"),
        ("tokenized_dataset", "dataset.json", checks.labels_survive_tokenizing, "demo"),
        ("tokenized_dataset", "dataset.json", checks.dataset_matches_schema, "demo"),
        ("tokenized_dataset", "dataset.json", checks.every_tag_is_taught, "demo"),
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
