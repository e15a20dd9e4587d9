"""A package of which one file was edited: all that npm or the JavaScript client would not take of it is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mw_pipeline.checksums import write_sums
from mw_pipeline.digest import sha256_file
from mw_pipeline.labels import STAGE2
from mw_pipeline.package.contract import md5_of
from mw_pipeline.package.inspection import inspect_path


@pytest.fixture
def package(tiny_release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_release / "packages" / "en-us", tmp_path / "en-us")


def edited(package: Path, name: str, edit: Callable[[dict], object]) -> tuple[str, ...]:
    """The findings of a package of which one file was edited, and the sums written anew."""
    value = json.loads((package / name).read_text(encoding="utf-8"))
    edit(value)
    (package / name).write_text(json.dumps(value), encoding="utf-8")
    write_sums(package)
    return inspect_path(package).findings


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
    before = json.loads((package / "package.json").read_text(encoding="utf-8"))[key]
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
