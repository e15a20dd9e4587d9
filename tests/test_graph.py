"""The graph as Dagster sees it: assets, partitions, checks, jobs, schedules and the sensor."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import graph

from mw_pipeline.digest import code_digest
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import is_before_lock
from resources.place import PlaceResource

ASSETS = {
    "corpus_shards": "corpus",
    "corpus_manifest": "corpus",
    "golden_set": "corpus",
    "source_mix": "mix",
    "closed_words": "mix",
    "source_audit": "mix",
    "tokenizer": "dataset",
    "tokenized_dataset": "dataset",
    "smoke_checkpoint": "train",
    "full_checkpoint": "train",
    "gradient_probe": "probe",
    "activation_trace": "probe",
    "label_separation": "probe",
    "teaching_index": "probe",
    "eval_report": "eval",
    "regression_diagnosis": "eval",
    "capability_matrix": "eval",
    "campaign_runs": "train",
    "campaign_report": "eval",
    "packaged_weights": "release",
}
CAMPAIGN = {"campaign_runs", "campaign_report"}
PROBES = {"gradient_probe", "activation_trace", "label_separation", "teaching_index"}
BLOCKING_CHECKS = {
    "corpus_shards": {"rows_match_schema", "rows_are_conserved", "quarantine_within_budget"},
    "corpus_manifest": {"splits_are_disjoint", "licences_are_allowed", "golden_is_not_in_train"},
    "golden_set": {"golden_is_valid"},
    "source_mix": {"mix_is_as_declared"},
    "closed_words": {"closed_words_are_taught"},
    "tokenizer": {"tokenizer_round_trips"},
    "tokenized_dataset": {"labels_survive_tokenizing", "dataset_matches_schema"},
    "smoke_checkpoint": {"smoke_verdict"},
    "full_checkpoint": {"run_is_sound"},
    "eval_report": {"eval_is_comparable"},
    "packaged_weights": {
        "package_matches_checkpoint",
        "quantisation_costs_little",
        "release_beats_its_gates",
        "no_cell_is_blind",
    },
}
WARNING_CHECKS = {
    "corpus_manifest": {
        "holdout_is_covered",
        "labels_agree",
        "methods_apply",
        "ordinals_are_no_house_numbers",
        "scripts_are_at_home",
    },
    "source_mix": {"mix_is_not_concentrated", "recipe_changes_one_thing"},
    "source_audit": {"sources_stay"},
    "tokenized_dataset": {"data_is_enough", "every_tag_is_taught"},
}
PARTITIONS = {
    "corpus_shards": "sources",
    "corpus_manifest": "corpora",
    "golden_set": "corpora",
    "loss_comparison": "loss_folders",
    "campaign_runs": "campaigns",
    "campaign_report": "campaigns",
}


@pytest.fixture(scope="module")
def nodes() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in graph().resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def checks() -> list[dg.AssetCheckSpec]:
    return [spec for group in graph().asset_checks or [] for spec in group.check_specs]  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "group"), ASSETS.items())
def test_every_asset_says_what_it_is_of_what_kind_and_whose(
    nodes: dict[str, dg.AssetSpec], name: str, group: str
) -> None:
    spec = nodes[name]

    assert spec.group_name == group
    assert spec.description and spec.kinds and spec.owners
    assert spec.code_version


def test_the_code_version_of_an_asset_is_that_of_the_code_which_the_store_asks_for(
    nodes: dict[str, dg.AssetSpec],
) -> None:
    assert {name: spec.code_version for name, spec in nodes.items() if name != "corpus_shards"} == {
        name: code_digest(line.STAGES[name].code)[:12] for name in nodes if name != "corpus_shards"
    }


def test_every_artifact_is_made_by_a_node_of_the_graph(nodes: dict[str, dg.AssetSpec]) -> None:
    assert {stage.node for stage in line.STAGES.values()} == set(nodes)


def test_every_check_is_there_and_blocks_as_designed(checks: list[dg.AssetCheckSpec]) -> None:
    found: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for check in checks:
        found[check.blocking].setdefault(check.asset_key.to_user_string(), set()).add(check.name)
        assert check.description

    assert found == {True: BLOCKING_CHECKS, False: WARNING_CHECKS}


def test_what_blocks_before_training_blocks_later_runs_too() -> None:
    upstream = {kind for kind in BLOCKING_CHECKS if is_before_lock(line.STAGES[kind])}

    assert BLOCKING_CHECKS.keys() - upstream == {
        "full_checkpoint",
        "eval_report",
        "packaged_weights",
    }


UPSTREAM = {
    "corpus_shards": set(),
    "golden_set": set(),
    "corpus_manifest": {"corpus_shards", "golden_set"},
    "source_mix": {"corpus_manifest"},
    "closed_words": {"corpus_manifest"},
    "tokenizer": {"corpus_manifest"},
    "tokenized_dataset": {"corpus_manifest", "tokenizer"},
    "source_audit": {"corpus_manifest", "source_mix"},
    "smoke_checkpoint": {"tokenized_dataset", "source_mix", "closed_words"},
    "full_checkpoint": {"smoke_checkpoint", "tokenized_dataset", "source_mix", "closed_words"},
    "gradient_probe": {"smoke_checkpoint", "tokenized_dataset"},
    "activation_trace": {"full_checkpoint", "smoke_checkpoint", "tokenized_dataset"},
    "label_separation": {"full_checkpoint", "tokenized_dataset"},
    "teaching_index": {"full_checkpoint", "tokenized_dataset", "source_mix", "corpus_manifest"},
    "eval_report": {
        *("full_checkpoint", "smoke_checkpoint", "tokenized_dataset", "tokenizer", "source_mix", "golden_set"),
    },
    "regression_diagnosis": {"eval_report"},
    "capability_matrix": {"full_checkpoint", "tokenizer", "corpus_manifest"},
    "packaged_weights": {
        *("full_checkpoint", "capability_matrix", "eval_report", "regression_diagnosis", "tokenized_dataset"),
        *("tokenizer", "corpus_manifest", "golden_set"),
    },
    "loss_comparison": {"corpus_manifest"},
    "campaign_runs": {"corpus_manifest"},
    "campaign_report": {"campaign_runs", "smoke_checkpoint", "full_checkpoint"},
}


def test_every_asset_hangs_on_what_goes_into_it_and_on_what_must_hold_before(nodes: dict[str, dg.AssetSpec]) -> None:
    found = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in nodes.items()}

    assert found == UPSTREAM


def test_what_is_shown_is_shown_of_stages_that_there_are() -> None:
    from assets.shown import SHOWN

    assert SHOWN.keys() <= line.STAGES.keys()


def test_no_asset_waits_for_a_pool_whose_slot_would_outlive_a_killed_run() -> None:
    """M74: trainings take turns in the process that trains."""
    pools = {pool for asset in graph().assets or [] for pool in asset.op.pools}  # type: ignore[union-attr]

    assert pools == set()


def test_partitions_are_the_config_files(nodes: dict[str, dg.AssetSpec], project: Path) -> None:
    from assets import partitions

    place = Place.of(project=str(project))
    sources = [f"{name}:{source}" for name in place.names("corpora") for source in place.corpus_spec(name).sources]

    assert partitions.sources.get_partition_keys() == sorted(sources)
    assert partitions.corpora.get_partition_keys() == place.names("corpora")
    assert partitions.recipes.get_partition_keys() == place.names("recipes")
    assert partitions.campaigns.get_partition_keys() == place.campaigns()
    for name, spec in nodes.items():
        assert spec.partitions_def == getattr(partitions, PARTITIONS.get(name, "recipes"))


@pytest.mark.parametrize(
    ("below", "above", "partition", "expected"),
    [
        ("corpus_manifest", "corpus_shards", "us-fr", "sources of us-fr"),
        ("source_mix", "corpus_manifest", "demo", {"builtin"}),
        ("tokenizer", "corpus_manifest", "us-fr", {"us-fr"}),
        ("tokenized_dataset", "tokenizer", "demo", {"demo"}),
        ("eval_report", "golden_set", "demo", {"builtin"}),
        ("campaign_runs", "corpus_manifest", "v0_4_0", {"v0_4_0_small"}),
        ("campaign_report", "campaign_runs", "v0_4_0", {"v0_4_0"}),
        ("packaged_weights", "full_checkpoint", "demo", {"demo"}),
    ],
)
def test_a_partition_hangs_on_exactly_the_partitions_that_go_into_it(
    project: Path, below: str, above: str, partition: str, expected: set[str] | str
) -> None:
    graph_of_assets = graph().resolve_asset_graph()
    child, parent = graph_of_assets.get(dg.AssetKey(below)), graph_of_assets.get(dg.AssetKey(above))
    mapping = graph_of_assets.get_partition_mapping(child.key, parent.key)
    asked = child.partitions_def.subset_with_partition_keys([partition])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        asked, child.partitions_def, parent.partitions_def
    )

    if isinstance(expected, str):
        expected = {f"us-fr:{name}" for name in Place.of(project=str(project)).corpus_spec("us-fr").sources}
    assert set(found.partitions_subset.get_partition_keys()) == expected


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("shards", {"corpus_shards"}),
        ("audit_corpus", {"corpus_manifest", "golden_set"}),
        ("audit", {"source_mix", "closed_words", "source_audit"}),
        ("smoke", {"source_mix", "closed_words", "tokenizer", "tokenized_dataset", "smoke_checkpoint"}),
        ("campaign", CAMPAIGN),
        ("probe", PROBES),
        (
            "release",
            set(ASSETS) - {"corpus_shards", "corpus_manifest", "golden_set", "source_audit", *CAMPAIGN, *PROBES},
        ),
    ],
)
def test_a_job_covers_its_stages_and_their_checks(job: str, assets: set[str]) -> None:
    layer = graph().resolve_job_def(job).asset_layer

    assert {key.to_user_string() for key in layer.selected_asset_keys} == assets
    checked = {name for asset in assets for table in (BLOCKING_CHECKS, WARNING_CHECKS) for name in table.get(asset, ())}
    assert {key.name for key in layer.asset_graph.asset_check_keys} == checked


@pytest.mark.parametrize(
    ("schedule", "asset", "made", "job"),
    [
        ("weekly_corpus_audit", "corpus_manifest", "builtin", "audit_corpus"),
        ("weekly_mix_audit", "source_mix", "demo", "audit"),
    ],
)
def test_a_schedule_asks_for_what_is_in_use_and_for_nothing_else(
    schedule: str, asset: str, made: str, job: str
) -> None:
    definition = graph().resolve_schedule_def(schedule)
    monday = datetime(2026, 11, 23, 6, tzinfo=UTC)

    with dg.instance_for_test() as instance:
        for partition in (made, "a-name-whose-file-is-gone"):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=monday, repository_def=graph().get_repository_def()
        ) as context:
            tick = definition.evaluate_tick(context)

    assert definition.job_name == job
    assert [(request.partition_key, request.run_key) for request in tick.run_requests or []] == [
        (made, f"2026-11-23:{made}")
    ]


def test_the_sensor_asks_for_exactly_the_source_whose_file_changed(tmp_path: Path, project: Path) -> None:
    spec = Place.of(project=str(project)).corpus_spec("us-fr")
    files = {name: tmp_path / source.input for name, source in spec.sources.items() if source.input is not None}
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"as before")

    def tick(cursor: str | None) -> tuple[list[str | None], str]:
        with dg.build_sensor_context(
            cursor=cursor,
            repository_def=graph().get_repository_def(),
            resources={"place": PlaceResource(project=str(project), data=str(tmp_path))},
        ) as context:
            result = graph().resolve_sensor_def("raw_files").evaluate_tick(context)
        return [request.partition_key for request in result.run_requests or []], str(result.cursor)

    first, cursor = tick(None)
    assert first == []
    assert {f"us-fr:{name}" for name in files} <= set(json.loads(cursor)["states"])
    assert tick(cursor)[0] == []

    changed, path = next(iter(files.items()))
    path.write_bytes(b"other bytes")
    asked, after = tick(cursor)
    assert f"us-fr:{changed}" in asked
    assert all(spec_input(project, str(key)) == spec.sources[changed].input for key in asked)
    assert tick(after)[0] == []

    path.unlink()
    gone, away = tick(after)
    path.write_bytes(b"bytes of a third kind")
    os.utime(path, ns=(1, 1))
    assert gone == []
    assert f"us-fr:{changed}" in tick(away)[0]


def spec_input(project: Path, key: str) -> str | None:
    corpus, _, source = key.partition(":")
    return Place.of(project=str(project)).corpus_spec(corpus).sources[source].input
