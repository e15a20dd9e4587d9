"""Artifacts are named by what went in and what came out; what is not whole is not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed import killed_at_every_file_operation

from mw_pipeline.artifact import MANIFEST, Artifact, read_artifact, verify_artifact
from mw_pipeline.cli import main
from mw_pipeline.digest import code_digest, digest_of, sha256_remembered
from mw_pipeline.errors import ArtifactError
from mw_pipeline.store import Store

METRICS = {"rows": 2}


def make_text(text: str):
    def make(folder: Path) -> dict[str, int]:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text(text)
        return METRICS

    return make


def build(store: Store, text: str = "hello", **config: object) -> Artifact:
    return store.build("thing", make=make_text(text), config=config).artifact


def test_the_same_request_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.build("thing", make=make_text("hello"), config={"a": 1})
    second = store.build("thing", make=lambda folder: pytest.fail("made twice"), config={"a": 1})

    assert (first.reused, second.reused) == (False, True)
    assert second.artifact.digest == first.artifact.digest
    assert second.artifact.metrics == {**METRICS, "seconds": first.artifact.metrics["seconds"]}


def test_another_config_input_or_content_gives_another_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = build(store, a=1), build(store, a=2)
    above = store.build("above", make=make_text("x"), inputs=[one]).artifact
    beside = store.build("above", make=make_text("x"), inputs=[two]).artifact

    assert one.digest != two.digest
    assert one.digest[32:] == two.digest[32:], "the same bytes came out"
    assert above.digest != beside.digest
    assert above.input("thing").digest == one.digest


def test_an_artifact_has_what_it_was_made_from_for_as_long_as_the_store_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = build(store, a=1), store.build("other", make=make_text("x")).artifact
    above = store.build("above", make=make_text("x"), inputs=[one, two]).artifact

    assert above.inputs() == [one, two]
    assert above.inputs("other") == [two]
    shutil.rmtree(one.path)
    with pytest.raises(ArtifactError, match=r"there is no such artifact in this store\. Materialize thing again"):
        above.inputs("thing")


def test_what_was_written_verifies_and_a_flipped_byte_does_not(tmp_path: Path) -> None:
    artifact = build(Store(tmp_path))
    verify_artifact(artifact)
    artifact.file("sub/a.txt").write_text("jello")

    with pytest.raises(ArtifactError, match=r"a\.txt: its bytes are not those that the manifest hashed"):
        verify_artifact(artifact)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.file("sub/a.txt").unlink(), "is missing, the manifest lists it with 5 bytes"),
        (lambda a: a.file("sub/a.txt").write_text("hell"), "has 4 bytes, the manifest says 5"),
        (lambda a: (a.path / "b.txt").write_text("b"), r"holds 'b\.txt', which the manifest does not list"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage, message: str) -> None:
    artifact = build(Store(tmp_path))
    damage(artifact)

    with pytest.raises(ArtifactError, match=message):
        verify_artifact(artifact)


DAMAGES = (
    pytest.param(lambda path: path.unlink(), "is missing, the manifest lists it", id="gone"),
    pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 4 bytes, the manifest says 5", id="cut"),
    pytest.param(lambda path: path.write_text("jello"), "its bytes are not those that the manifest hashed", id="flip"),
)


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_a_damaged_file_is_never_handed_out(tmp_path: Path, damage, message: str) -> None:
    artifact = build(Store(tmp_path))
    assert artifact.file("sub/a.txt").read_text() == (artifact.folder("sub") / "a.txt").read_text() == "hello"
    damage(artifact.path / "sub/a.txt")

    for reader in (lambda: artifact.file("sub/a.txt"), lambda: artifact.folder("sub"), artifact.folder):
        with pytest.raises(ArtifactError, match=message):
            reader()


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_nothing_is_made_from_a_damaged_input_and_nothing_damaged_is_found_again(
    tmp_path: Path, damage, message: str
) -> None:
    store = Store(tmp_path)
    source = build(store)
    heir = store.build("heir", make=lambda out: {}, inputs=[source])
    assert store.build("heir", make=lambda out: {}, inputs=[source]).reused and not heir.reused
    damage(source.path / "sub/a.txt")

    with pytest.raises(ArtifactError, match=message):
        store.build("another heir", make=lambda out: {}, inputs=[source])
    with pytest.raises(ArtifactError, match=message):
        build(store)


def put_in_place_of(path: Path, text: str) -> None:
    """Other bytes of the same number in the same file, with the time of the old ones put back."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock has a tick of its own
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def test_a_file_rewritten_with_its_time_put_back_is_hashed_again(tmp_path: Path) -> None:
    artifact = build(Store(tmp_path))
    path = artifact.file("sub/a.txt")
    remembered = sha256_remembered(path)

    put_in_place_of(path, "h3ll0")

    assert sha256_remembered(path) != remembered
    with pytest.raises(ArtifactError, match=r"a\.txt: its bytes are not those that the manifest hashed"):
        artifact.file("sub/a.txt")


def test_a_file_rewritten_with_the_same_bytes_is_still_what_it_was(tmp_path: Path) -> None:
    artifact = build(Store(tmp_path))
    path = artifact.file("sub/a.txt")
    remembered = sha256_remembered(path)

    put_in_place_of(path, "hello")

    assert sha256_remembered(path) == remembered
    assert artifact.file("sub/a.txt") == path


def test_an_edited_manifest_no_longer_fits_its_digest(tmp_path: Path) -> None:
    artifact = build(Store(tmp_path), a=1)
    manifest = artifact.path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"a": 1', '"a": 2'))

    with pytest.raises(ArtifactError, match="it was edited"):
        read_artifact(artifact.path)


def test_a_folder_without_manifest_or_with_a_broken_one_is_not_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no manifest\.json"):
        read_artifact(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        read_artifact(tmp_path)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(ArtifactError, match="not a manifest of this version"):
        read_artifact(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", 3),
        ("digest", None),
        ("recipe_name", ["x"]),
        ("metrics", []),
        ("toolchain", "x"),
        ("config", float("nan")),
        ("config", {"half": "\ud800"}),
        ("made_by", "\ud800"),
        ("files", [{"path": "a", "bytes": "many", "sha256": "b"}]),
        ("files", [{"path": 3, "bytes": 1, "sha256": "b"}]),
        ("inputs", [{"kind": "x", "digest": 3}]),
    ],
)
def test_a_manifest_with_a_value_that_none_could_have_is_refused_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: object
) -> None:
    manifest = build(Store(tmp_path), a=1).path / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), key: value}))

    for command in ("inspect", "lineage"):
        assert main([command, str(manifest.parent)]) in (1, 2)
        said = capsys.readouterr().err
        assert "Traceback" not in said and ("of this version" in said or "not JSON" in said)


def test_half_of_a_surrogate_pair_in_a_file_of_an_artifact_is_told_where_it_is_read(tmp_path: Path) -> None:
    """No text of ours holds one: whoever shows it would end in a traceback."""

    def make(folder: Path) -> dict[str, int]:
        (folder / "facts.json").write_text('{"name": "\\ud83d"}')
        (folder / "whole.json").write_text('{"name": "\\ud83d\\ude00"}')
        return {}

    artifact = Store(tmp_path).build("thing", make=make).artifact

    with pytest.raises(ArtifactError, match=r"facts\.json: not JSON \(.*surrogates.*\)\. Delete the artifact's folder"):
        artifact.read_json("facts.json")
    assert artifact.read_json("whole.json") == {"name": "\N{GRINNING FACE}"}


def test_loading_refuses_what_is_not_there_or_was_renamed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ArtifactError, match="there is no such artifact in this store"):
        store.load("thing", "0" * 64)
    artifact = build(store)
    artifact.path.rename(artifact.path.with_name("0" * 64))
    with pytest.raises(ArtifactError, match="it was renamed"):
        store.load("thing", "0" * 64)


def test_an_artifact_that_was_put_where_another_belongs_is_not_found_as_that_other(tmp_path: Path) -> None:
    # M04: a whole artifact of one recipe, under the name that another recipe's would have.
    store = Store(tmp_path)
    mine, other = build(store, a=1), build(store, a=2)
    name = mine.digest
    mine.path.rename(tmp_path / "aside")
    other.path.rename(tmp_path / "thing" / name)

    with pytest.raises(ArtifactError, match="it was renamed"):
        store.find("thing", mine.manifest.key)


def test_two_answers_to_one_request_are_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = build(store, "one", a=1)
    first.path.rename(tmp_path / "aside")
    build(store, "two", a=1)
    (tmp_path / "aside").rename(first.path)

    with pytest.raises(
        ArtifactError, match="2 artifacts were made from the same inputs with different content"
    ) as told:
        store.find("thing", first.manifest.key)
    assert str(told.value).count(f" by process {os.getpid()} on ") == 2, "both makers"


def test_a_command_says_which_of_two_answers_stays_and_takes_one_out_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MW_STORE", str(tmp_path))
    store = Store(tmp_path)
    first = build(store, "one", a=1)
    first.path.rename(tmp_path / "aside")
    second = build(store, "two", a=1)
    (tmp_path / "aside").rename(first.path)

    assert main(["store", "--keep", f"thing/{first.digest}"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [f"thing/{second.digest}"]
    assert build(store, "three", a=1).digest == first.digest
    assert main(["store", "--remove", f"thing/{first.digest}"]) == 0
    assert store.find("thing", first.manifest.key) is None and not first.path.exists()
    capsys.readouterr()
    for arguments, said in (
        (["--remove", f"thing/{first.digest}"], "is not in the store"),
        (["--keep", f"thing/{first.digest}"], "is not in the store"),
        (["--keep", "thing"], "'thing' names no artifact: expected KIND/DIGEST"),
    ):
        assert main(["store", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_what_was_made_whole_by_a_process_that_was_killed_before_it_was_in_its_place_is_not_made_again(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    made = build(store, "text", a=1)
    made.path.rename(made.path.with_name(f".draft-{made.manifest.key}"))

    built = store.build("thing", make=lambda folder: pytest.fail("made twice"), config={"a": 1})
    assert (built.reused, built.artifact.digest) == (False, made.digest)
    draft = made.path.rename(made.path.with_name(f".draft-{made.manifest.key}"))
    (draft / "sub" / "a.txt").write_text("tixt")
    assert build(store, "text", a=1).file("sub/a.txt").read_text() == "text", "a damaged draft is made again"


def test_what_a_removal_that_was_killed_has_left_is_in_the_way_of_nothing(tmp_path: Path) -> None:
    def removed(folder: Path) -> None:
        Store(folder).remove("thing", next((folder / "thing").iterdir()).name)

    def start(number: int) -> Path:
        return build(Store(tmp_path / str(number)), "text", a=1).path.parents[1]

    for folder in killed_at_every_file_operation(removed, start=start):
        assert build(Store(folder), "text", a=1).file("sub/a.txt").read_text() == "text"


def test_an_unknown_file_or_input_of_an_artifact_is_refused(tmp_path: Path) -> None:
    artifact = build(Store(tmp_path))
    with pytest.raises(ArtifactError, match="has no folder 'best'"):
        artifact.folder("best")
    with pytest.raises(ArtifactError, match=r"has no file 'b\.txt': it has sub/a\.txt"):
        artifact.file("b.txt")
    with pytest.raises(ArtifactError, match="has 0 inputs of kind 'corpus'"):
        artifact.input("corpus")


def test_a_maker_that_fails_leaves_nothing_that_can_be_found(tmp_path: Path) -> None:
    def fails(folder: Path) -> dict[str, int]:
        (folder / "half.txt").write_text("half")
        raise ArtifactError("disk full")

    store = Store(tmp_path)
    with pytest.raises(ArtifactError, match="disk full"):
        store.build("thing", make=fails)
    built = store.build("thing", make=make_text("whole"))

    assert not built.reused
    assert [entry.path for entry in built.artifact.manifest.files] == ["sub/a.txt"]


KILLED = """
import sys, time
from pathlib import Path
from mw_pipeline.store import Store

def make(folder):
    (folder / "half.txt").write_text("half")
    print("started", flush=True)
    time.sleep(60)
    return {}

Store(sys.argv[1]).build("thing", make=make)
"""


def test_a_killed_maker_leaves_nothing_and_frees_its_claim(tmp_path: Path, project: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=project)
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(ArtifactError, match=rf"is being made by process {child.pid} on "):
        Store(tmp_path).build("thing", make=make_text("x"))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()

    built = Store(tmp_path).build("thing", make=make_text("x"))
    assert [entry.path for entry in built.artifact.manifest.files] == ["sub/a.txt"]


def test_a_remote_store_gives_back_what_another_mirror_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://store-{time.monotonic_ns()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    made = build(Store(url), a=1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    found = Store(url).find("thing", made.manifest.key)

    assert found is not None
    assert found.path != made.path
    verify_artifact(found)


def test_code_counts_with_everything_it_imports_and_nothing_else() -> None:
    labels, recipe = code_digest(("mw_pipeline.labels",)), code_digest(("mw_pipeline.recipe",))

    assert labels != recipe
    assert (
        code_digest(
            (
                "mw_pipeline.recipe",
                "mw_pipeline.labels",
            )
        )
        == recipe
    ), "recipe already imports labels"
    with pytest.raises(ArtifactError, match=r"'mw_pipeline\.nothing' has no source file"):
        code_digest(("mw_pipeline.nothing",))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.none(), min_size=1))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    backwards = dict(reversed(list(value.items())))

    assert digest_of(value) == digest_of(backwards) == digest_of(json.loads(json.dumps(value)))


def test_building_in_two_processes_makes_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        results = pool.map(_try_to_build, [str(tmp_path)] * 2)

    assert sorted(results) in (["made", "refused"], ["made", "reused"])


def _try_to_build(root: str) -> str:
    try:
        return "reused" if Store(root).build("thing", make=make_text("x")).reused else "made"
    except ArtifactError:
        return "refused"


def test_what_takes_another_a_moment_is_waited_for_by_who_has_the_patience(tmp_path: Path) -> None:
    store, done = Store(tmp_path), threading.Event()

    def second() -> None:
        with store.claim("thing", "key", patience_seconds=60):
            done.set()

    waiter = threading.Thread(target=second, daemon=True)
    with store.claim("thing", "key"):
        waiter.start()
        assert not done.wait(0.3)
        with pytest.raises(ArtifactError, match="is being made by process"), store.claim("thing", "key"):
            pass

    assert done.wait(60)
