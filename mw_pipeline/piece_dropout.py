"""A SentencePiece model without some of its pieces: it cuts what they stood for into shorter ones, with the same ids.

A model file is a protobuf message whose fields are all messages: one for each piece, in the order of the ids, and three
or four with settings. The classes that sentencepiece brings for it ask for a newer protobuf than dagster allows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_PIECE = 0x0A
"""Field 1 of the model, of wire type 2: its length, then as many bytes."""
_WIRE_TYPE, _OF_A_LENGTH = 0x07, 2
_UNUSED = b"\x18\x05"
"""Field 3 of a piece, its type, as a varint: no text is cut into it. What is said last of a field holds."""


def without_pieces(model: bytes, dropped: NDArray[np.bool_]) -> bytes:
    """The model file whose pieces are no longer used where `dropped` (V,) says so.

    Raises ValueError for a file that has another number of pieces, or fields of another kind."""
    fields = list(_fields(model))
    ids = iter(dropped.tolist())
    try:
        written = [_with(body + _UNUSED) if tag == _PIECE and next(ids) else whole for tag, whole, body in fields]
    except StopIteration:
        raise ValueError(f"the model has more pieces than {len(dropped)}") from None
    if left := len(list(ids)):
        raise ValueError(f"the model has {len(dropped) - left} pieces, expected {len(dropped)}")
    return b"".join(written)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, all bytes and content of every field."""
    at = 0
    while at < len(message):
        tag, after_tag = _varint(message, at)
        if tag & _WIRE_TYPE != _OF_A_LENGTH:
            raise ValueError(f"the model has a field with the tag {tag}, expected messages alone")
        length, begin = _varint(message, after_tag)
        end = begin + length
        yield tag, message[at:end], message[begin:end]
        at = end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte and the lowest first, and the place after it."""
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1


def _with(body: bytes) -> bytes:
    """A piece with this content."""
    length, rest = bytearray(), len(body)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([_PIECE, *length, rest]) + body
