"""Streams of bytes: by its beginning it is seen what one is, and a stretch of one is a stream."""

from __future__ import annotations

import re
from typing import Protocol

from mw_pipeline.errors import CorpusError

_START_BYTES = 1 << 12
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_PACKED = {
    "a gzip file": rb"\x1f\x8b\x08",
    "a zstd file": rb"\x28\xb5\x2f\xfd",
    "a zip archive": rb"PK\x03\x04",
    "a bzip2 file": rb"BZh[1-9]1AY&SY",
    "an xz file": rb"\xfd7zXZ\0",
    "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a tar archive": rb"(?s:.{257})ustar",
}


class ByteStream(Protocol):
    """Anything that hands out its bytes from front to back."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""
        ...


class _Peeked:
    """A stream of which the first bytes have been read already."""

    def __init__(self, start: bytes, rest: ByteStream) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""
        taken, self._start = self._start[:size], self._start[size:]
        return taken or self._rest.read(size)


class Stretch:
    """The next so many bytes of a stream, as a stream of their own."""

    def __init__(self, stream: ByteStream, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data


def peek(stream: ByteStream) -> tuple[bytes, ByteStream]:
    """The first bytes of a stream, and the stream as if nobody had looked."""
    start = stream.read(_START_BYTES)
    return start, _Peeked(start, stream)


class Unpacked:
    """A stream that refuses its first bytes where they are those of a packed file: one layer has been taken off."""

    def __init__(self, stream: ByteStream, label: str) -> None:
        self._stream, self._label, self._begun = stream, label, False

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size` of them; none at the end. Raises CorpusError for what is packed still."""
        data = self._stream.read(size)
        if not self._begun:
            self._begun = True
            if kind := next((kind for kind, start in _PACKED.items() if re.match(start, data)), None):
                raise CorpusError(
                    f"{self._label}: what was to be read as text begins as {kind} does. Unpack it first: a file may be "
                    "packed once, with gzip, zstd, zip or tar."
                )
        return data


def check_start(data: bytes, label: str, encoding: str) -> None:
    """Raises CorpusError for a first block that no reader of lines in this encoding can make sense of."""
    if data.startswith(_UTF16_BOMS):
        raise CorpusError(f"{label}: starts with a UTF-16 byte order mark, expected {encoding}. Convert it.")
    if _every_other_byte_is_nul(data[:_START_BYTES]):
        raise CorpusError(f"{label}: every other byte is NUL, as in UTF-16, expected {encoding}. Convert it.")
    if b"\n" not in data and b"\r" in data.rstrip(b"\r"):
        raise CorpusError(
            f"{label}: its lines end in a carriage return alone, expected line feeds. Convert it: tr '\\r' '\\n'."
        )


def _every_other_byte_is_nul(start: bytes) -> bool:
    """Latin text in UTF-16 holds a NUL in nearly every pair of bytes, always on the same side, and hardly another."""
    pairs = len(start) // 2
    low, high = start[1::2].count(0), start[0::2].count(0)
    return pairs >= 8 and max(low, high) > 0.7 * pairs and min(low, high) < 0.1 * pairs
