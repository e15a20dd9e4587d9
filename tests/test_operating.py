"""Every command of docs/operating.md runs, in its order, beside the services that the units of `deploy/` start."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from deployment import Deployment
from graph_runs import ROOT, shell
from postgres_server import postgres_server
from tiny_project import write_project

from mw_pipeline.artifact import verify_artifact
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
UNITS = sorted((ROOT / "deploy").glob("*.service"))


def sections() -> dict[str, list[str]]:
    """Heading → the commands below it."""
    parts = [part.partition("\n") for part in PAGE.split("\n## ")[1:]]
    return {
        heading: [
            command for block in re.findall(r"^```sh\n(.*?)^```$", body, re.M | re.S) for command in block.splitlines()
        ]
        for heading, _, body in parts
    }


@pytest.mark.slow
def test_every_command_of_the_page_runs_beside_the_services(tmp_path: Path) -> None:
    project, backup, said = write_project(tmp_path / "project", golden=ROOT / "golden"), tmp_path / "backup", {}
    backup.mkdir()
    with postgres_server() as server, ExitStack() as services:
        here = Deployment.of(server, project, database="dagster")
        env = here.env() | {"BACKUP": str(backup), "XDG_CACHE_HOME": str(tmp_path)}
        for heading, commands in sections().items():
            if heading == "Services":
                for unit in UNITS:
                    services.enter_context(here.service(unit.stem))
                here.when(lambda: here.listens("4266") and here.listens("3000"))
                here.when(lambda: here.rows("SELECT count(*) > 0 FROM job_ticks") == [["t"]])
            if heading == "What to watch":
                here.when(lambda: here.rows("SELECT status FROM runs") == [["SUCCESS"]] * 2)
            if heading == "Upgrades":
                services.close()
            for command in commands:
                done = shell(here.here(command), env)
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                said[command.split(" -")[0]] = done.stdout
        runs = "SELECT run_id FROM runs ORDER BY run_id"
        kept, again = here.rows(runs), server.ask("dagster_again", runs)

    assert len(said) >= 12
    assert "dagster_webserver_version" in said["curl"]
    assert len(kept) == 2 and kept == again
    copy = Place.of(store=str(backup / "store"), project=str(project), data=str(project))
    verify_artifact(line.golden_set.demand(copy, "builtin"))
    verify_artifact(line.corpus_shards.demand(copy, "builtin:builtin"))


@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    for each in UNITS:
        text = each.read_text().replace("/opt/mw-pipeline/.venv/bin/", "/bin/true ").replace("/opt/mw-pipeline", "/")
        (tmp_path / each.name).write_text(text)

    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, text=True
    )

    assert [line for line in found.stderr.splitlines() if "mw-" in line] == []  # it looks at the system's own as well


def test_the_page_names_every_file_of_the_deployment() -> None:
    files = {path.name for path in (ROOT / "deploy").iterdir()}

    assert {name for name in files if f"`{name}`" not in PAGE} == set()
