"""A file of another shape behind a view ends in a sentence with file and key, and never in a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
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
    SCORES,
    SEPARATION,
    VERDICT,
)

from mw_pipeline.artifact import Artifact, FileEntry, Manifest
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import views
from mw_pipeline.stages.evidence import read_probe
from mw_pipeline.teaching.index import TeachingIndex

View = Callable[[Artifact], object]
FAILED = {"probe": "gradients", "failed": "OutOfMemoryError: no memory"}
SHOWN: dict[str, tuple[View, str, Any]] = {
    "the picture of tags": (views.tags_picture, "scores.json", SCORES),
    "the scores of gold sets": (views.golden_set_facts, "golden_sets.json", GOLDEN_SETS),
    "the own scores among gold sets": (views.golden_set_facts, "scores.json", SCORES),
    "buckets": (views.bucket_facts, "diagnosis.json", DIAGNOSIS),
    "ceilings": (views.ceiling_facts, "golden.json", GOLD),
    "regions": (views.region_facts, "golden.json", GOLD),
    "a verdict": (views.verdict_facts, "verdict.json", VERDICT),
    "a matrix": (views.capability_facts, "en-us.json", MATRIX),
    "packages": (views.package_facts, "en-us/model-card.json", CARD),
    "an index of teaching rows": (views.teaching_facts, "index.json", INDEX),
    "a probe of gradients": (views.probe_of, "probe.json", GRADIENTS),
    "a probe of activations": (views.probe_of, "probe.json", ACTIVATIONS),
    "a probe of labels": (views.probe_of, "probe.json", SEPARATION),
    "a probe that failed": (views.probe_of, "probe.json", FAILED),
}
BESIDE: dict[str, Any] = {"scores.json": SCORES, "golden_sets.json": GOLDEN_SETS, "en-us.html": ""}
OTHERS = (None, [], {}, -1, "x")


def artifact_of(folder: Path, files: dict[str, Any]) -> Artifact:
    """An artifact whose manifest fits its files."""
    entries = []
    for name, value in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(json.dumps(value))
        entries.append(FileEntry(name, (folder / name).stat().st_size, sha256_file(folder / name)))
    return Artifact(folder, Manifest("k", "d", tuple(entries), (), {}, "", "", "", {}, {}, ""))


def damaged(value: Any) -> Iterator[Any]:
    """The value with one node of it left out, or something of another kind in its place."""
    yield from (other for other in OTHERS if type(other) is not type(value) or other == -1)
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for other in damaged(value[key]):
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        if isinstance(value, dict):
            yield {name: below for name, below in value.items() if name != key}


@pytest.mark.slow  # some of what is damaged is drawn
@pytest.mark.parametrize("name", SHOWN)
def test_a_view_shows_its_file_whole_and_refuses_it_damaged_by_its_name(name: str, tmp_path: Path) -> None:
    view, file, sample = SHOWN[name]
    artifact = artifact_of(tmp_path / "whole", {**BESIDE, file: sample})
    assert view(artifact)

    refused = 0
    for number, value in enumerate(damaged(sample)):
        broken = artifact_of(tmp_path / str(number), {**BESIDE, file: value})
        try:
            view(broken)
        except ArtifactError as error:
            assert f"{broken.path / file}: " in str(error)
            assert "Delete the artifact's folder and materialize it again." in str(error)
            refused += 1
    assert refused > 4


@pytest.mark.parametrize(
    ("sample", "key", "value", "said"),
    [
        (GRADIENTS, "terms", {**GRADIENTS["terms"], "band": "odd"}, "terms.band is 'odd'"),
        (ACTIVATIONS, "trace", {"stages": []}, "comparison.stages are not those of trace.stages"),
        (ACTIVATIONS, "tokens", "some", "tokens is 'some'"),
        (SEPARATION, "thresholds", {"labels": {}}, "thresholds.labels.street is missing, which labels name"),
        (FAILED, "failed", "", "failed is ''"),
    ],
)
def test_a_probe_that_no_probe_could_have_found_is_told_by_its_key(
    tmp_path: Path, sample: dict[str, Any], key: str, value: Any, said: str
) -> None:
    broken = artifact_of(tmp_path, {"probe.json": {**sample, key: value}})

    with pytest.raises(ArtifactError, match=rf"probe\.json: {said}.* Delete the artifact's folder"):
        read_probe(broken, "probe.json")


@pytest.mark.parametrize("damage", [{"sources": []}, {"window": [1.0]}, {"checkpoints": None}])
def test_an_index_of_teaching_rows_is_read_by_shape_wherever_it_is_read(tmp_path: Path, damage: dict[str, Any]) -> None:
    (tmp_path / "index.json").write_text(json.dumps({**INDEX, **damage}))

    with pytest.raises(ArtifactError, match=rf"index\.json: {next(iter(damage))} "):
        TeachingIndex.read(tmp_path)
