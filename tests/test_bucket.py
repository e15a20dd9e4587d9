"""A bucket: what is created once, replaced only by who knows it, and listed by its beginning."""

from __future__ import annotations

import time

import pytest
from s3_server import Machine, S3Server
from text_makers import make

from mw_pipeline.bucket import Bucket, TakenError
from mw_pipeline.errors import StoreError


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


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, machines: tuple[Machine, Machine], monkeypatch) -> None:
    nowhere = Machine("one", machines[0].cache, "s3://nowhere/store", machines[0].env).store(monkeypatch)

    with pytest.raises(StoreError, match=r"the store 's3://nowhere/store' failed at .*nowhere"):
        nowhere.build("thing", make=make(a="text"))
