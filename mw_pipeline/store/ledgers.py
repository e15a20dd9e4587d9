"""Ledgers on object storage: files of lines that only grow, to which several machines add.

Lines that could not be sent wait in a file beside the ledger and go with the next. Whoever calls holds a lock on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mw_pipeline.bucket import Bucket, TakenError, Version
from mw_pipeline.errors import StoreError

_ATTEMPTS = 20


def fetch_ledger(bucket: Bucket, name: str, path: Path) -> tuple[bytes, Version | None]:
    """Makes a file what the ledger is now, and after it the lines that wait here; returns the bytes of the ledger and
    its version, none where nobody has written to it."""
    content, version = bucket.get(name) or (b"", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    if (waiting := _waiting(path)) and waiting in content:  # sent, and never heard of
        _waiting_path(path).unlink()
        waiting = b""
    if version is None and not waiting:
        path.unlink(missing_ok=True)
    else:
        _replace(path, content + waiting)
    return content, version


@contextmanager
def changed_ledger(bucket: Bucket, name: str, path: Path) -> Iterator[None]:
    """A file that is the ledger; what the block adds to it is added there, after what others have added meanwhile.

    Raises StoreError after the block when the bucket does not answer: its lines wait here and go with the next."""
    version: Version | None = None
    away: StoreError | None = None
    try:
        before, version = fetch_ledger(bucket, name, path)
    except StoreError as error:
        before, away = _bytes_of(path).removesuffix(_waiting(path)), error
    yield
    added = _bytes_of(path).removeprefix(before)
    if added:
        _replace(_waiting_path(path), added)
    if away is not None:
        raise away
    if added:
        _send(bucket, name, before, added, version)
        _waiting_path(path).unlink()


def _send(bucket: Bucket, name: str, before: bytes, added: bytes, version: Version | None) -> None:
    for _ in range(_ATTEMPTS):
        try:
            bucket.put(name, before + added, over=version)
            return
        except TakenError:
            before, version = bucket.get(name) or (b"", None)
    raise StoreError(f"{bucket.url}/{name}: others write to it all the time. Run the command again.")


def _waiting_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.waiting")


def _waiting(path: Path) -> bytes:
    return _bytes_of(_waiting_path(path))


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)
