"""Spans for text that came with its components: labelled data and gold. Offsets are code points, end-exclusive.

Composed rows never pass here: their spans are known by construction. Here the values are looked for, first exactly,
then under compatibility folding; always at word boundaries, never inside a word (M18), and never two over one another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.words import word_edges

# What may stand beside a component without its being part of a longer word.
_CLEAN_NEIGHBOURS = frozenset(' \t\r\n,;|/()[]"«»、，。')
_MAX_SHORT = 2
_MAX_CANDIDATES = 12
_MAX_STEPS = 20_000

# How addresses usually run; among equally good occurrences the choice closest to this order wins.
USUAL_ORDER = (
    "venue",
    "unit",
    "house_number",
    "street_prefix",
    "street",
    "street_suffix",
    "intersection_a",
    "intersection_b",
    "po_box",
    "dependent_locality",
    "locality",
    "cedex",
    "subregion",
    "region",
    "postcode",
    "country",
)


@dataclass(frozen=True, order=True)
class Span:
    """One component in a text: raw[start:end], in code points."""

    start: int
    end: int
    tag: str


@dataclass(frozen=True)
class Misfit:
    """Why a text does not hold its components: a short stable reason, and the tag and value it is about."""

    reason: str
    detail: str


def align(raw: str, components: Mapping[str, str]) -> tuple[Span, ...] | Misfit:
    """The span of every component, sorted and not overlapping, or the reason why there is none.

    A value matches when it is equal as it stands, else under NFKC, case folding and collapsed white space; values of
    one or two characters match only as they stand. Among several occurrences those are chosen that leave room for all
    components, stand free of hyphens and apostrophes, and keep the usual order of an address, the earliest first.
    """
    candidates: dict[str, list[_Candidate]] = {}
    for tag, value in components.items():
        found = _occurrences(raw, value)
        if isinstance(found, Misfit):
            return Misfit(found.reason, f"{tag} {value!r}")
        candidates[tag] = found[:_MAX_CANDIDATES]
    chosen = _choice(candidates)
    if chosen is None:
        return Misfit("components_overlap", ", ".join(f"{tag} {value!r}" for tag, value in components.items()))
    return chosen


@dataclass(frozen=True)
class _Candidate:
    start: int
    end: int
    untidiness: int


def _occurrences(raw: str, value: str) -> list[_Candidate] | Misfit:
    """Where the value stands in the text, earliest first, or why nowhere."""
    wanted = value.strip()
    if not wanted:
        return Misfit("empty_value", "")
    exact = list(_exact(raw, wanted))
    places = [place for place in exact if _bounded(raw, *place)]
    folded: list[tuple[int, int]] = []
    if not places and len(wanted) > _MAX_SHORT:
        folded = list(_folded(raw, wanted))
        places = [place for place in folded if _bounded(raw, *place)]
    if not places:
        return Misfit("only_inside_a_word" if exact or folded else "value_not_in_text", "")
    return [_Candidate(start, end, _untidiness(raw, start, end)) for start, end in places]


def _exact(raw: str, wanted: str) -> Iterator[tuple[int, int]]:
    start = raw.find(wanted)
    while start >= 0:
        yield start, start + len(wanted)
        start = raw.find(wanted, start + 1)


def _folded(raw: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Matches under folding, as ranges of the unfolded text: whole clusters only, so a letter keeps its marks."""
    text, starts, ends = _fold(raw)
    target, _, _ = _fold(wanted)
    target = target.strip(" ")
    found = text.find(target) if target else -1
    while found >= 0:
        last = found + len(target) - 1
        whole_first = found == 0 or starts[found - 1] != starts[found]
        whole_last = last == len(text) - 1 or starts[last + 1] != starts[last]
        if whole_first and whole_last:
            yield starts[found], ends[last]
        found = text.find(target, found + 1)


def _fold(text: str) -> tuple[str, list[int], list[int]]:
    """The folded text, and for each of its characters the range of the cluster that it came from.

    Clusters fold one by one: decomposition never reaches past a base letter and its marks, so the sum is the whole.
    """
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        piece = text[start:end]
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", piece).casefold())
        if plain.isspace():
            if folded and folded[-1] == " ":
                ends[-1] = end
                continue
            plain = " "
        folded += plain
        starts += [start] * len(plain)
        ends += [end] * len(plain)
    return "".join(folded), starts, ends


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or unicodedata.combining(text[index]) == 0:
            yield start, index
            start = index


def _bounded(raw: str, start: int, end: int) -> bool:
    edges = word_edges(raw)
    return bool(edges[start] and edges[end])


def _untidiness(raw: str, start: int, end: int) -> int:
    before = start == 0 or raw[start - 1] in _CLEAN_NEIGHBOURS
    after = end == len(raw) or raw[end] in _CLEAN_NEIGHBOURS
    return (not before) + (not after)


def _choice(candidates: Mapping[str, Sequence[_Candidate]]) -> tuple[Span, ...] | None:
    """One candidate per tag, none overlapping, of the least cost: untidy edges, then departures from the usual order.

    Branch and bound over the tags with the fewest candidates first; past a fixed number of steps the best choice so far
    stands.
    """
    tags = sorted(
        candidates, key=lambda tag: (len(candidates[tag]), USUAL_ORDER.index(tag) if tag in USUAL_ORDER else -1)
    )
    best: tuple[tuple[int, tuple[int, ...]], tuple[Span, ...]] | None = None
    steps = 0

    def search(depth: int, taken: tuple[Span, ...], cost: int) -> None:
        nonlocal best, steps
        steps += 1
        if steps > _MAX_STEPS or (best is not None and cost > best[0][0]):
            return
        if depth == len(tags):
            spans = tuple(sorted(taken))
            key = (cost, tuple(span.start for span in spans))
            if best is None or key < best[0]:
                best = key, spans
            return
        tag = tags[depth]
        for candidate in candidates[tag]:
            if all(candidate.end <= span.start or span.end <= candidate.start for span in taken):
                span = Span(candidate.start, candidate.end, tag)
                search(depth + 1, (*taken, span), cost + 100 * candidate.untidiness + _departures(span, taken))

    search(0, (), 0)
    return None if best is None else best[1]


def _departures(span: Span, taken: Sequence[Span]) -> int:
    """How many of the spans already taken stand on the other side of this one than they usually do."""
    return sum((span.start < other.start) != (_usual(span.tag) < _usual(other.tag)) for other in taken)


def _usual(tag: str) -> int:
    return USUAL_ORDER.index(tag) if tag in USUAL_ORDER else len(USUAL_ORDER)
