"""Ledgers on object storage: files of lines that only grow, to which several machines add."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mw_pipeline.bucket import Bucket, TakenError, Version
from mw_pipeline.errors import StoreError

_ATTEMPTS = 20


def fetch_ledger(bucket: Bucket, name: str, path: Path) -> tuple[bytes, Version | None]:
    """Makes a file what the ledger is now; returns its bytes and its version, none where nobody has written to it."""
    content, version = bucket.get(name) or (b"", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    if version is None:
        path.unlink(missing_ok=True)
    else:
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(content)
        draft.replace(path)
    return content, version


@contextmanager
def changed_ledger(bucket: Bucket, name: str, path: Path) -> Iterator[None]:
    """A file that is the ledger; what the block adds to it is added there, after what others have added meanwhile."""
    before, version = fetch_ledger(bucket, name, path)
    yield
    after = path.read_bytes() if path.is_file() else b""
    if after == before:
        return
    for _ in range(_ATTEMPTS):
        try:
            bucket.put(name, after, over=version)
            return
        except TakenError:
            theirs, version = bucket.get(name) or (b"", None)
            after = theirs + after.removeprefix(before)
            before = theirs
    raise StoreError(f"{bucket.url}/{name}: others write to it all the time. Run the command again.")
