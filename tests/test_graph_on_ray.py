"""The graph with its pieces on Ray: the same artifact, on a cluster of the run or on one that runs already."""

from __future__ import annotations

import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
from graph_runs import ROOT, environment, materialize, shell
from tiny_project import place_at, write_project

from mw_pipeline.stages import line

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]
SHARDS = "dagster asset materialize -m assets.definitions --select corpus_shards --partition builtin:builtin"
PATIENCE_SECONDS = 120.0
# Between the ports of Ray's workers and those that kernels give to whoever asks for any: the cluster's own parts ask.
PORTS = range(20_000, 32_000)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project whose shards were made in process."""
    folder = write_project(tmp_path_factory.mktemp("on_ray") / "project", golden=ROOT / "golden")
    assert materialize(folder, "corpus_shards", partition="builtin:builtin").success
    return folder


def digest_in(folder: Path, store: Path) -> str:
    """The digest of the project's shards in a store. Raises ArtifactError when they are not there."""
    place = place_at(folder)
    return line.corpus_shards.demand(place, "builtin:builtin").digest


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    return list(islice((port for port in random.sample(PORTS, len(PORTS)) if not answers(port)), count))


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of two cores that asks for a token, and is gone afterwards."""
    port, client_port = free_ports(2)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ports = [f"--port={port}", f"--ray-client-server-port={client_port}", "--node-ip-address=127.0.0.1"]
    settings = ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *ports, *settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not answers(client_port):
            assert process.poll() is None and time.monotonic() < limit, "the cluster did not start"
            time.sleep(0.2)
        yield f"ray://127.0.0.1:{client_port}"
        process.send_signal(signal.SIGTERM)


def run_on(workers: str, folder: Path, store: Path) -> subprocess.CompletedProcess[str]:
    """The shards from the command line, in a store of their own."""
    env: Mapping[str, str] = {**environment(folder), "MW_STORE": str(store), "MW_WORKERS": workers}
    return shell(SHARDS, env)


def test_a_cluster_of_the_run_makes_the_same_shards_even_where_ray_knows_of_another(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")

    done = run_on("ray:2", project, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "pieces are done on 2 cores of the Ray cluster of this run" in done.stderr
    assert digest_in(project, tmp_path) == digest_in(project, project / ".mw")


def test_a_cluster_that_runs_makes_the_same_shards(project: Path, tmp_path: Path, head: str) -> None:
    done = run_on(head, project, tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"pieces are done on 2 cores of the Ray cluster at {head}" in done.stderr
    assert digest_in(project, tmp_path) == digest_in(project, project / ".mw")


def test_what_is_in_the_store_starts_no_cluster(project: Path) -> None:
    nowhere = "ray://127.0.0.1:1"
    assert not answers(int(nowhere.rpartition(":")[2]))

    done = run_on(nowhere, project, project / ".mw")

    assert done.returncode == 0, done.stderr
    assert "Ray" not in done.stderr
