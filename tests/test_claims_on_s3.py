"""Who works on a key of a store on object storage: seen by all machines, and held by one."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from object_servers import Machine, on_every_engine
from text_makers import Made, make, never
from waiting import wait_until

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


@on_every_engine
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


@on_every_engine
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


def rob(machine: Machine) -> None:
    """Another process takes over the claim, and no thread has noticed yet."""
    bucket = Bucket(machine.url)
    (path,) = bucket.sizes("locks")
    found = bucket.get(path)
    assert found is not None
    bucket.put(path, Holder.here().as_bytes(), over=found[1])


@pytest.mark.parametrize("moment", ["before files are sent", "while files are sent"])
def test_a_claim_that_was_lost_unnoticed_is_asked_for_before_anything_is_published(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setenv("MW_LEASE_SECONDS", "600")  # no renewal comes to it in time
    store, upload, sent = near_machines[0].store(monkeypatch), Bucket.upload, list[str]()

    def uploaded(bucket: Bucket, path: str, file: Path) -> None:
        sent.append(path)
        rob(near_machines[0])
        upload(bucket, path, file)

    def made(folder: Path) -> Made:
        if moment == "before files are sent":
            rob(near_machines[0])
        return make(a="mine")(folder)

    monkeypatch.setattr(Bucket, "upload", uploaded)
    with pytest.raises(StoreError, match=r"its claim went to process .* on one since"):
        store.build("thing", make=made)
    assert store.digests("thing", "") == []
    assert len(sent) == (moment == "while files are sent")


def test_a_renewal_whose_answer_was_lost_is_no_loss_of_the_claim(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_LEASE_SECONDS", "600")
    store, put = near_machines[0].store(monkeypatch), Bucket.put

    def unheard(*arguments: Any, **named: Any) -> None:
        put(*arguments, **named)
        raise StoreError("the network is gone")

    with store.claim("thing", "key") as demand_claim:
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "put", unheard)
            with pytest.raises(StoreError, match="the network is gone"):
                demand_claim()
        demand_claim()
    assert Bucket(near_machines[0].url).sizes("locks") == {}, "it was given back"


def test_work_is_not_swept_from_under_who_holds_its_key(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (machine.store(monkeypatch) for machine in near_machines)
    bucket = Bucket(first.url)
    with second.claim("run", "key"), second.work("run", "key") as work:
        (work / "a").write_text("weights")
        wait_until(lambda: len(bucket.sizes("work")) == 2)
        first.sweep_work("run", "key")
        assert len(bucket.sizes("work")) == 2

    first.sweep_work("run", "key")
    assert bucket.sizes("work") == {}


def test_who_is_gone_and_whose_clock_ran_ahead_is_not_waited_for_until_that_time_has_come(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_LEASE_SECONDS", "0.6")
    store = near_machines[0].store(monkeypatch)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}"
    gone = replace(Holder.here(), machine="elsewhere", process=None, renewed=tomorrow)
    Bucket(store.url).put("locks/thing/key.json", gone.as_bytes(), over=None)

    with store.claim("thing", "key"):
        holder = Holder.of_bytes(Bucket(store.url).get("locks/thing/key.json")[0])
        assert holder is not None
        assert holder.machine == near_machines[0].name


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


def test_nothing_is_sent_of_what_would_be_refused(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, mine, store, _ = two_contents(machines, monkeypatch)

    assert list(Bucket(store.url).sizes(f"thing/{theirs}"))
    assert not Bucket(store.url).sizes(f"thing/{mine}")


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
