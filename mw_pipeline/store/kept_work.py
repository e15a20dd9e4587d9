"""Work in progress on object storage: a folder of this machine is kept there as it grows, and goes on elsewhere.

What is kept is a *snapshot*: one object that names the files of the folder by their sha256, written after them over the
snapshot before it. So a kill at any moment leaves the old one or the new one, whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from mw_pipeline.bucket import Bucket, TakenError, Version
from mw_pipeline.digest import json_value, sha256_file, write_json_atomically
from mw_pipeline.errors import CorpusError, StoreError
from mw_pipeline.store.cache import AT_ONCE

SNAPSHOT = "snapshot.json"
LOOKED_EVERY_SECONDS = 1.0

_LOG = ".jsonl"
"""Files that grow while they are read: they are copied, and are no reason for a snapshot of their own."""

_State = tuple[int, int, int]
"""Inode, bytes and time of a file: while they stay, so do its bytes."""


@dataclass(frozen=True)
class Snapshot:
    """The files of a folder by name, as sha256; `name` is of this snapshot alone."""

    name: str
    files: Mapping[str, str]

    @classmethod
    def of_bytes(cls, content: bytes, where: str) -> Snapshot:
        """The snapshot in an object. Raises StoreError for anything else."""
        try:
            return cls(**json_value(content))
        except (ValueError, TypeError) as error:
            raise StoreError(f"{where}: is no snapshot of work ({error}). Remove it: the work begins anew.") from None


class KeptWork:
    """A folder and its snapshot at `where` in a bucket. `note` is a file beside the folder that says which snapshot it
    stands on: a folder that has gone on from the kept one is kept, one that another machine has overtaken is not."""

    def __init__(self, bucket: Bucket, where: str, path: Path, note: Path, say: Callable[[str], None]) -> None:
        self._bucket, self._where, self._path, self._note, self._say = bucket, where, path, note, say
        self._version: Version | None = None
        self._snapshot = Snapshot("", {})
        self._tried = ""
        self._known: dict[_State, str] = {}
        self._kept: dict[Path, _State] = {}
        self._is_given_up = False

    def fetch(self) -> None:
        """Makes the folder what was kept last, unless it is that already or has gone on from there."""
        found = self._bucket.get(f"{self._where}/{SNAPSHOT}")
        if found is None:
            return
        self._snapshot, self._version = Snapshot.of_bytes(found[0], f"{self._bucket.url}/{self._where}"), found[1]
        if self._has_gone_on():
            return
        self._say(f"{self._where}: fetching the work of {len(self._snapshot.files)} files that was kept there")
        draft = self._note.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda item: self._fetch(draft, *item), self._snapshot.files.items()):
                pass
        shutil.rmtree(self._path, ignore_errors=True)
        draft.rename(self._path)
        write_json_atomically(self._note, self._snapshot.name)
        self._kept = _worth_keeping(self._path)

    def _has_gone_on(self) -> bool:
        """Whether the folder stands on the snapshot: it was noted so, and what was there has not been removed."""
        if not self._note.is_file() or json_value(self._note.read_bytes()) != self._snapshot.name:
            return False
        return not self._snapshot.files or any(path.is_file() for path in self._path.rglob("*"))

    def _fetch(self, draft: Path, name: str, sha256: str) -> None:
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._bucket.download(f"{self._where}/{sha256}", path)
        if sha256_file(path) != sha256:
            raise StoreError(f"{self._bucket.url}/{self._where}/{sha256}: holds other bytes. Run the command again.")

    def keep(self) -> None:
        """Puts what is new in the folder there, then a snapshot that names it all, and removes what that does not.
        A folder that has become empty takes nothing from others, unless its maker has given the work up.

        Raises StoreError when the bucket fails, or another process keeps its own work there."""
        staging = self._note.with_suffix(".staged")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            files = self._send(staged(self._path, staging, self._known))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if not files and self._snapshot.files and not self._is_given_up:
            return
        former = set(self._snapshot.files.values())
        self._put(Snapshot(uuid.uuid4().hex, files))
        write_json_atomically(self._note, self._snapshot.name)
        self._bucket.delete([f"{self._where}/{sha256}" for sha256 in former - set(files.values())])

    def _put(self, snapshot: Snapshot) -> None:
        """Replaces the snapshot that this process knows; one that it put without hearing of it is known too."""
        path, content = f"{self._where}/{SNAPSHOT}", json.dumps(asdict(snapshot), sort_keys=True).encode()
        former, self._tried = self._tried, snapshot.name
        try:
            self._version = self._put_over(path, content, former)
        except TakenError:
            raise StoreError(f"{path}: another process keeps its work there. Run the command again.") from None
        self._snapshot = snapshot

    def _put_over(self, path: str, content: bytes, former: str) -> Version:
        try:
            return self._bucket.put(path, content, over=self._version)
        except TakenError:
            found = self._bucket.get(path)
            if found is None or Snapshot.of_bytes(found[0], path).name != former:
                raise
            return self._bucket.put(path, content, over=found[1])

    def _send(self, found: Mapping[str, tuple[_State, Path | None]]) -> dict[str, str]:
        """The files by sha256, all of them there."""
        states = {state for state, _ in found.values()}
        self._known = {state: sha256 for state, sha256 in self._known.items() if state in states}
        there = set(self._snapshot.files.values())
        fresh = {name: sha256_file(path) for name, (_, path) in found.items() if path is not None}
        sent = {sha256: found[name][1] for name, sha256 in fresh.items() if sha256 not in there}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda item: self._bucket.upload(f"{self._where}/{item[0]}", item[1]), sent.items()):
                pass
        self._known |= {found[name][0]: sha256 for name, sha256 in fresh.items()}
        return {name: fresh.get(name) or self._known[state] for name, (state, _) in found.items()}

    @contextlib.contextmanager
    def kept_while(self) -> Iterator[Path]:
        """The folder, whose work is kept whenever a file of it is new, and once more at the end. What cannot be kept is
        said, and costs nothing but the safety. A maker who removes it, as it would end there again, gives it up for
        all with a CorpusError; after any other error it is this machine's alone that is gone."""
        ends = threading.Event()
        thread = threading.Thread(target=self._watch, args=[ends], name=f"keeps {self._where}", daemon=True)
        thread.start()
        try:
            yield self._path
        except CorpusError:
            self._is_given_up = not self._path.exists()
            raise
        finally:
            ends.set()
            thread.join()
            self._is_kept_now()

    def _watch(self, ends: threading.Event) -> None:
        pause = LOOKED_EVERY_SECONDS
        while not ends.wait(pause):
            begun = time.monotonic()
            with contextlib.suppress(FileNotFoundError):  # replaced in this very moment: looked at again
                there = _worth_keeping(self._path)
                looked = time.monotonic() - begun
                if there != self._kept and self._is_kept_now():
                    self._kept = there
                # A large folder takes long to look at, a slow network to send to: neither takes all of the time.
                pause = max(LOOKED_EVERY_SECONDS, 20 * looked, time.monotonic() - begun)

    def _is_kept_now(self) -> bool:
        try:
            self.keep()
            return True
        except (StoreError, OSError) as error:
            self._say(f"{self._where}: the work so far is here and not on the store: {error}")
            return False


def staged(folder: Path, staging: Path, known: Mapping[_State, str]) -> dict[str, tuple[_State, Path | None]]:
    """Every file of a folder at one moment: its state, and where its bytes stay as they are; None for those known.

    A checkpoint is replaced by renaming its folder: where that came between, all is looked at again."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            before = _folders_of(folder)
            found: dict[str, tuple[_State, Path | None]] = {}
            for number, path in enumerate(_within(folder, Path.is_file)):
                state = _state_of(path)
                copy = None if state in known else _second_name(path, staging / str(number))
                found[path.relative_to(folder).as_posix()] = (state, copy)
            if _folders_of(folder) == before and _are_still(
                folder, {name: state for name, (state, _) in found.items()}
            ):
                return found


def _are_still(folder: Path, states: Mapping[str, _State]) -> bool:
    """Whether the files are still those that were seen: a new folder can have the inode of one that was removed."""
    return all(_state_of(folder / name) == state for name, state in states.items() if not name.endswith(_LOG))


def _second_name(path: Path, target: Path) -> Path:
    """The file under another name, which outlives its replacement; a copy where it grows, or there are no links."""
    target.unlink(missing_ok=True)
    try:
        if path.suffix == _LOG:
            raise OSError(errno.ENOTSUP, "a log grows under both names")
        os.link(path, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, target)
    return target


def _within(folder: Path, kind: Callable[[Path], bool]) -> list[Path]:
    """What is in a folder of work, sorted; drafts begin with a dot, as do the folders of drafts."""
    found = (path for path in folder.rglob("*") if kind(path))
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _folders_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in _within(folder, Path.is_dir)}


def _worth_keeping(folder: Path) -> dict[Path, _State]:
    """The files whose change is worth a snapshot."""
    return {path: _state_of(path) for path in _within(folder, Path.is_file) if path.suffix != _LOG}


def _state_of(path: Path) -> _State:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def sweep(bucket: Bucket, where: str) -> None:
    """Removes what is kept of work that is done: the snapshot first, as nothing goes on from half of it."""
    bucket.delete([f"{where}/{SNAPSHOT}"])
    bucket.delete([*bucket.sizes(where)])
