"""A bucket: what is created once, replaced only by who knows it, and listed by its beginning."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from object_servers import Machine, on_every_engine
from text_makers import make

from mw_pipeline import bucket as bucket_module
from mw_pipeline.bucket import Bucket, TakenError
from mw_pipeline.errors import ArtifactError, StoreError

LARGE_BYTES = 18_000_000
"""Of a file that goes up in three parts."""


@pytest.fixture
def bucket(machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty one of the service."""
    return Bucket(machines[0].store(monkeypatch).url)


def last_version_of_two(bucket: Bucket) -> bytes | None:
    """What is there after a creation and a replacement, and tries of those who did not know what they replaced."""
    first = bucket.put("a/lease", b"first", over=None)
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"second", over=None)
    second = bucket.put("a/lease", b"second", over=first)
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"third", over=first)

    assert bucket.put("a/lease", b"second", over=first) == second, "an answer that was lost on its way is asked for"
    found = bucket.get("a/lease")
    bucket.delete(["a/lease"])
    assert bucket.get("a/lease") is None
    with pytest.raises(TakenError):
        bucket.put("a/lease", b"third", over=second)
    return found and found[0]


@on_every_engine
def test_an_object_is_created_once_and_replaced_only_by_who_knows_it(bucket: Bucket) -> None:
    assert last_version_of_two(bucket) == b"second"


def test_so_it_is_in_memory(near_machines: tuple[Machine, Machine]) -> None:
    assert last_version_of_two(Bucket(near_machines[0].url)) == b"second"


@on_every_engine
def test_a_large_file_goes_up_in_parts_comes_down_the_same_and_is_a_version_of_its_own(
    bucket: Bucket, tmp_path: Path
) -> None:
    former = bucket.put("a/file", b"former", over=None)
    for name, content in (("large", random.Random(20261130).randbytes(LARGE_BYTES)), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        bucket.upload("a/file", tmp_path / name)
        bucket.download("a/file", tmp_path / f"{name}-again")

        assert bucket.sizes("a") == {"a/file": len(content)}
        assert (tmp_path / f"{name}-again").read_bytes() == content
        with pytest.raises(TakenError):
            bucket.put("a/file", b"mine", over=former)
    found = bucket.get("a/file")
    assert found is not None
    bucket.put("a/file", b"mine", over=found[1])


@on_every_engine
def test_what_is_not_there_is_removed_already_and_keeps_no_other(bucket: Bucket) -> None:
    for name in ("1", "3", "other"):
        bucket.put(f"a/{name}", b"text", over=None)
    bucket.delete(["a/0", "a/1", "a/2", "a/3"])
    bucket.delete(["a/0"])
    bucket.delete([])

    assert bucket.sizes("a") == {"a/other": 4}


@on_every_engine
def test_folders_are_listed_by_the_beginning_of_their_names(bucket: Bucket) -> None:
    for name in ("aa1", "ab1", "ab2", "b"):
        for file in ("x", "manifest.json", "z/é #1"):
            bucket.put(f"kind/{name}/{file}", b"", over=None)

    assert list(bucket.folders("kind", "ab")) == ["ab1", "ab2"]
    assert list(bucket.folders("kind", "")) == ["aa1", "ab1", "ab2", "b"]
    assert list(bucket.folders("kind", "c")) == list(bucket.folders("other", "")) == []
    assert bucket.sizes("kind/b") == {"kind/b/manifest.json": 0, "kind/b/x": 0, "kind/b/z/é #1": 0}


@on_every_engine
def test_what_is_not_there_is_named(bucket: Bucket, tmp_path: Path) -> None:
    assert bucket.get("a/b") is None
    with pytest.raises(ArtifactError, match=f"{bucket.url}/a/b: is missing"):
        bucket.download("a/b", tmp_path / "b")


@on_every_engine
def test_a_bucket_that_is_not_there_is_named_in_words(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{machines[0].url.partition(':')[0]}://nowhere/store"
    nowhere = Machine("one", machines[0].cache, url, machines[0].env).store(monkeypatch)

    with pytest.raises(StoreError, match=rf"the store '{url}' failed at .* does not exist\. Check the service") as told:
        nowhere.build("thing", make=make(a="text"))
    assert "<" not in str(told.value)


@pytest.mark.parametrize("engine", ["az"], indirect=True)
def test_a_key_that_the_service_does_not_take_is_told_and_not_shown(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(b"another's").decode()
    env = machines[0].env | {"AZURE_STORAGE_ACCOUNT_KEY": key}
    stranger = Machine("one", machines[0].cache, machines[0].url + "/strange", env).store(monkeypatch)

    with pytest.raises(StoreError, match="403 Forbidden: Server failed to authenticate the request") as told:
        stranger.build("thing", make=make(a="text"))
    assert key not in str(told.value) and "<" not in str(told.value)


def test_folders_come_in_the_order_of_what_is_in_them_and_an_object_is_none(
    near_machines: tuple[Machine, Machine],
) -> None:
    bucket = Bucket(near_machines[0].url)
    for path in ("f/a/1", "f/a-b/1", "f/a/2", "f/ab/1", "f/a0", "g/a/1"):
        bucket.put(path, b"text", over=None)
    assert list(bucket.folders("f", "a")) == ["a-b", "a", "ab"]


@pytest.mark.parametrize("url", ["s3://ME:SECRET@bucket/x", "s3://SECRET@bucket", "az://container?sig=SECRET"])
def test_a_url_with_credentials_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ArtifactError, match="has credentials in its URL") as refused:
        Bucket(url)
    assert "SECRET" not in str(refused.value)


def test_a_url_that_cannot_be_split_is_refused_in_words() -> None:
    with pytest.raises(ArtifactError, match=r"the store 's3://\[bucket' cannot be opened"):
        Bucket("s3://[bucket")


def test_what_a_service_says_is_told_without_what_may_be_a_secret() -> None:
    said = bucket_module._in_words(
        OSError(
            "Generic S3 error: GET http://ME:SECRET@127.0.0.1:9/b/a?sig=SECRET&x=1: "
            "<Error><Code>AccessDenied</Code></Error>"
        )
    )
    assert "SECRET" not in said and "http://127.0.0.1:9/b/a" in said and said.endswith("AccessDenied")
