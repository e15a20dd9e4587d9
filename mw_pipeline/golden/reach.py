"""Reachability: where the values of a row stand in its text, at word boundaries and without overlap. Standard library.

It answers for one row at a time and needs nothing installed, so that anyone's gold can be checked beside the parser.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

# Scripts that put no space between words: every position is a boundary there.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def spans_in(raw: str, components: Mapping[str, str]) -> dict[str, tuple[int, int]] | None:
    """(start, end) in code points for every value, or None when they cannot all stand in the text side by side.

    Longest values are placed first and leftmost places tried first; every arrangement is tried before giving up, so
    "New York, New York" holds a locality and a region of the same name."""
    wanted = sorted(components.items(), key=lambda item: -len(item[1]))
    places = [list(occurrences(raw, value)) for _, value in wanted]
    chosen = _arranged(places, ())
    return None if chosen is None else {tag: span for (tag, _), span in zip(wanted, chosen, strict=True)}


def _arranged(
    places: list[list[tuple[int, int]]], taken: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...] | None:
    if len(taken) == len(places):
        return taken
    for start, end in places[len(taken)]:
        if all(end <= first or last <= start for first, last in taken):
            found = _arranged(places, (*taken, (start, end)))
            if found is not None:
                return found
    return None


def occurrences(raw: str, value: str) -> Iterator[tuple[int, int]]:
    """The places where a value stands between word boundaries, left to right: "AK" is not in "Lake" (M18)."""
    start = raw.find(value) if value else -1
    while start >= 0:
        end = start + len(value)
        if _is_boundary(raw, start) and _is_boundary(raw, end):
            yield start, end
        start = raw.find(value, start + 1)


def _is_boundary(raw: str, position: int) -> bool:
    """Whether a word can begin or end here: not between two letters or two digits of a script that writes spaces."""
    if position in (0, len(raw)):
        return True
    before, after = raw[position - 1], raw[position]
    if unicodedata.category(after)[0] == "M":
        return False
    return _kind(before) != _kind(after) or _kind(after) == ""


def _kind(character: str) -> str:
    """ "letter" or "digit" where two in a row are one word, else nothing."""
    category = unicodedata.category(character)
    if category[0] == "N":
        return "digit"
    if category[0] not in "LM" or unicodedata.name(character, "").startswith(_UNSPACED):
        return ""
    return "letter"
