"""What `make demo` runs, on object storage: two machines that are killed by turns end with the packages of a folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from graph_runs import ROOT, environment
from object_servers import Machine, ObjectServer
from tiny_project import place_at, write_project

from mw_pipeline.artifact import MANIFEST, verify_artifact
from mw_pipeline.bucket import Bucket
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

SEED = 20261129
KILLS = 10
EARLIEST_SECONDS, LATEST_SECONDS = 4.0, 25.0
PATIENCE_SECONDS = 600.0
WEIGHTS = ("best/model.safetensors", "last/model.safetensors")
PACKAGED = ("en-us/model.onnx", "en-us/tokenizer.model", "en-us/crf-transitions.json", "fr-fr/model.onnx")


def demo(machine: Machine, project: Path) -> subprocess.Popen[bytes]:
    """The commands of `make demo`, as a group of processes that ends as one; as the Makefile runs them."""
    home = machine.cache / "home"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    env = environment(project) | machine.surroundings() | {"DAGSTER_HOME": str(home)}
    with (machine.cache / "log").open("ab") as log:
        command = ["sh", "-c", "python -m assets.plan demo | sh -ex"]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the commands, the graph and what they have started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_demo_on_object_storage_that_is_killed_ten_times_ships_the_bytes_of_one_in_a_folder(
    tiny_line: Path,
    project: Path,
    machines: tuple[Machine, Machine],
    s3: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """M72, M73: every tenth request fails on the way, and each kill is gone on from on the other machine."""
    rng = random.Random(SEED)
    checkouts = [write_project(tmp_path / f"project-{machine.name}", golden=project / "golden") for machine in machines]
    s3.fail_every(10)
    killed = 0
    for number in range(KILLS):
        process = demo(machines[number % 2], checkouts[number % 2])
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(EARLIEST_SECONDS, LATEST_SECONDS))
        killed += process.poll() is None
        kill(process)
    last = demo(machines[0], checkouts[0])
    try:
        assert last.wait(PATIENCE_SECONDS) == 0, (machines[0].cache / "log").read_text()[-3000:]
    finally:
        kill(last)
    s3.fail_every(0)

    assert killed >= KILLS // 2, "most of them ended something"
    there, here = Place(machines[1].store(monkeypatch), checkouts[1], checkouts[1]), place_at(tiny_line)
    bucket = Bucket(machines[1].url)
    made = [path.split("/") for path in bucket.sizes("") if path.endswith(f"/{MANIFEST}")]
    keys = [(kind, digest[:32]) for kind, digest, _ in made]
    assert len(keys) == len(set(keys)) > KILLS, "nothing was made twice"
    assert bucket.sizes("work") == {}
    for stage, names in ((line.full_checkpoint, WEIGHTS), (line.packaged_weights, PACKAGED)):
        mine, theirs = stage.demand(there, "demo"), stage.demand(here, "demo")
        assert [mine.file(name).read_bytes() for name in names] == [theirs.file(name).read_bytes() for name in names]
        verify_artifact(mine)
    for name in PACKAGED:
        assert (checkouts[0] / "releases" / "demo" / name).read_bytes() == mine.file(name).read_bytes()
