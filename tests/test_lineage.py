"""The chain behind an artifact, in a store of real artifacts."""

from __future__ import annotations

import json
import shutil

import pytest

from mw_pipeline.artifact import Artifact
from mw_pipeline.checksums import write_sums
from mw_pipeline.errors import ArtifactError
from mw_pipeline.package.lineage import lineage_findings, lineage_of, lineage_tree, read_lineage
from mw_pipeline.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def made(store: Store, kind: str, *inputs: Artifact, recipe: str = "") -> Artifact:
    def make(out):
        (out / "facts.txt").write_text(kind)
        return {}

    return store.build(
        kind, make=make, inputs=inputs, config={"kind": kind}, recipe_name=recipe, recipe_digest="d" * 64
    ).artifact


@pytest.fixture
def chain(store) -> dict[str, Artifact]:
    """corpus -> tokenizer -> dataset -> model, the dataset from the corpus too."""
    corpus = made(store, "corpus")
    tokenizer = made(store, "tokenizer", corpus, recipe="demo")
    dataset = made(store, "dataset", corpus, tokenizer, recipe="demo")
    return {a.kind: a for a in (corpus, tokenizer, dataset, made(store, "model", dataset, recipe="demo"))}


def test_every_ancestor_is_there_once_and_bound_to_what_it_was_made_from(store, chain):
    lineage = lineage_of([chain["model"]])

    assert [node["kind"] for node in lineage["nodes"]] == ["model", "dataset", "corpus", "tokenizer"]
    for node in lineage["nodes"]:
        manifest = chain[node["kind"]].manifest
        assert (node["digest"], node["code_digest"], node["config"]) == (
            manifest.digest,
            manifest.code_digest,
            manifest.config,
        )
        assert [entry["digest"] for entry in node["inputs"]] == [entry.digest for entry in manifest.inputs]
    assert lineage["roots"] == [{"kind": "model", "digest": chain["model"].digest}]
    assert lineage_findings(lineage) == []


def test_several_roots_share_their_ancestors(store, chain):
    lineage = lineage_of([chain["tokenizer"], chain["dataset"]])

    assert [root["kind"] for root in lineage["roots"]] == ["tokenizer", "dataset"]
    assert len(lineage["nodes"]) == 3


def test_the_tree_draws_a_shared_ancestor_once_and_points_to_it_after_that(store, chain):
    lines = lineage_tree(lineage_of([chain["model"]])).splitlines()

    heads = [line.split(" · ")[0].rsplit(" ", 1)[0] for line in lines[:3]]
    assert heads == ["model", "└─ dataset", "   ├─ corpus"]
    assert lines[3].startswith("   └─ tokenizer")
    assert lines[4] == f"      └─ corpus {chain['corpus'].digest[:12]} (above)"
    assert "recipe demo dddddddddddd" in lines[0]
    assert "recipe" not in lines[2]


def test_a_config_edited_afterwards_is_found(store, chain):
    lineage = lineage_of([chain["model"]])
    lineage["nodes"][1]["config"] = {"kind": "better"}

    assert lineage_findings(lineage) == [
        f"dataset {chain['dataset'].digest[:12]} is not the digest of its inputs, config and code: the node was edited"
    ]


def test_an_ancestor_left_out_is_found(store, chain):
    lineage = lineage_of([chain["model"]])
    lineage["nodes"] = [node for node in lineage["nodes"] if node["kind"] != "corpus"]

    assert lineage_findings(lineage) == [
        f"corpus {chain['corpus'].digest[:12]} is named as an input and not among the nodes"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"nodes": [{}], "roots": []},
        {"nodes": 3, "roots": []},
        [],
        {"nodes": [], "roots": [{"kind": "x", "digest": 3}]},
        {"nodes": [], "roots": [{"kind": "x", "digest": None}]},
    ],
)
def test_what_is_no_lineage_is_found(broken):
    assert "not a lineage of this version" in lineage_findings(broken)[0]


def test_a_config_that_no_digest_can_be_of_is_found(store, chain):
    lineage = lineage_of([chain["model"]])
    lineage["nodes"][0]["config"] = float("nan")

    assert "not a lineage of this version" in lineage_findings(lineage)[0]


def test_an_ancestor_that_left_the_store_is_an_error(store, chain):
    shutil.rmtree(chain["corpus"].path)

    with pytest.raises(ArtifactError, match="there is no such artifact in this store"):
        lineage_of([chain["model"]])


def test_an_artifact_folder_is_read_with_the_store_around_it(store, chain):
    assert read_lineage(chain["model"].path) == lineage_of([chain["model"]])


def test_a_package_carries_its_own_lineage(store, chain, tmp_path):
    lineage = lineage_of([chain["model"]])
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))

    assert read_lineage(tmp_path) == lineage


def test_a_package_with_an_edited_lineage_is_refused(store, chain, tmp_path):
    lineage = lineage_of([chain["model"]])
    lineage["nodes"][0]["inputs"] = []
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))

    with pytest.raises(ArtifactError, match=r"the node was edited. Fetch the package again"):
        read_lineage(tmp_path)


@pytest.mark.parametrize(("fact", "value"), [("recipe_name", None), ("created_at", 5), ("bytes", "many")])
def test_a_node_without_a_fact_that_people_are_shown_is_found(store, chain, fact, value):
    lineage = lineage_of([chain["model"]])
    lineage["nodes"][0][fact] = value

    (finding,) = lineage_findings(lineage)
    assert f"has the {fact} {value!r}" in finding


def test_the_lineage_of_another_package_is_refused(store, chain, tmp_path):
    (tmp_path / "lineage.json").write_text(json.dumps(lineage_of([chain["model"]])))
    write_sums(tmp_path)
    assert read_lineage(tmp_path)

    root, *_ = lineage_of([chain["model"]])["nodes"][0]["inputs"]
    other = lineage_of([store.load(root["kind"], root["digest"])])
    (tmp_path / "lineage.json").write_text(json.dumps(other))

    with pytest.raises(ArtifactError, match=r"lineage.json: has the sha256 .* SHA256SUMS says"):
        read_lineage(tmp_path)


def test_a_lineage_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "lineage.json").write_text("{")

    with pytest.raises(ArtifactError, match="cannot be read as JSON"):
        read_lineage(tmp_path)


def test_a_folder_without_a_lineage_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"has neither lineage.json nor manifest.json"):
        read_lineage(tmp_path)
    with pytest.raises(ArtifactError, match=r"en-sus: there is no such folder\. Check the path"):
        read_lineage(tmp_path / "en-sus")
