"""Reachability: where the values of a row stand in its text, at word boundaries and without overlap.

It answers for one row at a time and needs no more than the parser does, so that anyone's gold can be checked beside it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mw_pipeline.words import word_edges

_Left = tuple[tuple[str, int], ...]  # values that have no place yet, with how many tags want each
_Spans = tuple[tuple[int, int], ...]  # (start, end) of the placed ones, left to right


def spans_in(raw: str, components: Mapping[str, str]) -> dict[str, tuple[int, int]] | None:
    """(start, end) in code points for every value, or None when they cannot all stand in the text side by side.

    Longest values come first, each in the leftmost place that is free. Where that leaves one without a place,
    every arrangement is judged before the answer is None."""
    places = {value: list(occurrences(raw, value)) for value in components.values()}
    taken: dict[str, tuple[int, int]] = {}
    for tag, value in sorted(components.items(), key=lambda item: -len(item[1])):
        free = (span for span in places[value] if all(_apart(span, other) for other in taken.values()))
        span = next(free, None)
        if span is None:
            return _arranged(components, places)
        taken[tag] = span
    return taken


def _apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def _arranged(
    components: Mapping[str, str], places: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[str, tuple[int, int]] | None:
    """An arrangement of all values, or None when there is none.

    The text is filled from the left, and of all ways to have placed the same values only the one that ends first goes
    on: no other leaves more room. Equal values count as one, so these are at most two to the number of values, 65,536
    for one value of each tag."""
    ways: dict[_Left, _Spans] = {tuple(Counter(components.values()).items()): ()}
    for _ in components:
        longer: dict[_Left, _Spans] = {}
        for left, spans in ways.items():
            for fewer, further in _one_further(left, spans, places):
                if fewer not in longer or further[-1][1] < longer[fewer][-1][1]:
                    longer[fewer] = further
        ways = longer
    if () not in ways:
        return None
    standing = {value: iter(sorted(set(ways[()]).intersection(places[value]))) for value in places}
    return {tag: next(standing[value]) for tag, value in components.items()}


def _one_further(
    left: _Left, spans: _Spans, places: Mapping[str, Sequence[tuple[int, int]]]
) -> Iterator[tuple[_Left, _Spans]]:
    """Each way to place one more value as early as it can stand; none when some value has no place any more."""
    end = spans[-1][1] if spans else 0
    nexts = [bisect_left(places[value], (end, 0)) for value, _ in left]
    if any(len(places[value]) - at < count for at, (value, count) in zip(nexts, left, strict=True)):
        return
    for index, (at, (value, count)) in enumerate(zip(nexts, left, strict=True)):
        rest = ((value, count - 1),) if count > 1 else ()
        yield (*left[:index], *rest, *left[index + 1 :]), (*spans, places[value][at])


def occurrences(raw: str, value: str) -> Iterator[tuple[int, int]]:
    """The places where a value stands between word boundaries, left to right: "AK" is not in "Lake" (M18)."""
    edges = word_edges(raw)
    start = raw.find(value) if value else -1
    while start >= 0:
        end = start + len(value)
        if edges[start] and edges[end]:
            yield start, end
        start = raw.find(value, start + 1)
