"""Reachability: where the values of a row stand in its text, at word boundaries and without overlap.

It answers for one row at a time and needs no more than the parser does, so that anyone's gold can be checked beside it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mw_pipeline.words import word_edges

_Unplaced = tuple[tuple[str, int], ...]  # values that have no place yet, with how many tags want each
_Spans = tuple[tuple[int, int], ...]  # (start, end) of the placed ones, left to right


def spans_in(raw: str, components: Mapping[str, str]) -> dict[str, tuple[int, int]] | None:
    """(start, end) in code points for every value, or None when they cannot all stand in the text side by side.

    Longest values come first, each in the leftmost place that is free. Where that leaves one without a place,
    every arrangement is judged before the answer is None."""
    candidates = {value: list(occurrences(raw, value)) for value in components.values()}
    taken: dict[str, tuple[int, int]] = {}
    for tag, value in sorted(components.items(), key=lambda item: -len(item[1])):
        free = (span for span in candidates[value] if all(_are_disjoint(span, other) for other in taken.values()))
        span = next(free, None)
        if span is None:
            return _arrangement(components, candidates)
        taken[tag] = span
    return taken


def _are_disjoint(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def _arrangement(
    components: Mapping[str, str], candidates: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[str, tuple[int, int]] | None:
    """An arrangement of all values, or None when there is none.

    The text is filled from the left, and of all ways to have placed the same values only the one that ends first goes
    on: no other leaves more room. Equal values count as one, so these are at most two to the number of values, 65,536
    for one value of each tag."""
    arrangements: dict[_Unplaced, _Spans] = {tuple(Counter(components.values()).items()): ()}
    for _ in components:
        extended: dict[_Unplaced, _Spans] = {}
        for unplaced, spans in arrangements.items():
            for remaining, placed in _place_one_more(unplaced, spans, candidates):
                if remaining not in extended or placed[-1][1] < extended[remaining][-1][1]:
                    extended[remaining] = placed
        arrangements = extended
    if () not in arrangements:
        return None
    spans_of_value = {
        value: iter(sorted(set(arrangements[()]).intersection(candidates[value]))) for value in candidates
    }
    return {tag: next(spans_of_value[value]) for tag, value in components.items()}


def _place_one_more(
    unplaced: _Unplaced, spans: _Spans, candidates: Mapping[str, Sequence[tuple[int, int]]]
) -> Iterator[tuple[_Unplaced, _Spans]]:
    """Each way to place one more value as early as it can stand; none when some value has no place any more."""
    end = spans[-1][1] if spans else 0
    nexts = [bisect_left(candidates[value], (end, 0)) for value, _ in unplaced]
    if any(len(candidates[value]) - at < count for at, (value, count) in zip(nexts, unplaced, strict=True)):
        return
    for index, (at, (value, count)) in enumerate(zip(nexts, unplaced, strict=True)):
        rest = ((value, count - 1),) if count > 1 else ()
        yield (*unplaced[:index], *rest, *unplaced[index + 1 :]), (*spans, candidates[value][at])


def occurrences(raw: str, value: str) -> Iterator[tuple[int, int]]:
    """The places where a value stands between word boundaries, left to right: "AK" is not in "Lake" (M18)."""
    edges = word_edges(raw)
    start = raw.find(value) if value else -1
    while start >= 0:
        end = start + len(value)
        if edges[start] and edges[end]:
            yield start, end
        start = raw.find(value, start + 1)
