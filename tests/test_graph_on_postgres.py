"""The graph with its records in PostgreSQL: for several users at once, with services that may be killed."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.scheduler.instigation import ScheduleInstigatorData  # Dagster exports no way to set a clock back
from deployment import PATIENCE_SECONDS, Deployment
from graph_runs import ROOT, materialize, shell
from postgres_server import PostgresServer, postgres_server
from tiny_project import write_project

from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

SHARDS = "dagster asset materialize -m assets.definitions --select corpus_shards --partition"
MEETING = """
import os, pathlib, sys, time

def meet(event, arguments):
    folder = pathlib.Path(os.environ["MEETING"])
    mine = folder / str(os.getpid())
    if event == "os.rename" and "corpus_shards" in str(arguments[1]) and not mine.exists():
        mine.touch()
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)

sys.addaudithook(meet)
"""
"""Who is about to put shards into the store waits until two processes have come that far."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server; skips where there is none."""
    with postgres_server() as found:
        yield found


@pytest.fixture
def deployment(postgres: PostgresServer, tmp_path: Path) -> Deployment:
    """A project of which nothing has been made, and an empty database."""
    return Deployment.of(postgres, write_project(tmp_path / "project", golden=ROOT / "golden"))


def last_monday() -> datetime.datetime:
    """The last time that the weekly audit of corpora was due."""
    now = datetime.datetime.now(datetime.UTC)
    found = now.replace(hour=6, minute=0, second=0, microsecond=0) - datetime.timedelta(days=now.weekday())
    return found if found < now else found - datetime.timedelta(days=7)


def set_back(instance: dg.DagsterInstance, schedule: str) -> None:
    """Makes a schedule one that was switched on an hour before it was last due."""
    (state,) = [each for each in instance.all_instigator_state() if each.name == schedule]
    before = last_monday() - datetime.timedelta(hours=1)
    data = ScheduleInstigatorData(state.instigator_data.cron_schedule, before.timestamp())
    instance.update_instigator_state(state.with_data(data))


def test_several_people_have_the_settings_of_one_and_a_storage() -> None:
    one, several = (yaml.safe_load((ROOT / path).read_text()) for path in ("dagster.yaml", "deploy/dagster.yaml"))

    assert several == one | {"storage": {"postgres": {"postgres_url": "postgresql+psycopg2://"}}}


def test_a_materialization_is_recorded_in_the_database_alone(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment.instance(monkeypatch) as instance:
        result = materialize(deployment.project, "golden_set", partition="builtin", instance=instance)

    assert result.success
    assert deployment.rows("SELECT run_id, status FROM runs") == [[result.run_id, "SUCCESS"]]
    made = "SELECT asset_key, partition FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
    assert deployment.rows(made) == [['["golden_set"]', "builtin"]]
    assert list(deployment.project.rglob("*.db")) == []


@pytest.mark.slow
def test_two_users_make_two_partitions_at_once_with_one_database_and_one_store(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora = deployment.project / "corpora"
    (corpora / "other.toml").write_text((corpora / "builtin.toml").read_text().replace("seed = 5", "seed = 6"))
    for folder in ("hook", "meeting"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(MEETING)
    met = {"PYTHONPATH": f"{tmp_path / 'hook'}{os.pathsep}{ROOT}", "MEETING": str(tmp_path / "meeting")}
    partitions = {"ada": "builtin:builtin", "ben": "other:builtin"}

    users = [
        subprocess.Popen([*SHARDS.split(), partition], cwd=ROOT, env=deployment.env(name) | met)
        for name, partition in partitions.items()
    ]

    assert [user.wait(PATIENCE_SECONDS) for user in users] == [0, 0]
    assert deployment.rows("SELECT status, max(start_time) < min(end_time) FROM runs GROUP BY status") == [
        ["SUCCESS", "t"]
    ]
    with deployment.instance(monkeypatch) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("corpus_shards")) == set(partitions.values())
    place = Place.of(store=str(deployment.project / ".mw"), project=str(deployment.project))
    assert len({line.corpus_shards.demand(place, partition).digest for partition in partitions.values()}) == 2


@pytest.mark.slow
def test_a_daemon_that_is_killed_goes_on_with_the_schedule_and_the_sensor_when_it_is_started_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor_ticks = "SELECT count(*) > {} FROM job_ticks WHERE type = 'SENSOR' AND status = 'SKIPPED'"
    runs = "SELECT status, partition FROM runs WHERE pipeline_name = 'audit_corpus'"
    with deployment.instance(monkeypatch) as instance, deployment.service("mw-code"):
        for assets, partition in (
            (["corpus_shards"], "builtin:builtin"),
            (["golden_set", "corpus_manifest"], "builtin"),
        ):
            assert materialize(deployment.project, *assets, partition=partition, instance=instance).success
        deployment.when(lambda: deployment.listens("4266"))
        started = shell(
            deployment.here("dagster schedule start weekly_corpus_audit -w deploy/workspace.yaml"), deployment.env()
        )
        assert started.returncode == 0, started.stderr
        set_back(instance, "weekly_corpus_audit")

        with deployment.service("mw-daemon") as first:
            deployment.when(lambda: bool(deployment.rows(runs)))
            first.kill()
        (seen,) = deployment.rows("SELECT count(*) FROM job_ticks WHERE type = 'SENSOR'")
        with deployment.service("mw-daemon"):
            deployment.when(lambda: deployment.rows(runs) == [["SUCCESS", "builtin"]])
            deployment.when(lambda: deployment.rows(sensor_ticks.format(*seen)) == [["t"]])

    due = "SELECT status, extract(epoch FROM timestamp) FROM job_ticks WHERE type = 'SCHEDULE'"
    assert deployment.rows(due) == [["SUCCESS", f"{last_monday().timestamp():.6f}"]]


@pytest.mark.slow
def test_the_demo_of_a_project_is_recorded_in_the_database(place: Place, postgres: PostgresServer) -> None:
    deployment = Deployment.of(postgres, place.project)

    done = shell("python -m assets.plan demo | sh -ex", deployment.env("ada"))

    assert done.returncode == 0, done.stderr[-3000:]
    assert {status for (status,) in deployment.rows("SELECT status FROM runs")} == {"SUCCESS"}
    made = "SELECT DISTINCT asset_key FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
    assert {"corpus_shards", "full_checkpoint", "packaged_weights"} <= {
        key.strip('[]"') for (key,) in deployment.rows(made)
    }
