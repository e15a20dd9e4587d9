"""Work in progress and ledgers on object storage: what one machine has done another goes on with."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from object_servers import Machine, ObjectServer, on_every_engine
from waiting import wait_until

from mw_pipeline.bucket import Bucket, TakenError
from mw_pipeline.corpus.workers import WorkersLostError, working_in
from mw_pipeline.errors import CorpusError, StoreError
from mw_pipeline.store import Store
from mw_pipeline.store.kept_work import KeptWork, staged


@on_every_engine
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
    machines: tuple[Machine, Machine], engine: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    store = machines[0].store(monkeypatch, said)
    with store.work("run", "key") as work:
        (work / "a").write_text("old")
    with store.work("run", "key") as work:
        (work / "a").write_text("newer")
        engine.fail_every(1)
    engine.fail_every(0)
    with store.work("run", "key") as work:
        assert (work / "a").read_text() == "newer"
    with machines[1].store(monkeypatch).work("run", "key") as work:
        assert (work / "a").read_text() == "newer", "it was kept in the end"

    assert any("the work so far is here and not on the store" in line for line in said)


def test_work_whose_folder_was_removed_here_is_fetched_again(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = near_machines[0].store(monkeypatch)
    with store.work("run", "key") as work:
        (work / "last").mkdir()
        (work / "last/a").write_text("weights")
    shutil.rmtree(store.root / "work")

    with near_machines[0].store(monkeypatch).work("run", "key") as work:
        assert (work / "last/a").read_text() == "weights"
        (work / "last/a").unlink()
        (work / "last/b").write_text("better")
    with near_machines[1].store(monkeypatch).work("run", "key") as work:
        assert [path.name for path in (work / "last").iterdir()] == ["b"], "what went on is kept as before"


@pytest.mark.parametrize(
    ("error", "stays_here", "stays_elsewhere"),
    [
        (OSError(errno.EIO, "the disk did not answer"), True, True),
        (OSError(errno.EMFILE, "too many open files"), True, True),
        (OSError(errno.ENOSPC, "the disk is full"), False, True),
        (WorkersLostError("workers died"), True, True),
        (CorpusError("a file of another format"), False, False),
    ],
    ids=lambda value: str(value),
)
def test_what_is_wrong_with_one_machine_takes_its_work_from_no_other(
    near_machines: tuple[Machine, Machine],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    stays_here: bool,
    stays_elsewhere: bool,
) -> None:
    store = near_machines[0].store(monkeypatch)
    with store.work("shards", "key") as work:
        (work / "piece").write_text("done")
    with pytest.raises(type(error)), store.work("shards", "key") as work, working_in(work, passing=False):
        raise error
    assert (store.root / "work/shards/key/piece").exists() == stays_here
    assert not list((store.root / "work/shards").glob(".*")), "what is removed is removed wholly"

    for machine in reversed(near_machines):
        with machine.store(monkeypatch).work("shards", "key") as work:
            assert (work / "piece").exists() == stays_elsewhere


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


def test_who_is_overtaken_while_a_lost_answer_is_asked_for_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, put = Bucket(f"memory://{time.monotonic_ns()}"), Bucket.put
    (tmp_path / "mine").mkdir()
    mine = KeptWork(bucket, "work/a", tmp_path / "mine", tmp_path / "mine.json", [].append)

    def unheard(*arguments: Any, **named: Any) -> None:
        put(*arguments, **named)
        raise StoreError("the network is gone")

    def always_late(*arguments: Any, **named: Any) -> None:
        raise TakenError("work/a")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="the network is gone"):
        patch.setattr(Bucket, "put", unheard)
        mine.keep()
    monkeypatch.setattr(Bucket, "put", always_late)
    with pytest.raises(StoreError, match="another process keeps its work there"):
        mine.keep()


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


def test_who_reads_a_ledger_takes_no_line_from_who_adds_one(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = near_machines[0].store(monkeypatch)
    with store.ledger("ledgers/a.jsonl") as path:
        path.write_text("one\n")
    readers = [threading.Thread(target=store.ledger_path, args=["ledgers/a.jsonl"]) for _ in range(8)]
    with store.ledger("ledgers/a.jsonl") as path:
        path.write_text("one\ntwo\n")
        for reader in readers:
            reader.start()
        readers[0].join(0.3)
        assert path.read_text() == "one\ntwo\n"
    for reader in readers:
        reader.join()

    assert store.ledger_path("ledgers/a.jsonl").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("heard", ["nothing arrives", "an answer is lost"])
def test_lines_that_could_not_be_sent_wait_and_go_once_with_the_next(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, heard: str
) -> None:
    store, other = (machine.store(monkeypatch) for machine in near_machines)
    put = Bucket.put

    def add(to: Store, line: str) -> None:
        with to.ledger("attempts/a.jsonl") as path, path.open("a") as stream:
            stream.write(line)

    def fails(*arguments: Any, **named: Any) -> None:
        if heard == "an answer is lost" and named:
            put(*arguments, **named)
        raise StoreError("the bucket is away")

    add(store, "one\n")
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put", fails)
        if heard == "nothing arrives":
            patch.setattr(Bucket, "get", fails)
        with pytest.raises(StoreError, match="the bucket is away"):
            add(store, "two\n")
        assert (store.root / "attempts/a.jsonl").read_text() == "one\ntwo\n", "it is written here"
        if heard == "nothing arrives":
            with pytest.raises(StoreError, match="the bucket is away"):
                add(store, "three\n")
    add(other, "theirs\n")
    add(store, "four\n")

    expected = {
        "nothing arrives": "one\ntheirs\ntwo\nthree\nfour\n",
        "an answer is lost": "one\ntwo\ntheirs\nfour\n",
    }[heard]
    for each in (store, other):
        assert each.ledger_path("attempts/a.jsonl").read_text() == expected


@on_every_engine
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
