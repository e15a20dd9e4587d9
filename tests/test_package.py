"""What a package folder holds, and that its card can only speak of the bytes beside it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tiny_package import EVIDENCE, SCORES, imprint

from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.package.build import ExportedModel, build_package
from mw_pipeline.package.card import Evidence
from mw_pipeline.package.export import Agreement
from mw_pipeline.package.readme import attribution_list, failure_table, score_table, tag_table
from mw_pipeline.parse import Parser


@pytest.fixture(scope="module")
def model(tiny_release) -> ExportedModel:
    nothing = Agreement(texts=1, pieces=1, max_logit_difference=0.0, label_agreement_share=1.0)
    return ExportedModel(
        checkpoint=load_checkpoint(tiny_release / "best"),
        tokenizer_path=tiny_release / "tokenizer.model",
        int8_path=tiny_release / "model.onnx",
        fp32=nothing,
        int8=nothing,
    )


@pytest.fixture(scope="module")
def package(tiny_release) -> Path:
    return tiny_release / "packages" / "fr-fr"


def card_of(package: Path) -> dict:
    return json.loads((package / "model-card.json").read_text(encoding="utf-8"))


def test_a_package_holds_what_the_design_lists_and_stays_small(package):
    names = {path.name for path in package.iterdir()}

    assert names == {
        "ATTRIBUTION.md", "README.md", "SHA256SUMS", "crf-transitions.json", "lineage.json", "model-card.json",
        "model.onnx", "package.json", "tokenizer.model",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in package.iterdir()) < 10_000_000


def test_sha256sum_agrees_with_the_list_of_the_package(package):
    said = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=package, capture_output=True, text=True)

    assert said.returncode == 0, said.stdout + said.stderr
    assert len(said.stdout.splitlines()) == len(list(package.iterdir())) - 1


def test_equal_inputs_give_equal_bytes(model, tmp_path):
    for name in ("one", "two"):
        build_package(
            tmp_path / name, model=model, imprint=imprint("fr-fr"), measure=lambda path: SCORES, evidence=EVIDENCE
        )

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_the_scores_of_the_card_are_measured_on_the_files_that_ship(model, tmp_path):
    measured = {}

    def measure(path: Path) -> dict:
        measured["sha256"] = sha256_file(path / "model.onnx")
        measured["parse"] = Parser.load(path).parse("12 rue Haute").as_json()
        return SCORES

    card = build_package(tmp_path / "p", model=model, imprint=imprint("en-us"), measure=measure, evidence=EVIDENCE)

    assert card["metrics"] == {"measured_on": {"model.onnx": measured["sha256"]}, **SCORES}
    assert sha256_file(tmp_path / "p" / "model.onnx") == measured["sha256"]
    assert Parser.load(tmp_path / "p").parse("12 rue Haute").as_json() == measured["parse"]


def test_every_file_and_number_of_the_card_is_that_of_the_folder(package, tiny_release):
    card = card_of(package)

    for name, entry in card["files"].items():
        assert entry == {"bytes": (package / name).stat().st_size, "sha256": sha256_file(package / name)}
    parser = Parser.load(package)
    assert card["model"]["vocab_size"] == parser.tokenizer.vocab_size
    assert card["model"]["tokenizer_sha256"] == sha256_file(package / "tokenizer.model")
    assert card["label_hash"] == parser.labels.hash
    assert tuple(card["tags"]) == parser.labels.tags
    assert card["training"] == EVIDENCE.run
    assert "examples" not in card["known_failure_modes"]
    assert card["known_failure_modes"]["failure_modes"] == EVIDENCE.diagnosis["failure_modes"]


def test_the_readme_shows_a_parse_that_the_package_really_gives(package):
    readme = (package / "README.md").read_text(encoding="utf-8")
    shown = json.loads(readme.split("```json\n")[1].split("```")[0])

    assert shown["raw"] == "12 bis rue de la République, 75001 Paris"
    assert shown == Parser.load(package).parse(shown["raw"]).as_json()
    assert "| golden | 4 | 0.5100 | 0.4000 to 0.6000 | 0.9900 | 0.5000 | – |" in readme
    assert "| street | 4 | 1.0000 | 0.2500 | 0.4000 | – |" in readme
    assert "In the gold, but not among this model's tags: unit, po_box." in readme
    trained = "on 12,000 rows of corpus tiny, version 1, for 7 steps of 32 rows (these weights: step 5)."
    assert f"Trained by recipe `tiny` {trained}" in readme
    assert "| street | no prediction | 3 | 75.0% |" in readme
    assert "- `ban`, 12,000 rows, Etalab-2.0. Base Adresse Nationale" in readme


def test_both_locales_ship_the_same_weights_under_their_own_names(tiny_release):
    cards = [card_of(tiny_release / "packages" / locale) for locale in ("en-us", "fr-fr")]

    assert [card["name"] for card in cards] == ["@mailwoman/neural-weights-en-us", "@mailwoman/neural-weights-fr-fr"]
    assert cards[0]["files"]["model.onnx"] == cards[1]["files"]["model.onnx"]


def test_a_folder_in_use_is_not_written_over(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ArtifactError, match="holds files already"):
        build_package(tmp_path, model=model, imprint=imprint("en-us"), measure=lambda p: {}, evidence=EVIDENCE)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_package_names_its_sources_their_licences_and_their_rows(package):
    assert (package / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines() == [
        "# Attribution of @mailwoman/neural-weights-fr-fr",
        "",
        "The training rows came from these sources, which are to be named wherever the weights go.",
        "",
        "- `ban`, 12,000 rows, Etalab-2.0. Base Adresse Nationale",
    ]
    assert card_of(package)["licences"] == [
        {"source": "ban", "licence": "Etalab-2.0", "attribution": "Base Adresse Nationale", "rows": 12_000}
    ]


def test_tags_stand_in_label_order_though_a_file_holds_them_by_alphabet():
    facts = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3, "interval": None}
    golden = {"per_tag": dict.fromkeys(("country", "house_number", "locality", "street"), facts)}
    golden["not_scored"] = {"gold": {"po_box": 1, "unit": 2}}

    *lines, beyond = tag_table({"golden": golden}).splitlines()

    tags = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert tags[2:] == ["country", "locality", "street", "house_number"]
    assert beyond.endswith(": unit, po_box. A row with a value of one is no exact match.")


def test_without_licences_the_attribution_says_so(model, tmp_path):
    bare = Evidence(run={}, corpus={}, diagnosis={}, lineage={"roots": [], "nodes": []}, licences=())

    build_package(tmp_path / "p", model=model, imprint=imprint("xx-xx"), measure=lambda p: {}, evidence=bare)

    assert "no licensed source" in (tmp_path / "p" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    readme = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    for sentence in (score_table({}), tag_table({}), failure_table({}), attribution_list([]), "Trained."):
        assert sentence in readme


def test_a_number_that_is_not_finite_stays_out_of_the_card(model, tmp_path):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        build_package(
            tmp_path / "p",
            model=model,
            imprint=imprint("en-us"),
            measure=lambda p: {"golden": {"core_macro_f1": float("nan"), "rows": 1}},
            evidence=EVIDENCE,
        )
