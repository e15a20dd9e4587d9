"""What `deploy/` describes, on this machine: its services, a PostgreSQL, a tiny project, and a home for each user."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import ROOT, environment
from postgres_server import PostgresServer

PATIENCE_SECONDS = 180.0
_INSTALLED, _WORKSPACE = "/opt/mw-pipeline/.venv/bin/", "deploy/workspace.yaml"
_PORTS = ("4266", "3000")


@dataclass(frozen=True)
class Deployment:
    """One database, with a role of its name, and one project; ports of `deploy/` are replaced by free ones."""

    server: PostgresServer
    database: str
    project: Path
    instead: dict[str, str]

    @classmethod
    def of(cls, server: PostgresServer, project: Path, *, database: str = "") -> Deployment:
        """A deployment for a project. A database that is named is left for the test to make, with its role."""
        if not database:
            database = f"dagster_{abs(hash(project))}"
            server.ask("postgres", f"CREATE ROLE {database} LOGIN")
            server.ask("postgres", f"CREATE DATABASE {database} OWNER {database}")
        workspace = project / "workspace.yaml"
        instead = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        instead |= {_INSTALLED: "", _WORKSPACE: shlex.quote(str(workspace))}
        found = cls(server, database, project, instead)
        workspace.write_text(found.here((ROOT / _WORKSPACE).read_text()))
        return found

    def here(self, text: str) -> str:
        """A text of `deploy/` or of its page as it is on this machine."""
        return re.sub("|".join(map(re.escape, self.instead)), lambda found: self.instead[found[0]], text)

    def env(self, user: str = "services") -> dict[str, str]:
        """The environment of a user, with a DAGSTER_HOME of their own that has the same dagster.yaml."""
        home = self.project / "homes" / user
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_bytes((ROOT / "deploy" / "dagster.yaml").read_bytes())
        found = environment(self.project)
        path = f"{self.server.programs}{os.pathsep}{found['PATH']}"
        return found | self.libpq | {"PATH": path, "DAGSTER_HOME": str(home)}

    @property
    def libpq(self) -> dict[str, str]:
        """What makes libpq find the database as its owner."""
        return self.server.env | {"PGUSER": self.database, "PGDATABASE": self.database}

    @contextmanager
    def instance(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
        """Dagster's instance as the services have it, in this process."""
        for name, value in self.libpq.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.from_config(self.env()["DAGSTER_HOME"]) as found:
            yield found

    @contextmanager
    def service(self, unit: str) -> Iterator[subprocess.Popen[bytes]]:
        """What a unit of systemd starts, as the leader of a group; at the end SIGTERM, then SIGKILL for the rest."""
        (command,) = re.findall("^ExecStart=(.*)$", (ROOT / "deploy" / f"{unit}.service").read_text(), re.MULTILINE)
        with (self.project / f"{unit}.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(self.here(command)),
                cwd=ROOT,
                env=self.env(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def rows(self, sql: str) -> list[list[str]]:
        """What the database answers."""
        return self.server.ask(self.database, sql)

    def when(self, met: Callable[[], bool]) -> None:
        """Comes back when something is so; a failure shows the last lines of the services."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while not met():
            logs = "\n".join(path.read_text()[-3000:] for path in self.project.glob("*.log"))
            assert time.monotonic() < limit, logs
            time.sleep(0.1)

    def listens(self, port: str) -> bool:
        """Whether something answers where `deploy/` names this port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.instead[port]))) == 0


def _free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
