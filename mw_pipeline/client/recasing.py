"""How the client writes a text that has no case of its own, before it cuts it into pieces. Standard library.

The rule: a text of ASCII alone whose letters are all capitals, or all small, has each run of up to two letters in
capitals and each longer one with a first capital. Lengths and offsets stay: spans of one are spans of the other.
"""

from __future__ import annotations

import re

LONGEST_IN_CAPITALS = 2
"""Letters of the longest run that is taken for a code, as in `NY` and `5TH`."""

_RUN = re.compile("[A-Za-z]+")


def is_recased(text: str) -> bool:
    """Whether the client writes the text anew: it is of ASCII alone, and all in capitals or all in small letters."""
    return text.isascii() and (text.isupper() or text.islower())


def recased(text: str) -> str:
    """The text as the client reads it; every other text than one of `is_recased` as it is."""
    return _RUN.sub(_written, text) if is_recased(text) else text


def _written(run: re.Match[str]) -> str:
    letters = run[0]
    return letters.upper() if len(letters) <= LONGEST_IN_CAPITALS else letters.capitalize()
