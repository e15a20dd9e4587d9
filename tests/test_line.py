"""The whole line, from raw rows to packages, as people run it; and that nothing is made twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import checks_of, environment, failure_of, materialize, shell
from tiny_project import forget, place_at, write_project

from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import checks
from mw_pipeline.stages.place import Place

RUNS = (
    ("builtin:builtin", ["corpus_shards"]),
    ("builtin", ["corpus_manifest", "golden_set"]),
    (
        "demo",
        [
            "source_mix",
            "closed_words",
            "tokenizer",
            "tokenized_dataset",
            "smoke_checkpoint",
            "full_checkpoint",
            "eval_report",
            "regression_diagnosis",
            "capability_matrix",
            "packaged_weights",
        ],
    ),
)

pytestmark = pytest.mark.slow


def materializations(result: dg.ExecuteInProcessResult) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    for event in result.get_asset_materialization_events():
        found = event.materialization
        assert event.asset_key is not None
        yield (
            event.asset_key.to_user_string(),
            {name: value.value for name, value in found.metadata.items()},
            dict(found.tags or {}),
        )


def test_the_printed_commands_lead_from_nothing_to_packages_and_again_to_the_same(
    tmp_path: Path, project: Path
) -> None:
    folder = write_project(tmp_path / "project", golden=project / "golden")
    env = environment(folder)
    plan = shell("python -m assets.plan demo", env)
    assert plan.returncode == 0
    assert plan.stdout.count("dagster asset materialize -m assets.definitions --select") == 3

    for attempt in ("first", "second"):
        done = shell(f"set -e\n{plan.stdout}", env)
        assert done.returncode == 0, (attempt, done.stderr[-3000:])

    for locale in ("en-us", "fr-fr"):
        assert json.loads((folder / "releases" / "demo" / locale / "package.json").read_text())["locale"] == locale
    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        for partition, names in RUNS:
            for name in names:
                second, first = records_of(instance, name, partition)
                assert (first["reused"], second["reused"]) == (False, True), name
                assert first["digest"] == second["digest"]


def records_of(instance: dg.DagsterInstance, asset: str, partition: str) -> list[dict[str, object]]:
    """Metadata of every materialization of a partition, the latest first."""
    filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition])
    records = instance.fetch_materializations(filters, limit=10).records
    return [
        {name: value.value for name, value in record.asset_materialization.metadata.items()}
        for record in records
        if record.asset_materialization is not None
    ]


def test_a_plan_of_an_unknown_recipe_is_a_sentence_and_stops_the_shell(tmp_path: Path, project: Path) -> None:
    folder = write_project(tmp_path / "project", golden=project / "golden")
    env = environment(folder)

    done = shell("python -m assets.plan deno | sh -ex", env)

    assert done.returncode == 2
    assert "did you mean 'demo'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert shell("python -m assets.plan", env).returncode == 2


def test_what_was_made_is_shown_and_never_made_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/there/is/no/such/python")  # a child process could not even start

    for partition, names in RUNS:
        result = materialize(place.project, *names, partition=partition)
        assert result.success
        # So small a corpus has too few rows of some labels, which is advice; nothing else may complain.
        complaints = {name for name, passed in checks_of(result).items() if not passed}
        assert complaints <= {"data_is_enough", "every_tag_is_taught"}
        shown = {name: (metadata, tags) for name, metadata, tags in materializations(result)}
        assert set(shown) == set(names)
        for name, (metadata, tags) in shown.items():
            assert metadata["reused"] is True
            assert tags["dagster/data_version"] == metadata["digest"]
            assert metadata["seconds"] > 0  # type: ignore[operator]
            assert {"rows", "steps", "sources", "locales", "missed", "words"} & set(metadata)
            artifact = place.store.load(name, str(metadata["digest"]))
            for reference in artifact.manifest.inputs:
                assert f"{reference.kind} `{reference.digest[:12]}" in str(metadata["inputs"])


def test_a_stage_without_its_inputs_says_what_to_run(tmp_path: Path, project: Path) -> None:
    folder = write_project(tmp_path / "project", golden=project / "golden")

    result = materialize(folder, "tokenizer")

    assert not result.success
    assert failure_of(result, "tokenizer") == (
        "corpus_shards of 'builtin:builtin' is not in the store for these inputs, config and code. "
        "Run `dagster asset materialize -m assets.definitions --select corpus_shards --partition builtin:builtin`."
    )


def test_a_check_of_what_was_never_made_fails_with_the_command_that_makes_it(tmp_path: Path, project: Path) -> None:
    place = place_at(write_project(tmp_path / "project", golden=project / "golden"))

    with pytest.raises(ArtifactError, match=r"--select corpus_shards --partition builtin:builtin`\."):
        checks.rows_are_conserved(place, "builtin:builtin")


def test_a_child_that_dies_is_told_by_its_stage_and_its_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(place, "smoke_checkpoint")
    monkeypatch.setattr(sys, "executable", "/bin/false")

    result = materialize(place.project, "smoke_checkpoint")

    assert failure_of(result, "smoke_checkpoint").startswith(
        "smoke_checkpoint of 'demo': its process died (External execution process failed with code 1)."
    )


def test_a_source_that_no_longer_counts_leaves_the_tokenized_rows(place: Place) -> None:
    # A weight of zero and no weight are the same wish; both ask for another tokenizer and another dataset.
    recipe = place.recipe("demo")
    second = recipe.mix.model_copy(update={"weights": {"builtin": 1.0, "other": 0.0}})

    assert recipe.model_copy(update={"mix": second}).sources_in_use == ["builtin"]
