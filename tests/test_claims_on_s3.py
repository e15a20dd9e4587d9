"""Who works on a key of a store on object storage: seen by all machines, and held by one."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from s3_server import Machine
from text_makers import Made, make, never, wait_until

from mw_pipeline.artifact import MANIFEST
from mw_pipeline.bucket import Bucket
from mw_pipeline.errors import ArtifactError, StoreError
from mw_pipeline.store import Store
from mw_pipeline.store.leases import Holder

HOLDS = """
import os, sys, time
from mw_pipeline.store import Store
with Store(os.environ["MW_STORE"]).claim("thing", "key"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(machine: Machine) -> subprocess.Popen[str]:
    child = machine.start("-c", HOLDS, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_the_second_machine_is_told_who_holds_a_key_and_takes_over_when_that_is_gone(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """M73"""
    said: list[str] = []
    store = machines[1].store(monkeypatch, said)
    with holder(machines[0]) as first:
        assert first.stdout is not None
        time.sleep(3.5)  # longer than a lease lasts: it is renewed
        with pytest.raises(ArtifactError) as told, store.claim("thing", "key"):
            pass
        first.kill()
        first.wait()
        with pytest.raises(ArtifactError), store.claim("thing", "key"):
            pass  # it may be alive, for all that this machine can know
        with store.claim("thing", "key", patience_seconds=30):
            other = machines[0].store(monkeypatch)
            with pytest.raises(ArtifactError), other.claim("thing", "key"):
                pass

    assert f"thing key is being made by process {first.pid} on one since " in str(told.value)
    assert "a claim that is not renewed for 3 s is taken over" in str(told.value)
    assert any("it is taken over in 1 s unless it is renewed" in line for line in said)


def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_LEASE_SECONDS", "600")
    here = Machine("one", machines[0].cache, machines[0].url, machines[0].env | {"MW_LEASE_SECONDS": "600"})
    with holder(here) as first:
        first.kill()
        first.wait()
        assert first.stdout is not None

    with here.store(monkeypatch).claim("thing", "key"):
        pass


def test_a_clock_that_is_wrong_takes_no_claim_from_who_lives(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machines[1].store(monkeypatch)
    monkeypatch.setattr(Holder, "age_seconds", 1e6)  # by the clock of this machine, it has not been heard of for days
    with holder(machines[0]) as first:
        assert first.stdout is not None
        with pytest.raises(ArtifactError, match="is being made by process"), store.claim("thing", "key"):
            pass
        first.kill()


def test_who_lost_the_claim_publishes_nothing(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    store = machines[0].store(monkeypatch, said)
    bucket = Bucket(machines[0].url)

    def robbed(folder: Path) -> Made:
        (path,) = bucket.sizes("locks")
        found = bucket.get(path)
        assert found is not None
        machines[1].store(monkeypatch)
        bucket.put(path, Holder.here().as_bytes(), over=found[1])
        wait_until(lambda: any("the claim was lost to process" in line for line in said))
        return make(a="mine")(folder)

    with pytest.raises(StoreError, match=r"its claim went to process .* on two since"):
        store.build("thing", make=robbed)
    assert store.digests("thing", "") == []


def two_contents(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str, Store, ArtifactError]:
    """A second machine whose claim did not keep the first from publishing other bytes of the same key meanwhile."""
    first, theirs = machines[0].store(monkeypatch), list[str]()
    second = machines[1].store(monkeypatch)

    def slow(folder: Path) -> Made:
        (lease,) = Bucket(machines[1].url).sizes("locks")
        Bucket(machines[1].url).delete([lease])
        theirs.append(first.build("thing", make=make(a="theirs")).artifact.digest)
        return make(a="mine")(folder)

    monkeypatch.setattr("mw_pipeline.store.leases.Lease.demand", lambda self: None)
    with pytest.raises(ArtifactError) as told:
        second.build("thing", make=slow)
    (draft,) = (second.root / "thing").glob(".draft-*")
    return theirs[0], json.loads((draft / MANIFEST).read_text())["digest"], second, told.value


def test_two_contents_of_one_key_are_told_with_both_makers_and_block_nobody(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """M73"""
    theirs, mine, store, told = two_contents(machines, monkeypatch)

    assert str(told).count(" on two at ") == 2, "this process is both machines"
    assert theirs in str(told) and f"`mw-pipeline store --keep thing/{mine}`" in str(told)
    assert store.build("thing", make=never).artifact.digest == theirs
    assert not list((store.root / "thing").glob(".draft-*"))


def test_the_other_content_is_kept_by_a_command(
    machines: tuple[Machine, Machine],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mw_pipeline.cli import main

    theirs, mine, _, _ = two_contents(machines, monkeypatch)

    assert main(["store", "--keep", f"thing/{mine}"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [f"thing/{theirs}"]
    found = machines[0].store(monkeypatch).build("thing", make=never)
    assert found.reused and found.artifact.file("a.txt").read_text() == "mine"
