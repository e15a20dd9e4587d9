"""The package as npm and the JavaScript client see it: every file of the contract, whole and then broken."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gold_rows import golden_of

from mw_pipeline.checksums import write_sums
from mw_pipeline.decode import Moves, Words, constrained_viterbi
from mw_pipeline.digest import sha256_file
from mw_pipeline.golden.recased import as_client_reads, typed_in_one_case
from mw_pipeline.labels import STAGE2
from mw_pipeline.package.contract import ALL_NAMES, FACTS_KEYS, md5_of
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.package.readme import score_table
from mw_pipeline.parser_files import ParserFiles
from mw_pipeline.recipe import load_recipe
from mw_pipeline.stages.package_scores import AS_CLIENT_READS, TYPED_IN_ONE_CASE, scores_of_package

LOCALES = ("en-us", "fr-fr")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
def package(tiny_release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_release / "packages" / "en-us", tmp_path / "en-us")


def read(package: Path, name: str) -> dict:
    return json.loads((package / name).read_text(encoding="utf-8"))


def edited(package: Path, name: str, edit: Callable[[dict], object]) -> tuple[str, ...]:
    """The findings of a package of which one file was edited, and the sums written anew."""
    value = read(package, name)
    edit(value)
    (package / name).write_text(json.dumps(value), encoding="utf-8")
    write_sums(package)
    return inspect_path(package).findings


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


BROKEN_FACTS = {
    "name is 'Weights'": {"name": "Weights"},
    "name is 5": {"name": 5},
    "version is '1'": {"version": "1"},
    "license is 'my own'": {"license": "my own"},
    "version is '99999999999999999999.0.0': expected three numbers of": {"version": "99999999999999999999.0.0"},
    "license is 'MIT) OR (MIT'": {"license": "MIT) OR (MIT"},
    "description is '', expected a text": {"description": ""},
    "description is 5, expected a text": {"description": 5},
    "locale is 5, expected a text": {"locale": 5},
    "created_by is None, expected a text": {"created_by": None},
    "files is {'model': 'model.onnx'}": {"files": {"model": "model.onnx"}},
    "files is ['model.onnx']": {"files": ["model.onnx"]},
    "exports is None": {"exports": None},
    "exports is {'./*': './*', '.': './x'}": {"exports": {"./*": "./*", ".": "./x"}},
    "pad_id is 5, expected 0": {"pad_id": 5},
    "pad_id is False, expected 0": {"pad_id": False},
    "roles is {'model': 'tokenizer.model'}": {"roles": {"model": "tokenizer.model"}},
    "max_length is 256, the client runs 128 pieces at most": {"max_length": 256},
}


ACTED_ON = {
    "scripts": {"postinstall": "node ."},
    "bin": "x",
    "dependencies": {},
    "bundledDependencies": ["x"],
    "os": ["win32"],
    "directories": {"bin": "."},
    "private": True,
    "main": "x.js",
    "engines": {"node": "<1"},
    "publishConfig": {"registry": "x"},
}


@pytest.mark.parametrize("key", ACTED_ON)
def test_a_key_that_we_do_not_write_into_package_json_is_found(package: Path, key: str) -> None:
    found = rehashed(package, "package.json", lambda facts: facts.update({key: ACTED_ON[key]}))
    assert f"package.json: has {key}, on which npm may act, and weights need none" in found
    assert rehashed(package, "package.json", lambda facts: facts.pop(key)) == ()


@pytest.mark.parametrize("length", [True, "32", 32.0, 0, -1, None, 10**20])
def test_a_length_that_is_no_whole_number_above_0_is_found(package: Path, length: object) -> None:
    found = rehashed(package, "package.json", lambda facts: facts.update(max_length=length))
    assert any("max_length is" in finding for finding in found), found
    assert rehashed(package, "package.json", lambda facts: facts.update(max_length=32)) == ()


@pytest.mark.parametrize(
    ("key", "value", "claim"),
    [
        ("max_length", 8, "model.max_length is 32, this package has 8"),
        ("locale", "fr-fr", "locale is 'en-us', this package has 'fr-fr'"),
        ("name", "@mailwoman/other", "name is '@mailwoman/neural-weights-en-us', this package has '@mailwoman/other'"),
        ("version", "9.0.0", "version is '0.1.0', this package has '9.0.0'"),
    ],
)
def test_package_json_and_the_card_say_the_same(package: Path, key: str, value: object, claim: str) -> None:
    before = read(package, "package.json")[key]
    rebuilt = partial(rehashed, package, "package.json")
    assert f"model-card.json: {claim}" in rebuilt(lambda facts: facts.update({key: value}))
    assert rebuilt(lambda facts: facts.update({key: before})) == ()


def rehashed(package: Path, name: str, edit: Callable[[dict], object]) -> tuple[str, ...]:
    """The findings of a package of which one file was edited, and every hash of that file written anew."""
    edited(package, name, edit)
    path = package / name
    entry = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}

    def rewrite(card: dict) -> None:
        card["files"][name], card["files_md5"][name] = entry, md5_of(path)

    return edited(package, "model-card.json", rewrite)


def test_a_file_that_npm_would_not_pack_is_found_though_it_is_sealed(package: Path) -> None:
    (package / "extra.bin").write_bytes(b"x")
    write_sums(package)
    assert inspect_path(package).findings == ("extra.bin: is no file of a package, and npm would not pack it",)


@pytest.mark.parametrize("finding", BROKEN_FACTS)
def test_what_npm_or_the_client_would_not_take_in_package_json_is_found(package: Path, finding: str) -> None:
    found = edited(package, "package.json", lambda facts: facts.update(BROKEN_FACTS[finding]))

    assert any(sentence.startswith(f"package.json: {finding}") for sentence in found), found


def without_ends(crf: dict) -> None:
    del crf["end_transitions"]


def with_null(crf: dict) -> None:
    crf["transitions"][0][2] = None


def with_infinity(crf: dict) -> None:
    crf["start_transitions"][0] = float("-inf")


def with_a_word(crf: dict) -> None:
    crf["end_transitions"][3] = "0.5"


def with_labels_reversed(crf: dict) -> None:
    crf["labels"].reverse()


def with_nan(crf: dict) -> None:
    crf["end_transitions"][0] = float("nan")


def with_a_truth(crf: dict) -> None:
    crf["end_transitions"][0] = True


def with_a_number_beside_which_nothing_counts(crf: dict) -> None:
    crf["transitions"][0][0] = 1e308


def with_an_integer_that_no_float_is(crf: dict) -> None:
    crf["start_transitions"][0] = 10**400


def with_a_forbidden_move_of_zero(crf: dict) -> None:
    crf["transitions"][0][2] = 0.0


def with_a_legal_move_forbidden(crf: dict) -> None:
    crf["end_transitions"][0] = -1e9


def with_more_than_forbidden(crf: dict) -> None:
    crf["transitions"][0][2] = -1e30


BROKEN_SCORES = {
    "has no end_transitions, without which the client ignores the CRF": without_ends,
    "labels is ['I-house_number', 'B-house_number', ": with_labels_reversed,
    "transitions holds null, expected numbers alone: the client adds null as 0": with_null,
    "start_transitions holds -inf, expected numbers from": with_infinity,
    "end_transitions holds nan, expected numbers from": with_nan,
    "end_transitions holds '0.5', expected numbers from": with_a_word,
    "end_transitions holds True, expected numbers from": with_a_truth,
    "transitions holds 1e+308, expected numbers from": with_a_number_beside_which_nothing_counts,
    "start_transitions holds 1000000000": with_an_integer_that_no_float_is,
    "transitions forbids other moves than BIO does": with_a_forbidden_move_of_zero,
    "end_transitions forbids other moves than BIO does": with_a_legal_move_forbidden,
    "transitions holds -1e+30, expected numbers from -1e+09 to 1e+09": with_more_than_forbidden,
}


@pytest.mark.parametrize("finding", BROKEN_SCORES)
def test_scores_that_the_client_would_add_up_wrongly_are_found(package: Path, finding: str) -> None:
    found = edited(package, "crf-transitions.json", BROKEN_SCORES[finding])

    assert any(f"crf-transitions.json: {finding}" in sentence for sentence in found), found


BROKEN_CARDS = {
    "format is None, this package has 'onnx-int8'": {"format": None},
    "format is 'tflite', this package has 'onnx-int8'": {"format": "tflite"},
    "name is 'other', this package has": {"name": "other"},
    "version is '9.9.9', this package has '0.1.0'": {"version": "9.9.9"},
    "locale is 'xx', this package has 'en-us'": {"locale": "xx"},
    "created_by is 'me', this package has": {"created_by": "me"},
    "labels is ['I-house_number', ": {"labels": list(STAGE2.labels[::-1])},
    "tags is ['x'], this package has": {"tags": ["x"]},
    "requires is None, expected an object": {"requires": None},
    "requires.anchor is {'required': True}": {"requires": {"anchor": {"required": True}}},
    "requires.anchor is {'required': 0}": {"requires": {"anchor": {"required": 0}}},
    "capabilities is 'all', this package has": {"capabilities": "all"},
    "capabilities is {'crf': False": {"capabilities": {"crf": False, "any_batch": True, "max_pieces": 32}},
    "capabilities is {'crf': 1,": {"capabilities": {"crf": 1, "any_batch": True, "max_pieces": 32}},
    "capabilities is {'crf': True": {"capabilities": {"crf": True, "any_batch": True, "max_pieces": 9999}},
    "files names nothing, expected ATTRIBUTION.md, ": {"files": {}, "files_md5": {}},
    "license is 'MIT', this package has": {"license": "MIT"},
    "components_supported is ['street'], this package has": {"components_supported": ["street"]},
    "files_md5 is not that of the files in this folder": {"files_md5": {"model.onnx": "0" * 32}},
}


@pytest.mark.parametrize("finding", BROKEN_CARDS)
def test_a_card_that_the_client_could_not_use_is_found(package: Path, finding: str) -> None:
    found = edited(package, "model-card.json", lambda card: card.update(BROKEN_CARDS[finding]))

    assert any(sentence.startswith(f"model-card.json: {finding}") for sentence in found), found


@pytest.mark.parametrize(
    ("path", "value"),
    [(("max_length",), 4096), (("architecture", "max_length"), 4096), (("pad_id",), 5), (("pad_id",), False)],
)
def test_what_the_card_says_of_the_network_is_that_of_this_package(
    package: Path, path: tuple[str, ...], value: object
) -> None:
    def change(card: dict) -> None:
        part = card["model"]
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value

    found = edited(package, "model-card.json", change)

    assert any(s.startswith(f"model-card.json: model.{'.'.join(path)} is {value}") for s in found), found


@pytest.mark.parametrize("channels", [(), ("anchor",), ("anchor", "phone")])
def test_any_channels_that_are_not_required_may_stand_on_a_card(package: Path, channels: tuple[str, ...]) -> None:
    asked = {channel: {"required": False} for channel in channels}
    assert edited(package, "model-card.json", lambda card: card.update(requires=asked)) == ()
    assert "model-card.json: requires is None, expected an object" in edited(
        package, "model-card.json", lambda card: card.pop("requires")
    )


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
