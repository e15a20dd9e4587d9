"""A real S3 service on 127.0.0.1, moto's, in a process of its own, which fails as often as a test asks it to."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mw_pipeline.store import Store

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class S3Server:
    """A running service; `env` is what a process needs to find it."""

    url: str
    env: dict[str, str]

    def make_bucket(self, name: str) -> str:
        """The URL of a store in a new bucket."""
        self._ask("PUT", f"/{name}")
        return f"s3://{name}/store"

    def fail_every(self, number: int) -> None:
        """From now on each request of this number fails with 503, as of a busy service; 0: none does."""
        self._ask("GET", f"/_fail/{number}")

    def _ask(self, method: str, path: str) -> None:
        urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)).close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A service, stopped at the end. Skips the test where moto is not installed."""
    pytest.importorskip("moto")
    pytest.importorskip("obstore")
    with subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as it:
        try:
            assert it.stdout is not None
            url = f"http://127.0.0.1:{int(it.stdout.readline())}"
            yield S3Server(
                url,
                {
                    "AWS_ENDPOINT_URL": url,
                    "AWS_ALLOW_HTTP": "true",
                    "AWS_ACCESS_KEY_ID": "nobody",
                    "AWS_SECRET_ACCESS_KEY": "nothing",
                    "AWS_REGION": "us-east-1",
                    "MW_STORE_RETRY_SECONDS": "1",
                },
            )
        finally:
            it.terminate()


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


def _serve() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    every, asked = [0], [0]

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/_fail/"):
            every[0] = int(path.rpartition("/")[2])
            start("200 OK", [("Content-Length", "0")])
            return [b""]
        asked[0] += 1
        if every[0] and asked[0] % every[0] == 0:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        found: Iterable[bytes] = application(environ, start)
        return found

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
