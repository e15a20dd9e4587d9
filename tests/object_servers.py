"""Services of object storage on 127.0.0.1, each in a process of its own, and machines that have a store on one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mw_pipeline.store import Store

ROOT = Path(__file__).resolve().parent.parent
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, as its manual prints it."""

on_every_engine = pytest.mark.parametrize("engine", ["s3", "gs", "az"], indirect=True)
"""Marks a test whose `machines` have their store on each service in turn."""

_HASTE = {"MW_STORE_RETRY_SECONDS": "1"}


@dataclass(frozen=True)
class ObjectServer:
    """A running service; `env` is what a process needs to find it."""

    scheme: str
    url: str
    env: dict[str, str]

    def make_bucket(self, name: str) -> str:
        """The URL of a store in a new bucket."""
        self._ask(f"/_make/{name}")
        return f"{self.scheme}://{name}/store"

    def fail_every(self, number: int) -> None:
        """From now on each request of this number fails, as of a busy service; 0: none does."""
        self._ask(f"/_fail/{number}")

    def _ask(self, path: str) -> None:
        urllib.request.urlopen(self.url + path).close()


@contextmanager
def s3_server() -> Iterator[ObjectServer]:
    """A service of S3, stopped at the end. Skips the test where moto is not installed."""
    with _served("s3") as url:
        keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_REGION": "us-east-1"}
        yield ObjectServer("s3", url, {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", **keys, **_HASTE})


@contextmanager
def google_server() -> Iterator[ObjectServer]:
    """One as Google's, by the same."""
    with _served("gs") as url:
        yield ObjectServer("gs", url, {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": "nobody", **_HASTE})


@contextmanager
def azure_server() -> Iterator[ObjectServer]:
    """One of Azure. Skips the test where neither MW_AZURITE nor the PATH has Azurite, which npm installs."""
    command = os.environ.get("MW_AZURITE") or shutil.which("azurite-blob")
    if command is None:
        pytest.skip("no Azurite: `npm install -g azurite`, or name its azurite-blob in MW_AZURITE")
    options = ("--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--silent")
    account = (AZURITE_ACCOUNT, AZURITE_KEY)
    with _started(command, *options) as azurite, _served("az", _port_told_by(azurite), *account) as url:
        where = {"AZURE_STORAGE_ENDPOINT": f"{url}/{AZURITE_ACCOUNT}", "AZURE_ALLOW_HTTP": "true"}
        keys = {"AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY}
        yield ObjectServer("az", url, {**where, **keys, **_HASTE})


@contextmanager
def _served(*arguments: str) -> Iterator[str]:
    """The URL of a service of `serve_objects.py`."""
    for name in ("moto", "obstore"):
        pytest.importorskip(name)
    with _started(sys.executable, str(ROOT / "tests" / "serve_objects.py"), *arguments) as it:
        assert it.stdout is not None
        yield f"http://127.0.0.1:{int(it.stdout.readline())}"


@contextmanager
def _started(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as it:
        try:
            yield it
        finally:
            it.terminate()


def _port_told_by(azurite: subprocess.Popen[str]) -> str:
    assert azurite.stdout is not None
    for line in azurite.stdout:
        if found := re.search(r"successfully listens on http://127\.0\.0\.1:(\d+)", line):
            return found[1]
    raise ChildProcessError(f"{azurite.args}: ended with {azurite.wait()} before it listened")


@dataclass(frozen=True)
class Machine:
    """A cache, a name and process trees of its own on one store."""

    name: str
    cache: Path
    url: str
    env: dict[str, str]

    def store(self, monkeypatch: pytest.MonkeyPatch, said: list[str] | None = None) -> Store:
        """The store as this process sees it when it is this machine."""
        for name, value in self.surroundings().items():
            monkeypatch.setenv(name, value)
        return Store(self.url, say=(said if said is not None else []).append)

    def start(self, *command: str, **more: Any) -> subprocess.Popen[str]:
        """A process of this machine."""
        env = {**os.environ, **self.surroundings(), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        return subprocess.Popen([sys.executable, *command], env=env, cwd=ROOT, text=True, **more)

    def surroundings(self) -> dict[str, str]:
        """What the environment of this machine's processes has beside that of the tests."""
        return {**self.env, "XDG_CACHE_HOME": str(self.cache), "MW_MACHINE": self.name, "MW_STORE": self.url}
