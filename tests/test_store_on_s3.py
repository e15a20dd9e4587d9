"""The store on object storage: there for everybody or for nobody, whatever fails."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from object_servers import Machine, ObjectServer, on_every_engine
from text_makers import MANY, Made, make, never
from waiting import wait_until

from mw_pipeline.artifact import MANIFEST, verify_artifact
from mw_pipeline.bucket import Bucket
from mw_pipeline.cli import main
from mw_pipeline.errors import ArtifactError, StoreError
from mw_pipeline.stages.place import Place


@on_every_engine
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


@on_every_engine
def test_an_upload_that_fails_is_not_made_and_the_next_build_sends_it_without_making_it_again(
    machines: tuple[Machine, Machine], engine: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M72"""
    store = machines[0].store(monkeypatch)

    def fails(folder: Path) -> Made:
        engine.fail_every(1)
        return make(**MANY)(folder)

    with pytest.raises(StoreError) as told:
        store.build("thing", make=fails)
    with pytest.raises(StoreError):
        store.build("thing", make=never)  # it cannot even be asked whether it is there
    engine.fail_every(0)
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


@on_every_engine
def test_a_service_that_fails_every_tenth_request_is_asked_again(
    machines: tuple[Machine, Machine], engine: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.fail_every(10)
    patient = {"MW_STORE_RETRY_SECONDS": "30"}  # on a busy machine a single try may take the second of the others
    here, there = (replace(machine, env=machine.env | patient) for machine in machines)
    store = here.store(monkeypatch)
    for number in range(3):
        assert not store.build("thing", make=make(**MANY), config=number).reused
    elsewhere = there.store(monkeypatch)
    for number in range(3):
        found = elsewhere.build("thing", make=never, config=number)
        assert found.reused and len(list(found.artifact.folder().iterdir())) == 31


KILLED = """
import os, signal, sys
from mw_pipeline.store import Store
from mw_pipeline.bucket import Bucket
from text_makers import make

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


def edited(content: bytes) -> bytes:
    return content.replace(b'"config": 1', b'"config": 2')


@pytest.mark.parametrize("damage", [lambda content: b"{", lambda content: b"\xff", lambda content: b"[]", edited])
def test_a_manifest_that_was_damaged_on_the_store_is_named_there_and_removed_by_the_command_that_is_named(
    near_machines: tuple[Machine, Machine],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[bytes], bytes],
) -> None:
    store = near_machines[0].store(monkeypatch)
    made = store.build("thing", make=make(a="text"), config=1).artifact
    path = f"thing/{made.digest}/{MANIFEST}"
    bucket = Bucket(store.url)
    content, version = bucket.get(path) or (b"", None)
    bucket.put(path, damage(content), over=version)

    for machine in near_machines:
        with pytest.raises(ArtifactError, match=f"{store.url}/{path}: .* edited, or damaged") as told:
            machine.store(monkeypatch).build("thing", make=never, config=1)
        assert f"`mw-pipeline store --remove thing/{made.digest}`" in str(told.value)
    assert main(["store", "--remove", f"thing/{made.digest}"]) == 0
    assert not near_machines[0].store(monkeypatch).build("thing", make=make(a="text"), config=1).reused


@pytest.mark.parametrize("variable", ["MW_LEASE_SECONDS", "MW_CACHE_GB", "MW_STORE_RETRY_SECONDS"])
@pytest.mark.parametrize("text", ["10s", "nan", "-1"])
def test_a_setting_that_is_no_number_is_named_before_anything_is_done(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(ArtifactError, match=f"{variable} is '{text}': expected a number from .*, as in .*Correct it"):
        Place.of(store=near_machines[0].url)


def test_a_process_opens_more_artifacts_than_it_may_have_files_open(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = near_machines[0].store(monkeypatch)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = len(list(Path("/proc/self/fd").iterdir())) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        made = [store.build("thing", make=make(a=str(number)), config=number).artifact for number in range(40)]
        assert [artifact.file("a.txt").read_text() for artifact in made] == [str(number) for number in range(40)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_another_living_process_has_opened_is_not_evicted_and_what_a_dead_one_has_is(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machines[0].store(monkeypatch)
    made = [store.build("thing", make=make(a="x" * 100_000), config=number).artifact for number in range(2)]
    reads = (
        "import os, time; from mw_pipeline.store import Store; "
        "print(Store(os.environ['MW_STORE']).build('thing', make=None, config=0).artifact.folder(), flush=True); "
        "time.sleep(60)"
    )
    with machines[1].start("-c", reads, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        path = Path(child.stdout.readline().strip())
        elsewhere = machines[1].store(monkeypatch)
        monkeypatch.setenv("MW_CACHE_GB", "1e-5")
        elsewhere.load("thing", made[1].digest).folder()
        assert path.exists()
        child.kill()
    another = store.build("thing", make=make(a="y"), config=2).artifact
    machines[1].store(monkeypatch).load("thing", another.digest).folder()

    assert not path.exists()


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
