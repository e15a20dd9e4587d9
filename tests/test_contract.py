"""The package as npm and the JavaScript client see it: every file of the contract."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from gold_rows import golden_of
from tiny_project import LOCALES

from mw_pipeline.decode import Moves, Words, constrained_viterbi
from mw_pipeline.golden.recased import as_client_reads, typed_in_one_case
from mw_pipeline.package.contract import ALL_NAMES, FACTS_KEYS, md5_of
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.package.readme import score_table
from mw_pipeline.parser_files import ParserFiles
from mw_pipeline.recipe import load_recipe
from mw_pipeline.stages.package_scores import AS_CLIENT_READS, TYPED_IN_ONE_CASE, scores_of_package

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


def read(package: Path, name: str) -> dict:
    return json.loads((package / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("locale", LOCALES)
def test_package_json_says_what_npm_asks_for(tiny_release: Path, locale: str) -> None:
    package = tiny_release / "packages" / locale
    facts = read(package, "package.json")

    assert facts["name"] == f"@mailwoman/neural-weights-{locale}"
    assert facts["version"] == "0.1.0"
    assert facts["license"] == "SEE LICENSE IN ATTRIBUTION.md"
    assert facts["description"]
    assert tuple(facts) == FACTS_KEYS
    assert inspect_path(package).findings == ()
    assert facts["exports"] == {"./*": "./*"}
    assert sorted(facts["files"]) == sorted(path.name for path in package.iterdir())
    assert set(facts["roles"].values()) <= set(facts["files"])
    assert facts["max_length"] <= 128


def test_the_scores_of_the_crf_are_finite_numbers_that_forbid_what_bio_forbids(tiny_release: Path) -> None:
    package = tiny_release / "packages" / "en-us"
    text = (package / "crf-transitions.json").read_text(encoding="utf-8")
    crf = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    labels = crf["labels"]

    assert "null" not in text
    for before, row in zip(labels, crf["transitions"], strict=True):
        for after, score in zip(labels, row, strict=True):
            legal = not after.startswith("I-") or before[2:] == after[2:]
            assert (abs(score) < 1000) if legal else (score == -1e9), (before, after, score)
    for label, score in zip(labels, crf["start_transitions"], strict=True):
        assert (score == -1e9) == label.startswith("I-")
    assert crf["end_transitions"] == [0.0] * len(labels)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_card_has_the_keys_that_the_client_reads(tiny_release: Path, locale: str) -> None:
    package = tiny_release / "packages" / locale
    card = read(package, "model-card.json")

    assert card["requires"] == {"anchor": {"required": False}, "gazetteer": {"required": False}}
    assert card["capabilities"] == {"crf": True, "any_batch": True, "max_pieces": 32}
    assert card["format"] == "onnx-int8"
    assert card["license"] == read(package, "package.json")["license"]
    assert card["components_supported"] == [label[2:] for label in card["labels"][1::2]]
    assert set(card["files_md5"]) == set(card["files"]) >= {"model.onnx", "tokenizer.model", "crf-transitions.json"}
    said = subprocess.run(["md5sum", "model.onnx"], cwd=package, capture_output=True, text=True, check=True)
    assert card["files_md5"]["model.onnx"] == said.stdout.split()[0] == md5_of(package / "model.onnx")


def test_the_card_scores_the_gold_as_the_client_hands_it_on(tiny_release: Path, project: Path) -> None:
    raws = ("12 OAK ST", "12 Oak St", "3 rue de l'été")
    golden = golden_of([{"raw": raw, "components": {"street": raw[3:]}, "country": "US"} for raw in raws], name="few")
    recipe = load_recipe(project / "recipes" / "demo.toml")

    scores = scores_of_package(
        tiny_release / "packages" / "en-us", recipe=recipe, golden=golden, sets={}, locale="en-us"
    )

    read, typed = (scores[name] for name in (AS_CLIENT_READS, TYPED_IN_ONE_CASE))
    assert (read["rows"], typed["rows"]) == (3, 2)
    assert read["hashes"]["gold"] == as_client_reads(golden).hash != golden.hash
    assert typed["hashes"]["gold"] == typed_in_one_case(golden).hash
    assert f"| {AS_CLIENT_READS} | 3 |" in score_table(scores)


CLIENT = """
const { createRequire } = require("node:module")
const fs = require("node:fs")
const resolve = createRequire(process.cwd() + "/").resolve
const name = process.argv[2]
const read = (file) => JSON.parse(fs.readFileSync(resolve(`${name}/${file}`), "utf8"))
const crf = read("crf-transitions.json"), card = read("model-card.json")
const numbers = [crf.transitions, crf.start_transitions, crf.end_transitions].flat(2)
console.log(JSON.stringify({
    finite: numbers.every(Number.isFinite),
    numbers: numbers.length,
    required: Object.values(card.requires).filter((channel) => channel.required).length,
    model: fs.statSync(resolve(`${name}/model.onnx`)).size,
}))
"""


VITERBI = """
const fs = require("node:fs")
const { transitions, start_transitions, end_transitions } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"))
const best = (scores) => scores.indexOf(Math.max(...scores))
const decoded = (logits) => {
    let state = logits[0].map((score, j) => score + start_transitions[j])
    const pointers = []
    for (const here of logits.slice(1)) {
        const from = here.map((_, j) => best(state.map((score, i) => score + transitions[i][j])))
        state = here.map((score, j) => state[from[j]] + transitions[from[j]][j] + score)
        pointers.push(from)
    }
    const path = [best(state.map((score, i) => score + end_transitions[i]))]
    for (const from of pointers.reverse()) path.unshift(from[path[0]])
    return path
}
console.log(JSON.stringify(JSON.parse(fs.readFileSync(0, "utf8")).map(decoded)))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_client_that_adds_the_scores_up_as_they_are_finds_our_best_paths(tiny_release: Path, tmp_path: Path) -> None:
    files = ParserFiles.read(tiny_release / "packages" / "en-us")
    rng = np.random.default_rng(11)
    logits = rng.normal(scale=2, size=(50, 12, len(files.labels))).astype(np.float32)
    words = Words.of_pieces(logits, np.ones((50, 12), bool))
    (tmp_path / "viterbi.cjs").write_text(VITERBI)

    said = subprocess.run(
        ["node", str(tmp_path / "viterbi.cjs"), str(files.path / "crf-transitions.json")],
        input=json.dumps(logits.tolist()),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert json.loads(said.stdout) == constrained_viterbi(words, Moves.of(files.transitions, files.starts)).tolist()


def npm(folder: Path, *words: str) -> str:
    quiet = ("--silent", "--offline", "--no-audit", "--no-fund", "--ignore-scripts")
    command = ["npm", *words, *quiet, "--cache", str(folder / "cache")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_npm
def test_npm_packs_and_installs_both_packages_and_every_file_is_found_by_its_name(
    tiny_release: Path, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text('{"name": "someone", "private": true}')
    for locale in LOCALES:
        source = tiny_release / "packages" / locale
        (packed,) = json.loads(npm(tmp_path, "pack", str(source), "--json"))
        assert sorted(entry["path"] for entry in packed["files"]) == sorted(ALL_NAMES)
        readme = (source / "README.md").read_text(encoding="utf-8")
        assert f"npm install ./{packed['filename']}" in readme
        npm(tmp_path, "install", f"./{packed['filename']}")
        name = f"@mailwoman/neural-weights-{locale}"
        assert f'require.resolve("{name}/model.onnx")' in readme

        installed = tmp_path / "node_modules" / name
        assert inspect_path(installed).findings == ()
        (tmp_path / "client.cjs").write_text(CLIENT)
        said = subprocess.run(
            ["node", "client.cjs", name], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
        size = (source / "model.onnx").stat().st_size
        assert json.loads(said.stdout) == {"finite": True, "numbers": 21 * 23, "required": 0, "model": size}
