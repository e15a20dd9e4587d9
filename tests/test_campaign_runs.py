"""A campaign on a tiny project: trained by one command, reported from the store, through the graph and from logs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest
from campaign_logs import write_logs, write_recipes
from graph_runs import environment, failure_of, materialize, shell
from tiny_project import edit_json, place_at, rewrite

from mw_pipeline.campaign.report import campaign_report
from mw_pipeline.cli import main
from mw_pipeline.errors import RecipeError
from mw_pipeline.stages import line
from mw_pipeline.stages.campaign import all_made, campaign_named, outcomes_of
from mw_pipeline.stages.place import Place

NAME = "v0_4_0_full_size"
RECIPES = {
    "sound": "",
    "decayed": '[smoke]\nmode = "cosine"\nsteps = 80\n',
    "hot": "[train]\npeak_lr = 0.5\n",
}


def add_campaign(place: Place) -> Path:
    """Recipes of a campaign over the project's own recipe, of which one has a smoke and a full run already."""
    folder = place.project / "campaigns" / NAME
    folder.mkdir(parents=True)
    for name, lines in RECIPES.items():
        (folder / f"{name}.toml").write_text(f'base = "../../recipes/demo.toml"\n{lines}')
    return folder


def rows_of(report: dict[str, object]) -> dict[str, dict[str, object]]:
    return {row["recipe"]: row for row in report["rows"]}  # type: ignore[index,attr-defined,misc]


@pytest.mark.slow
def test_a_campaign_is_reported_from_what_the_store_has_and_names_what_it_lacks(place: Place) -> None:
    add_campaign(place)
    campaign = campaign_named(place, NAME)
    report = campaign_report(campaign, outcomes_of(campaign, all_made(place, campaign)))

    assert rows_of(report)["sound"]["full"]["outcome"] == "sound"  # type: ignore[index]
    assert rows_of(report)["sound"]["failed"] is False
    assert report["missing"] == ["decayed has no smoke yet", "hot has no smoke yet"]


@pytest.mark.slow
def test_one_command_trains_what_is_missing_and_a_failing_smoke_is_an_outcome(place: Place, tmp_path: Path) -> None:
    folder = add_campaign(place)
    command = f"mw-pipeline campaign --folder {folder} --train --page {tmp_path / 'page.html'}"
    first = shell(command, environment(place.project))
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)

    rows = rows_of(report)
    assert [rows[name]["smoke"]["outcome"] for name in ("sound", "decayed", "hot")] == ["pass", "invalid", "fail"]  # type: ignore[index]
    assert [rows[name]["full"] is not None for name in ("sound", "decayed", "hot")] == [True, False, False]
    assert report["attribution"]["explanations"] == [[[["train.peak_lr", "0.5"]]]]
    assert "hot, full: no full run: the smoke is fail" in first.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000

    again = shell(command, environment(place.project))
    assert json.loads(again.stdout) == report
    assert "hot, smoke: there already: fail" in again.stderr


@pytest.mark.slow
def test_the_graph_makes_the_report_of_a_campaign_and_again_when_there_is_more(place: Place) -> None:
    add_campaign(place)
    first = materialize(place.project, "campaign_report", partition=NAME)
    (event,) = first.asset_materializations_for_node("campaign_report")

    assert first.success
    assert event.metadata["recipes"].value == 3
    assert "decayed has no smoke yet" in str(event.metadata["table"].value)
    assert isinstance(event.metadata["page"], dg.PathMetadataValue)

    assert line.campaign_report.make(place, NAME).reused
    shutil.rmtree(place.store.root / "full_checkpoint")
    assert not line.campaign_report.make(place, NAME).reused


CAMPAIGN = f"dagster asset materialize -m assets.definitions --select campaign_runs,campaign_report --partition {NAME}"
JOB = f"""dagster job execute -m assets.definitions -j campaign --tags '{{"dagster/partition": "{NAME}"}}'"""


@pytest.mark.slow
def test_the_graph_trains_what_a_campaign_lacks_and_records_every_run_as_a_partition(place: Place) -> None:
    add_campaign(place)
    env = environment(place.project)
    done = shell(CAMPAIGN, env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no full run: the smoke is invalid" in done.stderr

    with dg.DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        recipes = {name: f"campaigns/{NAME}/{name}" for name in RECIPES}
        assert instance.get_materialized_partitions(dg.AssetKey("smoke_checkpoint")) == set(recipes.values())
        assert instance.get_materialized_partitions(dg.AssetKey("full_checkpoint")) == {recipes["sound"]}
        smoke = recorded_in(instance, "smoke_checkpoint", recipes["hot"])
        dataset = recorded_in(instance, "tokenized_dataset", recipes["hot"])
        report = recorded_in(instance, "campaign_report", NAME)
        assert verdicts_in(instance, recipes.values()) == {"sound": True, "decayed": False, "hot": False}
    assert {"curves", "verdict", "digest", "run"} <= set(smoke.metadata)
    assert f"tokenized_dataset `{str(dataset.metadata['digest'].value)[:12]}" in str(smoke.metadata["inputs"].value)
    assert report.metadata["failed"].value == 1

    made = sorted(place.store.root.glob("*_checkpoint/*"))
    again = shell(JOB, env)
    assert again.returncode == 0, again.stderr[-3000:]
    assert sorted(place.store.root.glob("*_checkpoint/*")) == made
    assert "hot, smoke: there already: fail" in again.stderr


def recorded_in(instance: dg.DagsterInstance, asset: str, partition: str) -> dg.AssetMaterialization:
    """The only materialization of a partition."""
    filters = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition])
    (record,) = instance.fetch_materializations(filters, limit=9).records
    assert record.asset_materialization is not None
    return record.asset_materialization


def verdicts_in(instance: dg.DagsterInstance, recipes: Iterable[str]) -> dict[str, bool]:
    """Recipe → whether the graph shows its smoke's verdict as passed."""
    key = dg.AssetCheckKey(dg.AssetKey("smoke_checkpoint"), "smoke_verdict")
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    shown = [record.event.dagster_event.asset_check_evaluation_data for record in records]  # type: ignore[union-attr]
    return {found.partition.rpartition("/")[2]: found.passed for found in shown if found.partition in recipes}


@pytest.mark.slow
def test_a_campaign_of_the_graph_stops_at_the_gates_of_its_data(place: Place) -> None:
    add_campaign(place)
    other = edit_json(licences__builtin__licences={"ODbL-1.0": 1})
    rewrite(line.corpus_manifest.demand(place, "builtin"), "census.json", other)
    made = sorted(place.store.root.glob("*_checkpoint/*"))
    result = materialize(place.project, "campaign_runs", "campaign_report", partition=NAME)

    assert not result.success
    assert failure_of(result, "campaign_runs").startswith("licences_are_allowed does not hold for 'builtin': ")
    assert sorted(place.store.root.glob("*_checkpoint/*")) == made


def test_a_campaign_that_is_not_there_is_a_failure_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    write_recipes(tmp_path / "campaigns" / "v0_4_1", {"a": ""})
    result = materialize(tmp_path, "campaign_report", partition=NAME)

    assert not result.success
    assert "there is no such campaign; did you mean 'v0_4_1'?" in failure_of(result, "campaign_report")


def test_a_project_without_campaigns_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="write a folder of recipes"):
        campaign_named(place_at(tmp_path), NAME)


def test_recipes_of_campaigns_are_recipes_with_names_of_their_own(tmp_path: Path) -> None:
    write_recipes(tmp_path / "campaigns" / NAME, {"a": ""})
    shutil.copytree(Path(__file__).parent.parent / "corpora", tmp_path / "corpora")
    place = place_at(tmp_path)

    assert (place.names("recipes"), place.campaigns()) == (["campaigns/base", f"campaigns/{NAME}/a"], [NAME])
    assert place.recipe(f"campaigns/{NAME}/a").name == f"campaigns/{NAME}/a"


def test_bare_logs_of_anyone_are_laid_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_STORE", str(tmp_path / "no-store"))
    folder, runs = write_recipes(tmp_path / "c"), write_logs(tmp_path / "runs")
    arguments = ["campaign", "--folder", str(folder), "--runs", str(runs), "--propose", str(tmp_path / "next")]

    assert main([*arguments, "--page", str(tmp_path / "pages" / "c.html")]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["attribution"]["status"] == "explained"
    assert sorted(path.name for path in (tmp_path / "next").iterdir()) == [
        "only-peak-lr-0-0003.toml",
        "only-peak-lr-0-0005.toml",
    ]
    assert "| 9-cw-promoted |" in err
    assert (tmp_path / "pages" / "c.html").exists()
    assert not (tmp_path / "no-store").exists()


def test_a_folder_that_is_no_campaign_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "--folder", str(tmp_path)]) == 2
    assert "holds no recipes. Name a folder of TOML files that share a base." in capsys.readouterr().err
