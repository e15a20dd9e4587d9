"""A bucket: what the store asks of object storage, on any engine that obstore knows, with its failures in words."""

from __future__ import annotations

import functools
import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mw_pipeline.errors import ArtifactError, StoreError

RETRY_SECONDS = 60.0
"""How long a request is tried again where the service fails or is not there; MW_STORE_RETRY_SECONDS says otherwise."""

_BLOCK_BYTES = 1 << 22
_PART_BYTES = 1 << 23  # of a large upload: 10,000 parts are allowed, so this bounds a file at 80 GB
_MOST_RETRIES = 100  # the seconds end it before
_MOST = 1e9  # of seconds or gigabytes: more than anyone means, and less than a clock can hold
_XML = re.compile(r"<\?xml|<Error>")
_MESSAGE = re.compile(r"<Message>\s*([^<\n]+)")
_CODE = re.compile(r"<Code>\s*([^<\n]+)")
_SECRETS = re.compile(r"(?<=://)[^/\s@]+@|(?<=[^\s?])\?[^\s?]+=\S*(?<![:),])")


class TakenError(Exception):
    """An object is there that should not be, or is not the version that was to be replaced: someone came first."""


@dataclass(frozen=True)
class Version:
    """Which of the contents that an object has had over time."""

    e_tag: str | None
    number: str | None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Version:
        """The version that a service names in its answer to a `put` or a `get`."""
        return cls(facts.get("e_tag"), facts.get("version"))

    def as_mode(self) -> dict[str, str]:
        """The same as a condition of a `put`."""
        named = {"e_tag": self.e_tag, "version": self.number}
        return {name: value for name, value in named.items() if value is not None}


class Bucket:
    """Objects by path below a URL. Each call is tried again for `retry_seconds` before it raises StoreError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._objects = _opened(self.url)

    def get(self, path: str) -> tuple[bytes, Version] | None:
        """An object whole, with its version; None when there is none."""
        import obstore

        with self._told(f"reading {path}"):
            try:
                found = obstore.get(self._objects, path)
                return bytes(found.bytes()), Version.of(found.meta)
            except FileNotFoundError:
                return None

    def put(self, path: str, content: bytes, *, over: Version | None) -> Version:
        """Writes an object over the version `over`, or where there is none. Raises TakenError when that is not so."""
        import obstore

        mode: Any = "create" if over is None else over.as_mode()
        with self._told(f"writing {path}"):
            try:
                return Version.of(obstore.put(self._objects, path, content, mode=mode))
            except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
                pass
            except FileNotFoundError:
                if over is None:  # no object is missed by who creates one: the bucket is
                    raise
        # The answer to a first try may have been lost, and this be the answer to a second.
        there = self.get(path)
        if there is None or there[0] != content:
            raise TakenError(path)
        return there[1]

    def upload(self, path: str, file: Path) -> None:
        """Writes a file of this machine as an object, whole or not at all, over whatever is there."""
        import obstore

        with self._told(f"writing {path}"):
            obstore.put(self._objects, path, file, chunk_size=_PART_BYTES, max_concurrency=2)

    def download(self, path: str, file: Path) -> None:
        """Writes an object into a file of this machine. Raises ArtifactError when there is none."""
        import obstore

        with file.open("wb") as stream, self._told(f"reading {path}"):
            try:
                for block in obstore.get(self._objects, path).stream(min_chunk_size=_BLOCK_BYTES):
                    stream.write(block)
            except FileNotFoundError:
                raise ArtifactError(f"{self.url}/{path}: is missing. Restore it, or remove what it is of.") from None

    def sizes(self, folder: str) -> dict[str, int]:
        """Path → bytes of all objects below a folder."""
        import obstore

        with self._told(f"listing {folder}"):
            return {found["path"]: found["size"] for page in obstore.list(self._objects, folder) for found in page}

    def folders(self, folder: str, prefix: str) -> Iterator[str]:
        """Names of the folders directly in a folder that begin with a prefix, in the order of what is in them. Each
        costs a request, however many objects that is. Of Azure all are asked for at once: Azurite knows no place at
        which a list begins."""
        from obstore.store import AzureStore

        if isinstance(self._objects, AzureStore):
            found = (name for name in self._all_folders(folder) if name.startswith(prefix))
            yield from sorted(found, key=lambda name: f"{name}/")
            return
        after = f"{folder}/{prefix}"
        while (path := self._first(folder, after)) is not None and path.startswith(f"{folder}/{prefix}"):
            name, below, _ = path.removeprefix(f"{folder}/").partition("/")
            if below:
                yield name
            after = f"{folder}/{name}{'0' if below else ''}"  # the character after /: beyond all that is in this one

    def _all_folders(self, folder: str) -> list[str]:
        import obstore

        with self._told(f"listing {folder}"):
            found = obstore.list_with_delimiter(self._objects, folder)["common_prefixes"]
        return [path.rpartition("/")[2] for path in found]

    def _first(self, folder: str, after: str) -> str | None:
        import obstore

        with self._told(f"listing {folder}"):
            for page in obstore.list(self._objects, folder, offset=after, chunk_size=1):
                for found in page:
                    return str(found["path"])
        return None

    def delete(self, paths: Sequence[str]) -> None:
        """Removes objects; one that is not there is removed already."""
        import obstore

        if not paths:
            return
        with self._told(f"removing {paths[0]}"):
            try:
                obstore.delete(self._objects, list(paths))
            except FileNotFoundError:  # Google and Azure say so of one, whatever has become of the others
                for path in paths:
                    with suppress(FileNotFoundError):
                        obstore.delete(self._objects, path)

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Raises StoreError for what the service refuses or does not answer."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, PermissionError) as error:
            raise StoreError(
                f"the store {self.url!r} failed at {doing}: {_in_words(error)}. Check the service, the network and "
                "your credentials, and run the command again."
            ) from None


@functools.cache
def _opened(url: str) -> Any:
    """The objects below a URL, the same for all who name it in this process. Raises ArtifactError for no such place."""
    try:
        from obstore.exceptions import BaseError  # the parser's base install has no obstore
        from obstore.store import MemoryStore, from_url
    except ImportError as error:
        raise ArtifactError(
            f"the store {url!r} cannot be opened: {error}. Name a folder, or install what a URL needs: "
            "`pip install 'mw-pipeline[cloud]'`."
        ) from None
    seconds = number_in("MW_STORE_RETRY_SECONDS", RETRY_SECONDS)
    retry: Any = {
        "max_retries": _MOST_RETRIES,
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=min(15.0, seconds / 4)),
            "base": 2,
        },
    }
    try:
        _demand_no_credentials(url)
        return MemoryStore() if url.startswith("memory://") else from_url(url, retry_config=retry)
    except (BaseError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"the store {url!r} cannot be opened: {_in_words(error)}. Name a folder, or install what this kind of URL "
            "needs and set its credentials: s3://, gs:// and az:// are known."
        ) from None


def _demand_no_credentials(url: str) -> None:
    parts = urlsplit(url)
    if parts.password or parts.query or (parts.username and not parts.scheme.startswith("abfs")):
        raise ArtifactError(
            f"the store {parts.scheme}://{parts.hostname} has credentials in its URL, which messages would show. Leave "
            "them out and set them in the environment (docs/store.md)."
        )


def number_in(variable: str, default: float, *, least: float = 0.0) -> float:
    """The number that a variable of the environment sets, else the default. Raises ArtifactError for what is none, or
    none that can be meant."""
    text = os.environ.get(variable) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= _MOST:
        raise ArtifactError(f"{variable} is {text!r}: expected a number from {least:g}, as in {default:g}. Correct it.")
    return number


def _in_words(error: Exception) -> str:
    """What a service or its client says, without the tags around it, the dump of structures behind it, and what may be
    a secret of a URL: who asks, and all behind a question mark."""
    text = _SECRETS.sub("", str(error))
    line = _XML.split(text.partition("\n")[0])[0].rstrip(" .:-")
    said = _MESSAGE.search(text) or _CODE.search(text)
    return f"{line}: {html.unescape(said[1]).rstrip(' .')}" if said else line
