"""Every kind of path that `inspect` knows, sound, and then broken in the ways that cost others a release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from mw_pipeline.checksums import write_sums
from mw_pipeline.digest import digest_of
from mw_pipeline.errors import ArtifactError
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.store import Store


@pytest.fixture
def package(tiny_release, tmp_path) -> Path:
    return shutil.copytree(tiny_release / "packages" / "en-us", tmp_path / "en-us")


@pytest.fixture
def checkpoint(tiny_release, tmp_path) -> Path:
    return shutil.copytree(tiny_release / "best", tmp_path / "best")


def edit_card(package: Path, **changes: object) -> None:
    path = package / "model-card.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    write_sums(package)


def test_a_sound_package_has_no_findings_and_says_what_it_is(package):
    found = inspect_path(package)

    assert (found.kind, found.sound, found.findings) == ("package", True, ())
    assert found.facts["locale"] == "en-us"


def test_a_release_is_as_sound_as_all_its_packages(tiny_release, tmp_path):
    release = shutil.copytree(tiny_release / "packages", tmp_path / "r")
    assert inspect_path(release).sound
    (release / "fr-fr" / "README.md").write_text("changed")

    assert inspect_path(release).findings[0].startswith("fr-fr: README.md: has the sha256")


@pytest.mark.parametrize("name", ["model.onnx", "README.md", "lineage.json", "tokenizer.model", "package.json"])
def test_a_flipped_byte_of_any_file_is_found(package, name):
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package / name).write_bytes(data)

    assert any(finding.startswith(f"{name}: has the sha256") for finding in inspect_path(package).findings)


def test_a_missing_and_a_smuggled_file_are_found(package):
    (package / "README.md").unlink()
    (package / "extra.bin").write_bytes(b"x")

    assert inspect_path(package).findings == (
        "README.md: is listed in SHA256SUMS and not there",
        "extra.bin: is not listed in SHA256SUMS",
        "extra.bin: is no file of a package, and npm would not pack it",
    )


def test_a_card_that_names_a_file_that_is_not_there_is_found(package):
    edit_card(package, files={"model.int8.onnx": {"bytes": 1, "sha256": "0" * 64}})

    assert "model-card.json: files.model.int8.onnx is not the file in this folder" in inspect_path(package).findings


def test_a_card_measured_on_other_bytes_is_found(package):
    edit_card(package, metrics={"measured_on": {"model.onnx": "0" * 64}})

    assert any("metrics.measured_on is '0000" in finding for finding in inspect_path(package).findings)


def test_a_card_with_a_stale_vocabulary_size_is_found(package):
    model = json.loads((package / "model-card.json").read_text(encoding="utf-8"))["model"]
    edit_card(package, model={**model, "vocab_size": 48000})

    assert any("model.vocab_size is 48000, this package has 360" in f for f in inspect_path(package).findings)


def test_a_package_that_does_not_name_a_source_of_its_rows_is_found(package):
    wanted = "ATTRIBUTION.md: does not name what the licences of model-card.json ask to be named"
    text = (package / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert inspect_path(package).findings == ()

    (package / "ATTRIBUTION.md").write_text(text.replace("Base Adresse Nationale", "someone"), encoding="utf-8")
    write_sums(package)
    assert wanted in inspect_path(package).findings

    (package / "ATTRIBUTION.md").unlink()
    write_sums(package)
    assert wanted in inspect_path(package).findings


def test_a_card_without_its_fields_is_a_finding_and_no_error(package):
    (package / "model-card.json").write_text("{}")
    write_sums(package)

    assert any("KeyError('files')" in finding for finding in inspect_path(package).findings)


def test_a_number_on_the_card_that_no_float_holds_is_a_finding_and_no_error(package):
    card = json.loads((package / "model-card.json").read_text(encoding="utf-8"))
    model = {**card["model"], "vocab_size": 10**400}
    edit_card(package, model=model)

    assert any("model.vocab_size is 1000" in finding for finding in inspect_path(package).findings)


def test_a_model_that_answers_nan_is_found(package):
    model = onnx.load(package / "model.onnx")
    bias = next(t for t in model.graph.initializer if t.name.endswith("head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(21, np.nan, dtype=np.float32), bias.name))
    onnx.save(model, package / "model.onnx")
    write_sums(package)

    assert "model.onnx: answers with NaN or infinite logits" in inspect_path(package).findings


def test_a_package_whose_transitions_were_made_for_other_labels_is_found(package):
    path = package / "crf-transitions.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "label_hash": "0" * 64}))
    write_sums(package)

    assert "label_hash '0000" in inspect_path(package).findings[0]


def test_a_sound_checkpoint_has_no_findings(checkpoint):
    found = inspect_path(checkpoint)

    assert (found.kind, found.findings, found.facts["step"]) == ("checkpoint", (), 7)


def test_a_fragment_of_a_checkpoint_is_found(checkpoint):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1024])

    assert inspect_path(checkpoint).findings[0].startswith("model.safetensors: 1,024 bytes that are not the")


def test_a_checkpoint_without_its_weights_is_found(checkpoint):
    (checkpoint / "model.safetensors").unlink()

    assert inspect_path(checkpoint).findings == ("model.safetensors: is listed and not there",)


def test_an_edited_checkpoint_json_is_found(checkpoint):
    path = checkpoint / "checkpoint.json"
    path.write_text(path.read_text().replace('"step": 7', '"step": 70000'))

    assert "checkpoint.json: was edited" in inspect_path(checkpoint).findings[0]


def test_a_checkpoint_whose_hash_was_made_to_fit_other_labels_is_found(checkpoint):
    path = checkpoint / "checkpoint.json"
    content = json.loads(path.read_text())
    content = {**content, "label_hash": "0" * 64}
    del content["sha256"]
    path.write_text(json.dumps({**content, "sha256": digest_of(content)}))

    assert inspect_path(checkpoint).findings == ("checkpoint.json: label_hash is not that of its labels",)


def test_a_checkpoint_json_that_is_none_is_a_finding(checkpoint):
    (checkpoint / "checkpoint.json").write_text("[]")

    assert "checkpoint.json: not one of this version" in inspect_path(checkpoint).findings[0]


def test_bare_weights_are_judged_by_their_structure(checkpoint):
    weights = checkpoint / "model.safetensors"
    assert inspect_path(weights).sound
    weights.write_bytes(weights.read_bytes()[:-1])

    assert not inspect_path(weights).sound


def test_an_artifact_is_verified_together_with_what_lies_in_it(tmp_path, checkpoint):
    def make(out: Path) -> dict:
        shutil.copytree(checkpoint, out / "best")
        return {}

    artifact = Store(tmp_path / "store").build("full_checkpoint", make=make).artifact
    assert inspect_path(artifact.path).as_json()["kind"] == "full_checkpoint"
    assert inspect_path(artifact.path).sound
    (artifact.path / "best" / "model.safetensors").write_bytes(b"short")

    findings = inspect_path(artifact.path).findings

    assert "has 5 bytes, the manifest says" in findings[0]
    assert findings[1].startswith("best: model.safetensors: 5 bytes that are not")


def test_an_artifact_whose_name_is_not_its_digest_is_found(tmp_path):
    artifact = Store(tmp_path / "store").build("thing", make=lambda out: {}).artifact
    path = artifact.path / "manifest.json"
    path.write_text(path.read_text().replace('"config": null', '"config": 1'))

    assert "it was edited" in inspect_path(artifact.path).findings[0]


def test_a_path_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(
        ArtifactError, match=r"is no artifact, checkpoint, package, release folder or .safetensors file"
    ):
        inspect_path(tmp_path)
