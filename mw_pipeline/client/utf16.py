"""Offsets as JavaScript counts them: in units of UTF-16, two for a character beyond U+FFFF. Standard library."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def utf16_offsets(text: str, offsets: Sequence[int]) -> list[int]:
    """Offsets into a text in code points, in UTF-16 units. Half of a surrogate pair is one unit in both (M19)."""
    if text.isascii():
        return list(offsets)
    astral = [index for index, character in enumerate(text) if character > "\uffff"]
    return [offset + bisect_left(astral, offset) for offset in offsets]
