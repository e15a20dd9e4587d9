"""Streams of bytes: by its beginning it is seen what one is, and a stretch of one is a stream."""

from __future__ import annotations

from typing import Protocol

from mw_pipeline.errors import CorpusError

_START_BYTES = 1 << 12
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


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
