"""Raw files over https or from object storage: fetched once, resumed where a server was cut off, and used only with the
right SHA-256."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3

from mw_pipeline.bucket import Bucket
from mw_pipeline.digest import sha256_file, sha256_remembered
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import url_problem
from mw_pipeline.urls import is_object_url

TIMEOUT_SECONDS = (15.0, 60.0)
"""For the connection, and between two pieces of the body: a file of any size may take as long as it takes."""

_MOST_REDIRECTS = 5
_ATTEMPTS = 5
_BLOCK_BYTES = 1 << 20
_SECONDS_PER_LINE = 2.0
_GONE_ON = "Run the command again: it goes on where it stopped."


@dataclass(frozen=True)
class Fetcher:
    """Fetches into `cache_path/SHA256/NAME`, one process at a time for each file; the others wait and then share it.

    An attempt that gets new bytes starts the count of attempts anew; between two of them it pauses."""

    cache_path: Path
    progress: Callable[[str], None] = lambda line: None
    timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS
    pause_seconds: float = 2.0

    def fetch(self, url: str, sha256: str) -> Path:
        """The file of this URL, whose bytes have this SHA-256; nothing is asked of the network when it is there.

        A part that was fetched by a process that was killed is kept and continued. Raises CorpusError for what the
        server refuses, for bytes of another hash, and when the connection fails for good."""
        name = _name_of(url)
        folder = self.cache_path / sha256
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock", url, self.progress):
            path = self._found(folder, name, sha256)
            if path is not None:
                return path
            part = folder / ".part"
            resumed = part.exists() and part.stat().st_size > 0
            self._download(url, part)
            if resumed and sha256_file(part) != sha256:
                self.progress(f"{url}: what was there of it belongs to other bytes; fetching it whole")
                part.unlink()
                self._download(url, part)
            _demand_hash(url, part, sha256)
            part.replace(folder / name)
            return folder / name

    def _found(self, folder: Path, name: str, sha256: str) -> Path | None:
        """The file as it lies in the cache, under this name or, fetched from elsewhere, under another."""
        present = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        if not present:
            return None
        path = next((path for path in present if path.name == name), None)
        if path is None:
            path = folder / name
            os.link(present[0], path)
        if (found := sha256_remembered(path)) != sha256:
            raise CorpusError(
                f"{path}: has the sha256 {found[:12]}…, and was fetched as {sha256[:12]}…: it was changed since. "
                "Delete it, and it is fetched again."
            )
        return path

    def fetch_unnamed(self, url: str, folder: Path) -> Path:
        """What lies behind a URL now, whatever its bytes are, in a folder that is empty: one file, or all objects of a
        folder of object storage, whose URL ends with a slash.

        Raises CorpusError as `fetch`, and for a folder of objects that is empty; StoreError as object storage does."""
        if not url.endswith("/"):
            self._download(url, folder / _name_of(url))
            return folder / _name_of(url)
        bucket = Bucket(url)
        names = sorted(bucket.sizes(""))
        if not names or not is_object_url(url):
            raise CorpusError(f"{url}: no object is below it. Name a folder that has some, or one file.")
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self.progress(f"{url}: {name} ({number + 1} of {len(names)})")
            bucket.download(name, folder / name)
        return folder

    def _download(self, url: str, part: Path) -> None:
        """Appends to the part until the server says that it is whole, over as many connections as it takes."""
        if is_object_url(url):
            place, _, name = url.rpartition("/")
            Bucket(place).download(name, part)
            return
        failures = 0
        while True:
            before = _size(part)
            try:
                self._download_once(url, part)
                return
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= _ATTEMPTS or not _may_pass(error):
                    raise CorpusError(
                        f"{url}: the connection failed after {_size(part):,} bytes ({_in_words(error)}). {_GONE_ON}"
                    ) from None
                self.progress(f"{url}: cut off after {_size(part):,} bytes; trying again")
                time.sleep(self.pause_seconds * failures)

    def _download_once(self, url: str, part: Path) -> None:
        with requests.Session() as session, _answer(session, url, _size(part), self.timeout_seconds) as answer:
            start = _start_of(answer, url, _size(part))
            if start is None:  # there is nothing after what we have: whole, or of another file
                return
            whole = start + int(answer.headers.get("Content-Length") or 0)
            with part.open("r+b" if start else "wb") as stream:
                stream.seek(start)
                shown = time.monotonic()
                for block in answer.raw.stream(_BLOCK_BYTES, decode_content=False):
                    stream.write(block)
                    if time.monotonic() - shown >= _SECONDS_PER_LINE:
                        shown = time.monotonic()
                        self.progress(f"{url}: {stream.tell():,} of {f'{whole:,}' if whole > start else '?'} bytes")


def _answer(session: requests.Session, url: str, start: int, timeout_seconds: tuple[float, float]) -> requests.Response:
    """The server's answer to a request for everything from byte `start` on, redirects followed. Raises CorpusError."""
    # Packed in transit, the bytes would be others than those that were hashed.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    here = url
    for _ in range(_MOST_REDIRECTS + 1):
        answer = session.get(here, headers=headers, stream=True, timeout=timeout_seconds, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        answer.close()
        there = urljoin(here, answer.headers["Location"])
        if problem := url_problem(there) or _downgrade(here, there):
            raise CorpusError(f"{url}: redirects to {there!r}: {problem}. Name a URL that stays on https.")
        here = there
    raise CorpusError(f"{url}: redirects more than {_MOST_REDIRECTS} times. Name the URL that it should end at.")


def _start_of(answer: requests.Response, url: str, wanted: int) -> int | None:
    """The byte at which the body starts, or None when there are no bytes from `wanted` on. Raises CorpusError."""
    if answer.status_code == HTTPStatus.OK:
        return 0  # a server that knows no ranges sends it all again
    if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and wanted:
        return None
    if answer.status_code == HTTPStatus.PARTIAL_CONTENT and wanted:
        given = answer.headers.get("Content-Range", "")
        if given.startswith(f"bytes {wanted}-"):
            return wanted
        raise CorpusError(f"{url}: asked from byte {wanted}, the server sent {given!r}. Fetch the file by hand.")
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise requests.HTTPError(f"{answer.status_code} {answer.reason}", response=answer)
    raise CorpusError(
        f"{url}: the server says {answer.status_code} {answer.reason}. Correct the URL in the corpus spec, or ask for "
        "access."
    )


def _demand_hash(url: str, part: Path, sha256: str) -> None:
    found, size = sha256_file(part), _size(part)
    if found != sha256:
        part.unlink()
        raise CorpusError(
            f"{url}: gave {size:,} bytes with the sha256 {found[:12]}…, the corpus spec wants {sha256[:12]}…. "
            "The file has changed or was cut short: look at it, then correct the hash or the URL."
        )


@contextlib.contextmanager
def _alone(lock_path: Path, url: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process fetches this file, and says for whom it waits."""
    with lock_path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            progress(f"{url}: waiting for {stream.read().strip() or 'another process'}, which is fetching it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()}")
        stream.flush()
        yield


def _may_pass(error: Exception) -> bool:
    """Whether another attempt could end otherwise: a certificate that does not fit will not fit next time."""
    return not isinstance(error, requests.exceptions.SSLError | requests.exceptions.InvalidURL)


def _in_words(error: Exception) -> str:
    """The innermost reason of a failed connection, without addresses of objects."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.IncompleteRead | urllib3.exceptions.ProtocolError):
        return "it was cut off"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return str(error)


def _downgrade(here: str, there: str) -> str:
    worse = urlsplit(here).scheme == "https" and urlsplit(there).scheme != "https"
    return "that leaves https" if worse else ""


def _name_of(url: str) -> str:
    """The last part of the URL's path, which readers may look at; nothing in it leads out of a folder."""
    name = Path(unquote(urlsplit(url).path)).name
    return name if name and not name.startswith(".") else "file"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
