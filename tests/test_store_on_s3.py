"""The store on object storage: there for everybody or for nobody, whatever fails, and whoever else works there."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3_server import Machine, S3Server, s3_server

from mw_pipeline.artifact import MANIFEST, verify_artifact
from mw_pipeline.bucket import Bucket, TakenError
from mw_pipeline.errors import ArtifactError, StoreError
from mw_pipeline.store import Store
from mw_pipeline.store.kept_work import KeptWork, staged
from mw_pipeline.store.leases import Holder

Made = dict[str, str]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as found:
        yield found


@pytest.fixture
def machines(
    server: S3Server, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Machine, Machine]]:
    """Two machines on one store that is empty."""
    monkeypatch.setenv("MW_LEASE_SECONDS", "3")
    url = server.make_bucket(f"bucket-{abs(hash(request.node.nodeid))}")
    env = {**server.env, "MW_LEASE_SECONDS": "3"}
    yield Machine("one", tmp_path / "one", url, env), Machine("two", tmp_path / "two", url, env)
    server.fail_every(0)


def make(**files: str) -> Callable[[Path], Made]:
    def write(folder: Path) -> Made:
        for name, text in files.items():
            (folder / f"{name}.txt").write_text(text)
        return {}

    return write


def never(folder: Path) -> Made:
    pytest.fail("made again")


MANY = {f"part-{number}": f"text {number}" * 100 for number in range(30)}


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.02)


# What a bucket promises


@pytest.mark.parametrize("kind", ["s3", "memory"])
def test_an_object_is_created_once_and_replaced_only_by_who_knows_it(
    kind: str, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines[0].store(monkeypatch)
    bucket = Bucket(machines[0].url if kind == "s3" else f"memory://{time.monotonic_ns()}")
    first = bucket.put("a/lease", b"first", over=None)
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"second", over=None)
    second = bucket.put("a/lease", b"second", over=first)
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"third", over=first)

    assert bucket.get("a/lease") == (b"second", second)
    assert bucket.put("a/lease", b"second", over=first) == second, "an answer that was lost on its way is asked for"
    bucket.delete(["a/lease"])
    assert bucket.get("a/lease") is None
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"third", over=second)


def test_folders_are_listed_by_the_beginning_of_their_names(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines[0].store(monkeypatch)
    bucket = Bucket(machines[0].url)
    for name in ("aa1", "ab1", "ab2", "b"):
        for file in ("x", "manifest.json", "z/é #1"):
            bucket.put(f"kind/{name}/{file}", b"", over=None)

    assert list(bucket.folders("kind", "ab")) == ["ab1", "ab2"]
    assert list(bucket.folders("kind", "")) == ["aa1", "ab1", "ab2", "b"]
    assert list(bucket.folders("kind", "c")) == list(bucket.folders("other", "")) == []


# There for everybody or for nobody


def test_what_one_machine_has_made_another_finds_and_fetches_file_by_file(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machines[0].store(monkeypatch).build("thing", make=make(**MANY))
    elsewhere = machines[1].store(monkeypatch)
    found = elsewhere.build("thing", make=never)

    assert (made.reused, found.reused) == (False, True)
    assert found.artifact.digest == made.artifact.digest
    assert found.artifact.path.is_relative_to(tmp := machines[1].cache), tmp
    assert [path.name for path in found.artifact.path.iterdir()] == [MANIFEST], "nothing is fetched before it is opened"
    assert found.artifact.file("part-3.txt").read_text() == MANY["part-3"]
    assert sorted(path.name for path in found.artifact.path.iterdir()) == [MANIFEST, "part-3.txt"]
    verify_artifact(found.artifact)
    assert len(list(found.artifact.folder().iterdir())) == 31


def test_an_upload_that_fails_is_not_made_and_the_next_build_sends_it_without_making_it_again(
    machines: tuple[Machine, Machine], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M72"""
    store = machines[0].store(monkeypatch)

    def fails(folder: Path) -> Made:
        server.fail_every(1)
        return make(**MANY)(folder)

    with pytest.raises(StoreError) as told:
        store.build("thing", make=fails)
    with pytest.raises(StoreError):
        store.build("thing", make=never)  # it cannot even be asked whether it is there
    server.fail_every(0)
    assert machines[1].store(monkeypatch).digests("thing", "") == []
    sent = machines[0].store(monkeypatch).build("thing", make=never)

    assert "is made, but not there for others" in str(told.value)
    assert "the same command goes on with sending it, and makes nothing again" in str(told.value)
    assert not sent.reused
    found = machines[1].store(monkeypatch).build("thing", make=never)
    assert found.reused and len(list(found.artifact.folder().iterdir())) == 31


def test_what_the_cache_holds_alone_is_never_reused(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """M72"""
    store = machines[0].store(monkeypatch)
    made = store.build("thing", make=make(a="text")).artifact
    Bucket(machines[0].url).delete([f"thing/{made.digest}/{MANIFEST}"])

    assert store.find("thing", made.manifest.key) is None
    with pytest.raises(ArtifactError, match="there is no such artifact in this store"):
        store.load("thing", made.digest)
    assert not store.build("thing", make=make(a="text")).reused


def test_a_service_that_fails_every_tenth_request_is_asked_again(
    machines: tuple[Machine, Machine], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail_every(10)
    store = machines[0].store(monkeypatch)
    for number in range(3):
        assert not store.build("thing", make=make(**MANY), config=number).reused
    elsewhere = machines[1].store(monkeypatch)
    for number in range(3):
        found = elsewhere.build("thing", make=never, config=number)
        assert found.reused and len(list(found.artifact.folder().iterdir())) == 31


KILLED = """
import os, signal, sys
from mw_pipeline.store import Store
from mw_pipeline.bucket import Bucket
from test_store_on_s3 import MANY, make

left = [int(sys.argv[1])]
def counted(call):
    def counts(*args, **options):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return call(*args, **options)
    return counts

for name in ("get", "put", "upload", "sizes", "folders", "delete"):
    setattr(Bucket, name, counted(getattr(Bucket, name)))
Store(os.environ["MW_STORE"]).build("thing", make=make(a="text", b="more"))
"""


def test_killed_before_any_request_of_a_build_another_machine_has_it_made_whole(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MW_LEASE_SECONDS", "0.3")
    digests, killed = set(), 0
    for number in range(100):
        here = Machine("one", machines[0].cache / str(number), machines[0].url + f"/{number}", machines[0].env)
        with here.start("-c", KILLED, str(number)) as child:
            status = child.wait()
        there = Machine("two", machines[1].cache / str(number), here.url, machines[1].env | {"MW_LEASE_SECONDS": "0.3"})
        wait_until(lambda: _is_built(there, monkeypatch))  # noqa: B023
        found = there.store(monkeypatch).build("thing", make=never).artifact
        verify_artifact(found)
        digests.add(found.digest)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1

    assert len(digests) == 1
    assert killed >= 8, "claim, look up, files, look up again, manifest, give back"


def _is_built(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> bool:
    try:
        machine.store(monkeypatch).build("thing", make=make(a="text", b="more"))
    except ArtifactError as error:
        assert "is being made by process" in str(error)
        return False
    return True


# Who works on a key

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


# Two contents of one key


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


# The cache


def test_the_cache_lets_go_of_what_was_used_longest_ago_and_keeps_what_is_in_use(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machines[0].store(monkeypatch)
    for number in range(3):
        store.build("thing", make=make(a="x" * 100_000), config=number)
    monkeypatch.setenv("MW_CACHE_GB", "2.5e-4")
    reads = (
        "import os, sys; from mw_pipeline.store import Store; "
        "print(Store(os.environ['MW_STORE']).build('thing', make=None, config=int(sys.argv[1])).artifact.folder())"
    )
    there = Machine("two", machines[1].cache, machines[1].url, {**machines[1].env, "MW_CACHE_GB": "2.5e-4"})
    paths = []
    for number in range(3):
        with there.start("-c", reads, str(number), stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            paths.append(Path(child.stdout.read().strip()))

    assert [path.exists() for path in paths] == [False, True, True]
    elsewhere = there.store(monkeypatch)
    mine = [elsewhere.build("thing", make=never, config=number).artifact for number in range(3)]
    lengths = [len(artifact.file("a.txt").read_text()) for artifact in mine]
    assert lengths == [100_000] * 3 and all(artifact.path.exists() for artifact in mine), "all of them are in use"


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = machines[0].store(monkeypatch).build("thing", make=make(a="text")).artifact
    artifact.file("a.txt").write_text("tixt")
    artifact = machines[0].store(monkeypatch).build("thing", make=never).artifact

    assert artifact.file("a.txt").read_text() == "text"


def test_bytes_on_the_store_that_are_not_those_of_the_manifest_are_never_handed_out(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = machines[0].store(monkeypatch).build("thing", make=make(a="text")).artifact
    (tmp_path / "other").write_text("tixt")
    bucket = Bucket(machines[0].url)
    bucket.upload(f"thing/{made.digest}/a.txt", tmp_path / "other")
    found = machines[1].store(monkeypatch).build("thing", make=never).artifact
    with pytest.raises(ArtifactError, match="its bytes are not those that the manifest hashed"):
        found.file("a.txt")

    bucket.delete([f"thing/{made.digest}/a.txt"])
    with pytest.raises(ArtifactError, match="is missing, the manifest lists it with 4 bytes"):
        machines[1].store(monkeypatch).build("thing", make=never)


# Work in progress


def test_work_that_was_killed_goes_on_elsewhere_from_what_was_kept_last(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = (
        "import os, time, pathlib; from mw_pipeline.store import Store\n"
        "with Store(os.environ['MW_STORE']).work('run', 'key') as work:\n"
        "    (work / 'last').mkdir(); (work / 'last/a').write_text('weights'); (work / 'log.jsonl').write_text('{}')\n"
        "    time.sleep(60)"
    )
    bucket = Bucket(machines[0].store(monkeypatch).url)
    with machines[0].start("-c", works) as first:
        wait_until(lambda: bucket.get("work/run/key/snapshot.json") is not None)
        first.kill()

    store = machines[1].store(monkeypatch)
    with store.work("run", "key") as work:
        assert sorted(p.relative_to(work).as_posix() for p in work.rglob("*")) == ["last", "last/a", "log.jsonl"]
        assert (work / "last/a").read_text() == "weights"
        (work / "last/a").unlink()
        (work / "last/b").write_text("better")
    with machines[0].store(monkeypatch).work("run", "key") as work:  # whom the second has overtaken
        assert [path.name for path in (work / "last").iterdir()] == ["b"]
        assert len(bucket.sizes("work/run/key")) == 3, "two files and the snapshot: what nothing names is removed"
    store.sweep_work("run", "key")
    assert bucket.sizes("work/run/key") == {} and not (store.root / "work/run/key").exists()


def test_work_that_went_on_here_unkept_is_not_given_up(
    machines: tuple[Machine, Machine], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    store = machines[0].store(monkeypatch, said)
    with store.work("run", "key") as work:
        (work / "a").write_text("old")
    with store.work("run", "key") as work:
        (work / "a").write_text("newer")
        server.fail_every(1)
    server.fail_every(0)
    with store.work("run", "key") as work:
        assert (work / "a").read_text() == "newer"
    with machines[1].store(monkeypatch).work("run", "key") as work:
        assert (work / "a").read_text() == "newer", "it was kept in the end"

    assert any("the work so far is here and not on the store" in line for line in said)


def test_only_one_process_keeps_its_work_under_a_key(tmp_path: Path) -> None:
    bucket = Bucket(f"memory://{time.monotonic_ns()}")
    mine, other = (
        KeptWork(bucket, "work/a", tmp_path / name, tmp_path / f"{name}.json", [].append) for name in ("mine", "other")
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("a")
    mine.fetch()
    other.fetch()
    mine.keep()
    (tmp_path / "other").mkdir()

    with pytest.raises(StoreError, match="another process keeps its work there"):
        other.keep()
    mine.keep()
    bucket.put("work/b/snapshot.json", b"{", over=None)
    with pytest.raises(StoreError, match="is no snapshot of work"):
        KeptWork(bucket, "work/b", tmp_path / "b", tmp_path / "b.json", [].append).fetch()


def test_a_snapshot_never_has_files_of_two_checkpoints(tmp_path: Path) -> None:
    folder, fresh, staging = tmp_path / "work", tmp_path / "work" / ".new", tmp_path / "staging"
    ends = threading.Event()

    def checkpoints() -> None:
        number = 0
        while not ends.is_set():
            fresh.mkdir(parents=True)
            for name in "abc":
                (fresh / name).write_text(str(number))
            if (folder / "last").exists():
                (folder / "last").rename(folder / ".old")
            fresh.rename(folder / "last")
            shutil.rmtree(folder / ".old", ignore_errors=True)
            number += 1

    thread = threading.Thread(target=checkpoints)
    thread.start()
    seen = set()
    try:
        for _ in range(300):
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            found = staged(folder, staging, {})
            if "last/a" in found:
                texts = [path.read_text() for _, path in found.values() if path is not None]
                assert len(texts) == 3 and len(set(texts)) == 1
                seen.add(texts[0])
    finally:
        ends.set()
        thread.join()
    assert len(seen) > 10


def test_a_ledger_has_the_lines_of_all_machines(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [machine.store(monkeypatch) for machine in machines]
    with stores[0].ledger("ledgers/a.jsonl") as outer:
        outer.write_text("one\n")
        with stores[1].ledger("ledgers/a.jsonl") as inner:
            assert not inner.exists()
            inner.write_text("two\n")

    assert stores[0].ledger_path("ledgers/a.jsonl").read_text() == "two\none\n"
    assert stores[1].ledger_path("ledgers/a.jsonl").read_text() == "two\none\n"
    shutil.rmtree(stores[1].root)
    assert stores[1].ledger_path("ledgers/a.jsonl").read_text() == "two\none\n"


def test_a_bucket_that_is_not_there_is_named(server: S3Server, machines: tuple[Machine, Machine], monkeypatch) -> None:
    nowhere = Machine("one", machines[0].cache, "s3://nowhere/store", machines[0].env).store(monkeypatch)

    with pytest.raises(StoreError, match=r"the store 's3://nowhere/store' failed at .*nowhere"):
        nowhere.build("thing", make=make(a="text"))
