"""Shared fixtures: the real raw files, where they are there at all, and a tiny project that has run."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aligned_rows import keys_beside
from object_servers import Machine, ObjectServer, azure_server, google_server, s3_server
from tiny_project import change, copy_project, write_project

from mw_pipeline.records.tables import ROW_SCHEMA
from mw_pipeline.stages.place import Place

if TYPE_CHECKING:
    from honest_smoke import Lock
    from toy_run import Toy

    from mw_pipeline.train.plan import RunPlan, RunResult

# A busy machine is no finding, and CI does not judge by chance: people get fresh examples.
hypothesis.settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("house")

# What gates keep is sealed by a key of these tests alone, the same in all of their processes.
os.environ.setdefault("MW_SEAL_KEY", str(Path(tempfile.mkdtemp(prefix="mw-tests-")) / "seal.key"))

# A shell ignores Ctrl-C for what it puts in the background, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def raw_data() -> Path:
    """The folder of real raw files: MW_DATA, else `shared/data` beside the checkout; skips where neither has them."""
    places = [Path(os.environ.get("MW_DATA", "data")), ROOT.parent / "shared" / "data"]
    path = next((place for place in places if (place / "SOURCES.md").is_file()), None)
    if path is None:
        pytest.skip(f"no real raw files in {' or '.join(map(str, places))}")
    return path


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `packages/en-us`, `packages/fr-fr`, `best/` (their checkpoint) and `tokenizer.model`: read only."""
    from tiny_package import build_release  # here, because most test files need no torch

    folder = tmp_path_factory.mktemp("release")
    build_release(folder)
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A tokenized corpus that a tiny model learns in seconds: read only."""
    from toy_run import build_toy

    return build_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def unbroken(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPlan, RunResult, list[dict[str, Any]]]:
    """One run on it from start to end: plan, result and events."""
    from toy_run import toy_plan

    from mw_pipeline.train.loop import train

    plan = toy_plan(toy, tmp_path_factory.mktemp("unbroken"))
    events: list[dict[str, Any]] = []
    return plan, train(plan, on_event=events.append), events


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lock:
    """A smoke that was really trained, with all that the lock is shown of it: read only."""
    from honest_smoke import trained_lock

    return trained_lock(tmp_path_factory.mktemp("smoke"))


@pytest.fixture(scope="session")
def tiny_line(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A tiny project whose whole line has run, from raw rows to packages: read only, made once for all workers."""
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    with (shared / "line.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "line").exists():
            draft = write_project(shared / "line.draft", golden=project / "golden")
            in_a_process_of_its_own(project, draft)
            draft.rename(shared / "line")
    return shared / "line"


@pytest.fixture(scope="session")
def hot_line(tiny_line: Path, tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """The same project with fifty times its learning rate, after its smoke: read only."""
    place = copy_project(tiny_line, tmp_path_factory.mktemp("hot") / "project")
    change(place.project, "peak_lr = 5e-3", "peak_lr = 0.5")
    in_a_process_of_its_own(project, place.project, "source_mix", "closed_words", "smoke_checkpoint")
    return place.project


@pytest.fixture
def place(tiny_line: Path, tmp_path: Path) -> Place:
    """A copy of the tiny project, for a test to break."""
    return copy_project(tiny_line, tmp_path / "project")


@pytest.fixture
def hot(hot_line: Path, tmp_path: Path) -> Place:
    """A copy of the project whose smoke has failed."""
    return copy_project(hot_line, tmp_path / "hot")


def in_a_process_of_its_own(project: Path, folder: Path, *stages: str) -> None:
    """Runs stages of a tiny project, or all of them, without loading torch here."""
    script = Path(__file__).parent / "tiny_line.py"
    subprocess.run([sys.executable, str(script), str(folder), *stages], cwd=project, check=True, timeout=600)


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectServer]:
    """A service of S3 on this machine; skips where there is no moto."""
    with s3_server() as found:
        yield found


@pytest.fixture(scope="session")
def gs() -> Iterator[ObjectServer]:
    """One that answers as Google's does; skips where there is no moto."""
    with google_server() as found:
        yield found


@pytest.fixture(scope="session")
def az() -> Iterator[ObjectServer]:
    """One of Azure; skips where there is no Azurite."""
    with azure_server() as found:
        yield found


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[ObjectServer]:
    """The service that `machines` have their store on: of S3, but for tests that are marked `on_every_engine`."""
    found: ObjectServer = request.getfixturevalue(getattr(request, "param", "s3"))
    yield found
    found.fail_every(0)


@pytest.fixture
def machines(
    engine: ObjectServer, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Machine, Machine]:
    """Two machines on one store that is empty, whose claims are taken over after three seconds."""
    monkeypatch.setenv("MW_LEASE_SECONDS", "3")
    url = engine.make_bucket(f"bucket-{abs(hash(request.node.nodeid))}")
    env = {**engine.env, "MW_LEASE_SECONDS": "3"}
    return Machine("one", tmp_path / "one", url, env), Machine("two", tmp_path / "two", url, env)


@pytest.fixture
def near_machines(tmp_path: Path) -> tuple[Machine, Machine]:
    """Two machines on one store that is empty and ends with this process, for what needs no service."""
    url = f"memory://{time.monotonic_ns()}"
    return Machine("one", tmp_path / "one", url, {}), Machine("two", tmp_path / "two", url, {})


@pytest.fixture
def shards(tmp_path: Path) -> Any:
    """Writes rows, one file per list, and returns the paths; a quote in the folder's name must not matter."""

    def write(*parts: list[dict[str, Any]]) -> list[Path]:
        folder = tmp_path / "o'shards"
        folder.mkdir(exist_ok=True)
        paths = [folder / f"part-{number}.parquet" for number in range(len(parts))]
        for path, rows in zip(paths, parts, strict=True):
            pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), path)
        return paths

    return write


@pytest.fixture
def keyed(shards: Any) -> Any:
    """As `shards`, and returns the files of their keys."""
    return lambda *parts: keys_beside(shards(*parts))
