"""The files of a package as the parser reads them: what does not fit is refused, and what is older still answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_package import TEXTS

from mw_pipeline.checksums import SUMS_NAME, sums_findings, write_sums
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import STAGE2, STAGE3
from mw_pipeline.parse import Parser, onnx_logits
from mw_pipeline.parser_files import FACTS_NAME, ONNX_NAME, TRANSITIONS_NAME, ParserFiles, package_at


@pytest.fixture(scope="module")
def package(tiny_release) -> Path:
    return tiny_release / "packages" / "en-us"


@pytest.fixture
def copy(package, tmp_path) -> Path:
    """A package that a test may damage."""
    return shutil.copytree(package, tmp_path / "copy")


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    write_sums(path.parent)


def test_a_byte_that_differs_from_the_seal_is_refused(copy):
    data = bytearray((copy / ONNX_NAME).read_bytes())
    data[100] ^= 1
    (copy / ONNX_NAME).write_bytes(data)

    with pytest.raises(ArtifactError, match=r"model.onnx: has the sha256 .*, SHA256SUMS says"):
        Parser.load(copy)


def test_a_readme_that_was_edited_does_not_stop_the_parser_and_is_found(copy):
    (copy / "README.md").write_text("mine")

    assert Parser.load(copy).parse("12 rue").raw == "12 rue"
    assert len(sums_findings(copy)) == 1


def test_labels_of_another_set_are_refused(copy):
    change_json(copy / FACTS_NAME, labels=list(STAGE3.labels))

    with pytest.raises(ArtifactError, match=r"label_hash .* is not that of the package's labels"):
        Parser.load(copy)


def test_transitions_of_another_label_set_are_refused(copy):
    change_json(copy / TRANSITIONS_NAME, label_hash=STAGE3.hash)

    with pytest.raises(ArtifactError, match=r"crf-transitions.json: label_hash"):
        Parser.load(copy)


def test_transitions_of_another_shape_are_refused(copy):
    for wrong, said in (
        ({"transitions": [[0.0]], "start_transitions": [0.0]}, r"transitions \(1, 1\), start \(1,\), end \(21,\)"),
        ({"transitions": [0.0] * 21, "start_transitions": [0.0] * 21}, r"transitions \(21,\), start \(21,\)"),
        ({"end_transitions": [0.0]}, r"end \(1,\), expected 21 labels"),
    ):
        change_json(copy / TRANSITIONS_NAME, **wrong)

        with pytest.raises(ArtifactError, match=said):
            Parser.load(copy)


def test_an_older_package_with_null_for_what_is_forbidden_answers_as_today(package, copy):
    crf = json.loads((copy / TRANSITIONS_NAME).read_text())
    del crf["end_transitions"]
    crf["start"] = crf.pop("start_transitions")
    older = json.dumps(crf).replace("-1000000000.0", "null")
    assert "null" in older and "1000000" not in older
    (copy / TRANSITIONS_NAME).write_text(older)
    write_sums(copy)

    assert np.isneginf(ParserFiles.read(copy).starts).any()
    assert Parser.load(copy).parse_many(TEXTS) == Parser.load(package).parse_many(TEXTS)


def test_scores_of_ends_are_added_on_the_last_piece(package, copy):
    parser = Parser.load(package)
    ends = [-50.0 * (not label.endswith("venue")) for label in STAGE2.labels]
    change_json(copy / TRANSITIONS_NAME, end_transitions=ends)
    ending = Parser.load(copy)
    whole = [parsed.raw for parsed in parser.parse_many(TEXTS[:80]) if not parsed.truncated]
    assert len(whole) > 20

    for parsed in ending.parse_many(whole):
        assert parsed.spans[-1].tag == "venue"
        assert parsed.spans[-1].end == len(parsed.raw)
        readings = [candidate.parsed.spans for candidate in ending.candidates(parsed.raw, 4)]
        assert parsed.spans in readings
        assert all((spans[-1].tag, spans[-1].end) == ("venue", len(parsed.raw)) for spans in readings)
    assert any(parsed.spans[-1].tag != "venue" for parsed in parser.parse_many(whole))


def test_a_package_without_a_field_is_refused(copy):
    facts = json.loads((copy / FACTS_NAME).read_text())
    del facts["max_length"]
    (copy / FACTS_NAME).write_text(json.dumps(facts))
    write_sums(copy)

    with pytest.raises(ArtifactError, match=r"not a package of this version .*max_length"):
        Parser.load(copy)


def test_facts_that_are_no_json_are_refused(copy):
    (copy / FACTS_NAME).write_text("{")
    write_sums(copy)

    with pytest.raises(ArtifactError, match="cannot be read as JSON"):
        Parser.load(copy)


def test_a_package_without_its_sums_is_refused(copy):
    (copy / SUMS_NAME).unlink()

    with pytest.raises(ArtifactError, match="nothing vouches for the files"):
        Parser.load(copy)


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 64}  ../outside", f"{'0' * 64}  /etc/hosts"])
def test_sums_that_are_malformed_or_lead_outside_are_refused(copy, line):
    (copy / SUMS_NAME).write_text(line + "\n")

    with pytest.raises(ArtifactError, match=r"SHA256SUMS:1: .* is not `<sha256>"):
        Parser.load(copy)


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no package.json, so it is not a package. Name a folder"):
        Parser.load(tmp_path)
    with pytest.raises(ArtifactError, match=r"en-sus: there is no such folder\. Check the path"):
        Parser.load(tmp_path / "en-sus")


def test_a_model_that_is_no_model_is_refused(tmp_path):
    (tmp_path / ONNX_NAME).write_bytes(b"\x00 no model")

    with pytest.raises(ArtifactError, match="onnxruntime cannot load it"):
        onnx_logits(tmp_path / ONNX_NAME, label_count=21)


def test_a_model_of_another_label_count_is_refused(package):
    with pytest.raises(ArtifactError, match=r"expected input_ids and attention_mask to logits \[batch, sequence, 33\]"):
        onnx_logits(package / ONNX_NAME, label_count=33)


def test_a_locale_picks_its_package_from_a_release_folder(tiny_release):
    release = tiny_release / "packages"

    assert ParserFiles.read(package_at(release, "fr-fr")).locale == "fr-fr"
    assert package_at(release / "fr-fr", "fr-fr") == release / "fr-fr"


def test_a_release_folder_without_a_locale_names_the_choices(tiny_release):
    with pytest.raises(ArtifactError, match="It holds packages for en-us, fr-fr: choose one with --locale"):
        Parser.load(package_at(tiny_release / "packages", None))


def test_a_locale_that_a_release_lacks_is_refused_with_the_choices(tiny_release):
    with pytest.raises(ArtifactError, match=r"holds no package for locale 'de-de'. It holds packages for en-us, fr-fr"):
        package_at(tiny_release / "packages", "de-de")


def test_a_package_of_another_locale_is_refused(tiny_release):
    with pytest.raises(ArtifactError, match="is the package for 'en-us', not 'fr-fr'"):
        package_at(tiny_release / "packages" / "en-us", "fr-fr")
