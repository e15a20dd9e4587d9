"""Two machines on one store of object storage: what one has begun the other goes on with, and both make it once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from object_servers import Machine

from mw_pipeline.artifact import MANIFEST
from mw_pipeline.bucket import Bucket
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Store
from mw_pipeline.store.kept_work import Snapshot

pytestmark = pytest.mark.slow

WEIGHTS = ("best/model.safetensors", "last/model.safetensors")
PATIENCE_SECONDS = 300.0
STAGES = """
import sys
from pathlib import Path
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages.place import Place
from tiny_line import run_stage

place = Place.of(project=sys.argv[1], data=sys.argv[1])
try:
    run_stage(place, sys.argv[2])
except ArtifactError as error:
    assert "is being made by process" in str(error), error
    sys.exit(3)
"""
TOLD = 3


def send(store: Store, bucket: Bucket, *, without: tuple[str, ...]) -> None:
    """Puts what a folder has into a bucket, but for some kinds of artifacts."""
    for manifest in store.root.glob(f"*/[!.]*/{MANIFEST}"):
        if manifest.parent.parent.name not in without:
            for path in (path for path in manifest.parent.rglob("*") if path.is_file()):
                bucket.upload(path.relative_to(store.root).as_posix(), path)


def kept_steps(bucket: Bucket) -> list[str]:
    """Names of all files of work that the bucket keeps."""
    found = [bucket.get(path) for path in bucket.sizes("work") if path.endswith("/snapshot.json")]
    return [name for each in found if each for name in Snapshot.of_bytes(each[0], "").files]


def place_of(machine: Machine, project: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(machine.store(monkeypatch), project, project)


def test_a_smoke_goes_on_elsewhere_when_its_machine_has_vanished(
    place: Place, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """M73: the second is told who trains, takes over when that is gone, and ends with the same weights."""
    kind, gone = "smoke_checkpoint", ("smoke_checkpoint", "smoke_verdict", "full_run_permit", "full_checkpoint")
    unbroken = line.smoke_checkpoint.demand(place, "demo")
    there = place_of(machines[1], place.project, monkeypatch)
    bucket = Bucket(machines[1].url)
    send(place.store, bucket, without=gone)
    arguments = ("-c", STAGES, str(place.project), kind)

    with machines[0].start(*arguments) as first:
        limit = time.monotonic() + PATIENCE_SECONDS
        while "last/checkpoint.json" not in kept_steps(bucket):
            assert first.poll() is None and time.monotonic() < limit
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGSTOP)  # so that it is at work however fast the rest goes
        with pytest.raises(ArtifactError, match=rf"{kind} \w+ is being made by process {first.pid} on one since "):
            line.smoke_checkpoint.make(there, "demo")
        first.kill()
    ended = time.monotonic() + PATIENCE_SECONDS
    while (status := machines[1].start(*arguments).wait()) == TOLD:
        assert time.monotonic() < ended
    assert status == 0

    smoke = line.smoke_checkpoint.demand(there, "demo")
    assert smoke.read_json("run.json")["resumed_from_steps"]
    assert [smoke.file(name).read_bytes() for name in WEIGHTS] == [unbroken.file(name).read_bytes() for name in WEIGHTS]
    assert bucket.sizes("work") == bucket.sizes("locks") == {}
    assert line.smoke_checkpoint.make(place_of(machines[0], place.project, monkeypatch), "demo").reused
