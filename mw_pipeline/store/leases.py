"""Leases: who works on a key, seen from every machine, renewed while they live and taken over when they do not."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from mw_pipeline.bucket import Bucket, TakenError, Version, number_in
from mw_pipeline.digest import json_value
from mw_pipeline.errors import ArtifactError, StoreError
from mw_pipeline.liveness import ProcessName, name_of

LEASE_SECONDS = 120.0
"""How long a lease holds that nobody renews; MW_LEASE_SECONDS says otherwise. All machines of a store must agree."""

_RENEWALS = 6  # in the time that a lease holds
_LOOKED_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: what the object says. Times are UTC by the holder's clock; `nonce` is of one taking alone."""

    owner: str
    machine: str
    pid: int
    started: str
    renewed: str
    nonce: str
    process: ProcessName | None

    @classmethod
    def here(cls) -> Holder:
        """This process, now. MW_MACHINE names the machine to others where its host name says nothing."""
        machine, now = os.environ.get("MW_MACHINE") or platform.node(), _now()
        owner = os.environ.get("USER") or str(os.getuid())
        return cls(owner, machine, os.getpid(), now, now, uuid.uuid4().hex, name_of(os.getpid()))

    @classmethod
    def of_bytes(cls, content: bytes) -> Holder | None:
        """The holder in a lease, or None when nobody can read who it is."""
        try:
            value = json_value(content)
            process = ProcessName(**value.pop("process")) if value.get("process") else None
            return cls(**value | {"process": process})
        except (ValueError, TypeError, AttributeError):
            return None

    def as_bytes(self) -> bytes:
        """The lease as an object holds it."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.machine} since {self.started[:19]} UTC, started by {self.owner} and heard of "
            f"{self.age_seconds:.0f} s ago"
        )

    @property
    def age_seconds(self) -> float:
        """Seconds since it was renewed, by two clocks: a hint, and never a reason alone."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(self.renewed).replace(tzinfo=UTC)).total_seconds()
        except ValueError:
            return float("inf")

    def is_gone(self) -> bool:
        """Whether it was a process of this machine that has certainly ended."""
        here = Holder.here()
        return (
            self.machine == here.machine
            and self.process is not None
            and here.process is not None
            and self.process.is_gone(here.process)
        )


class Lease:
    """A lease that this process holds: a thread renews it for as long as the process lives."""

    def __init__(self, bucket: Bucket, path: str, holder: Holder, version: Version, say: Callable[[str], None]) -> None:
        self._bucket, self._path, self._holder, self._version, self._say = bucket, path, holder, version, say
        self._ends, self._renewing = threading.Event(), threading.Lock()
        self._lost_to: str | None = None
        self._thread = threading.Thread(target=self._keep, name=f"lease of {path}", daemon=True)
        self._thread.start()

    def demand(self) -> None:
        """Returns when it is held this very moment: it has been renewed. Raises StoreError when another took it over,
        as what it is for is theirs to make, or when nobody can tell."""
        self._renew()
        if self._lost_to is not None:
            raise StoreError(
                f"{self._path}: this process was not heard of for so long that its claim went to {self._lost_to}. "
                "Run the command again: it finds what they have made, or goes on when they have ended."
            )

    def end(self) -> None:
        """Gives it back, unless it is another's by now."""
        self._ends.set()
        self._thread.join()
        try:
            self._renew()
            if self._lost_to is None:  # it is ours this very moment, and nobody takes over what was renewed just now
                self._bucket.delete([self._path])
        except StoreError as error:
            self._say(f"{self._path}: the claim could not be given back ({error}): it ends by itself")

    def _keep(self) -> None:
        while not self._ends.wait(lease_seconds() / _RENEWALS):
            try:
                self._renew()
            except StoreError as error:
                self._say(f"{self._path}: the claim could not be renewed: {error}")
            if self._lost_to is not None:
                return

    def _renew(self) -> None:
        """Renews it, or finds out to whom it was lost. Raises StoreError when the bucket does not answer."""
        with self._renewing:
            if self._lost_to is not None:
                return
            self._holder = replace(self._holder, renewed=_now())
            try:
                self._version = self._bucket.put(self._path, self._holder.as_bytes(), over=self._version)
            except TakenError:
                found = self._bucket.get(self._path)
                theirs = Holder.of_bytes(found[0]) if found else None
                if found and theirs and theirs.nonce == self._holder.nonce:  # put by us, who never heard of it
                    self._version = found[1]
                    return
                self._lost_to = str(theirs or "another process")
                self._say(f"{self._path}: the claim was lost to {self._lost_to}")


@contextlib.contextmanager
def leased(
    bucket: Bucket, path: str, what: str, *, patience_seconds: float, say: Callable[[str], None]
) -> Iterator[Lease]:
    """Holds a lease. Raises ArtifactError naming the holder when another has it for longer than the patience lasts."""
    lease = _taken(bucket, path, what, ends=time.monotonic() + patience_seconds, say=say)
    try:
        yield lease
    finally:
        lease.end()


def _taken(bucket: Bucket, path: str, what: str, *, ends: float, say: Callable[[str], None]) -> Lease:
    while True:
        found, mine = bucket.get(path), Holder.here()
        theirs = Holder.of_bytes(found[0]) if found else None
        over = found[1] if found else None
        if found is None or _is_stale(bucket, path, found, theirs, what, say):
            try:
                return Lease(bucket, path, mine, bucket.put(path, mine.as_bytes(), over=over), say)
            except TakenError:  # a third came first, or the holder lives after all
                continue
        if time.monotonic() >= ends:
            raise ArtifactError(
                f"{what} is being made by {theirs or 'another process'}. Wait for it to end, or stop it: a claim that "
                f"is not renewed for {lease_seconds():.0f} s is taken over."
            )
        time.sleep(_LOOKED_EVERY_SECONDS)


def _is_stale(
    bucket: Bucket,
    path: str,
    found: tuple[bytes, Version],
    theirs: Holder | None,
    what: str,
    say: Callable[[str], None],
) -> bool:
    """Whether a lease is of someone who is gone: a process of this machine that has ended, or a lease that looks too
    old, or is of a time to come, and is not renewed while it is watched for two renewals, so that no difference of
    clocks takes it from who lives, or keeps it for who does not."""
    if theirs is not None and theirs.is_gone():
        return True
    if theirs is not None and abs(theirs.age_seconds) < lease_seconds():
        return False
    watched = 2 * lease_seconds() / _RENEWALS
    say(
        f"{what} was claimed by {theirs or 'another process'}; it is taken over in {watched:.0f} s unless it is renewed"
    )
    ends = time.monotonic() + watched
    while time.monotonic() < ends:
        time.sleep(min(_LOOKED_EVERY_SECONDS, watched / 4))
        now = bucket.get(path)
        if now is None or now[0] != found[0]:
            return False
    return True


def lease_seconds() -> float:
    """How long a lease holds that nobody renews. Raises ArtifactError for a setting that is no such number."""
    return number_in("MW_LEASE_SECONDS", LEASE_SECONDS, least=0.1)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
