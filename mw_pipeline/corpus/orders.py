"""The orders in which people write an address: a country's native form, and a table of others drawn by its habits.

A form is a tuple of blocks, a block a tuple of tags. Forms are drawn once per country, from a generator of their own:
a table is the same in every process, and thousands of draws give each move the share that the country file states.
Letters: F forms, S positions.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mw_pipeline.corpus.conventions import TAG_INDEX, read_toml
from mw_pipeline.countries import country, writer_of
from mw_pipeline.draws import cumulated

Block = tuple[str, ...]
Form = tuple[Block, ...]

DRAWN_FORMS = 6_000
_SEED = 0x0_4D_E4
AREA_TAGS = ("locality", "cedex", "subregion", "region", "postcode")


@dataclass(frozen=True)
class Forms:
    """The orders a country's addresses are written in: form 0 is the native one.

    order   (F, S) int64  tag index at each position of a form
    block   (F, S) int64  block number at each position; tags of one block stand side by side
    shares  (F,)   float  how often a row takes the form, cumulative, the last one 1
    """

    order: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]

    def draw(self, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One form per row, by its share."""
        return np.searchsorted(self.shares, rng.random(rows), side="right")


def forms(code: str) -> Forms:
    """The native form of a country, with no share, and what its moves make of it, each as often as it was drawn."""
    return _forms(writer_of(code))


@functools.cache
def _forms(code: str) -> Forms:
    rng = np.random.default_rng(_SEED)
    native = native_form(code)
    drawn = Counter(moved(native, country(code)["order"], rng) for _ in range(DRAWN_FORMS))
    return _table([native, *drawn], [0, *drawn.values()])


def postcode_first_forms(code: str) -> Forms:
    """Orders with the postcode where a house number would stand: what it is, only the places in the row tell."""
    return _postcode_first_forms(writer_of(code))


@functools.cache
def _postcode_first_forms(code: str) -> Forms:
    native = native_form(code)
    rest = _without(native, "postcode")
    before_street = _postcode_moved(native, "before_street")
    with_region = (("postcode", "region"), *_without(rest, "region"))
    weighted = {_postcode_moved(native, "first"): 4, before_street: 4, _first(native, AREA_TAGS): 3, with_region: 1}
    weighted[_first(before_street, ("region",))] = 2
    return _table(list(weighted), list(weighted.values()))


def city_first_forms(code: str) -> Forms:
    """The order with the town, its codes and areas in front of all else."""
    return _city_first_forms(writer_of(code))


@functools.cache
def _city_first_forms(code: str) -> Forms:
    return _table([_first(native_form(code), AREA_TAGS)], [1])


@functools.cache
def unit_forms(code: str) -> Forms:
    """The native form with the unit in each place that people give it."""
    places = {place: weight for place, weight in country(code)["order"]["unit"].items() if weight}
    return _table([_unit_moved(native_form(code), place) for place in places], list(places.values()))


@dataclass(frozen=True)
class LargeToSmall:
    """How Chinese, Japanese and Korean text runs from large to small.

    share              how often it does
    order, block       (S,) int64  tag index and block number at each position
    unseparated_share  how often its names follow each other without a sign in rows with numbers
    unseparated        (S,) int64  block numbers of such rows
    """

    share: float
    order: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    unseparated_share: float
    unseparated: npt.NDArray[np.int64]


@functools.cache
def large_to_small() -> LargeToSmall:
    """The habits of `separators.toml`."""
    section = read_toml("separators.toml")["large_to_small"]
    form = blocks_of(section["blocks"])
    order, block = np.array(form_order(form)), np.array(form_block(form))
    joined = np.isin(order, [TAG_INDEX[tag] for tag in section["together"]["tags"].split()])
    unseparated = np.where(joined, block[joined].min(), block)
    return LargeToSmall(section["share"], order, block, section["together"]["share"], unseparated)


def native_form(code: str) -> Form:
    """The blocks of a country's native form."""
    return blocks_of(country(code)["form"]["native"])


def form_order(form: Form) -> list[int]:
    """The tag index at each position of a form."""
    return [TAG_INDEX[tag] for block in form for tag in block]


def form_block(form: Form) -> list[int]:
    """The block number at each position of a form."""
    return [number for number, block in enumerate(form) for _ in block]


def blocks_of(rows: Sequence[str]) -> Form:
    """Blocks as tables write them: tags separated by spaces."""
    return tuple(tuple(row.split()) for row in rows)


def moved(native: Form, habits: Mapping[str, Any], rng: np.random.Generator) -> Form:
    """The form that one writer starts from, the native or another country's, after the moves that they make: each is
    drawn by the habits of the country file."""
    start = _drawn(habits["as_in"], rng)
    form = native if start == "native" else native_form(writer_of(start))
    for tag, move in _PLACED:
        form = move(form, _drawn(habits[tag], rng))
    if rng.random() < habits["number_turned"]:
        form = _number_swapped(form)
    if rng.random() < habits["number_apart"]:
        form = _number_split(form)
    if rng.random() < habits["city_first"]:
        form = _first(form, AREA_TAGS)
    if rng.random() < habits["large_to_small"]:
        form = tuple(reversed(form))
    if rng.random() < habits["country_first"]:
        form = _first(form, ("country",))
    if rng.random() < habits["shuffled"]:
        form = tuple(form[place] for place in rng.permutation(len(form)))
    return form


def _drawn(habits: Mapping[str, float], rng: np.random.Generator) -> str:
    shares = cumulated(np.array(list(habits.values()), np.float64))
    return list(habits)[int(np.searchsorted(shares, rng.random(), side="right"))]


def _without(form: Form, tag: str) -> Form:
    rest = (tuple(held for held in block if held != tag) for block in form)
    return tuple(block for block in rest if block)


def _place_of(form: Form, tag: str) -> int:
    return next(number for number, block in enumerate(form) if tag in block)


def _next_to(form: Form, tag: str, anchor: str, *, behind: bool) -> Form:
    """The form with a tag in the anchor's block, right behind the anchor (and its cedex) or right before it."""
    place = _place_of(form, anchor)
    block = form[place]
    at = block.index(anchor) + behind
    at += behind and block[at : at + 1] == ("cedex",)
    return (*form[:place], (*block[:at], tag, *block[at:]), *form[place + 1 :])


def _as_block(form: Form, tag: str, anchor: str, *, behind: bool) -> Form:
    """The form with a tag as a block of its own, behind the anchor's block or before it."""
    place = _place_of(form, anchor) + behind
    return (*form[:place], (tag,), *form[place:])


def _at_head(form: Form, tag: str, block: Block) -> Form:
    """The form with a tag at the head of a block."""
    return tuple((tag, *held) if held == block else held for held in form)


def _at_end(form: Form, tag: str) -> Form:
    """The form with a tag last of all but the country."""
    return _as_block(form, tag, "country", behind=False)


def _unit_moved(form: Form, place: str) -> Form:
    if place == "native":
        return form
    rest = _without(form, "unit")
    number, street = sorted(("house_number", "street"), key=_block_of(rest, "street").index)
    moves: dict[str, Callable[[], Form]] = {
        "behind": lambda: _next_to(rest, "unit", street, behind=True),
        "apart": lambda: _as_block(rest, "unit", "street", behind=True),
        "ahead": lambda: _next_to(rest, "unit", number, behind=False),
        "before": lambda: _as_block(rest, "unit", "street", behind=False),
        "venue": lambda: _next_to(rest, "unit", "venue", behind=True),
        "first": lambda: (("unit",), *rest),
        "inside": lambda: _next_to(rest, "unit", number, behind=True),
    }
    return moves[place]()


def _venue_moved(form: Form, place: str) -> Form:
    if place == "native":
        return form
    rest = _without(form, "venue")
    return _as_block(rest, "venue", "street", behind=True) if place == "behind_street" else _at_end(rest, "venue")


def _postcode_moved(form: Form, place: str) -> Form:
    if place == "native":
        return form
    rest = _without(form, "postcode")
    moves: dict[str, Callable[[], Form]] = {
        "first": lambda: (("postcode",), *rest),
        "last": lambda: _at_end(rest, "postcode"),
        "before_locality": lambda: _next_to(rest, "postcode", "locality", behind=False),
        "behind_locality": lambda: _next_to(rest, "postcode", "locality", behind=True),
        "behind_region": lambda: _next_to(rest, "postcode", "region", behind=True),
        "before_region": lambda: _next_to(rest, "postcode", "region", behind=False),
        "before_street": lambda: _at_head(rest, "postcode", _block_of(rest, "street")),
        "apart": lambda: _as_block(rest, "postcode", "region", behind=True),
    }
    return moves[place]()


def _region_moved(form: Form, place: str) -> Form:
    """A native region keeps the postcode that stands beside it; one that moves before the town leaves it."""
    if place == "native":
        return form
    moving = [tag for tag in _block_of(form, "region") if tag in ("region", "postcode")]
    rest = form
    for tag in moving:
        rest = _without(rest, tag)
    if place == "joined":
        at = _place_of(rest, "locality")
        return (*rest[:at], (*rest[at], *moving), *rest[at + 1 :])
    if place == "before_locality":
        rest = _as_block(rest, "region", "locality", behind=False)
        return _next_to(rest, "postcode", "locality", behind=True) if "postcode" in moving else rest
    rest = _at_end(rest, "region")
    return _next_to(rest, "postcode", "locality", behind=True) if "postcode" in moving else rest


def _subregion_moved(form: Form, place: str) -> Form:
    if place == "native":
        return form
    rest = _without(form, "subregion")
    return _next_to(rest, "subregion", "locality", behind=True) if place == "joined" else _at_end(rest, "subregion")


# In this order: the postcode is placed where the region then stands.
_PLACED: tuple[tuple[str, Callable[[Form, str], Form]], ...] = (
    ("unit", _unit_moved),
    ("venue", _venue_moved),
    ("subregion", _subregion_moved),
    ("region", _region_moved),
    ("postcode", _postcode_moved),
)


def _block_of(form: Form, tag: str) -> Block:
    return form[_place_of(form, tag)]


def _number_swapped(form: Form) -> Form:
    swap = {"house_number": "street", "street": "house_number"}
    return tuple(tuple(swap.get(tag, tag) for tag in block) for block in form)


def _number_split(form: Form) -> Form:
    """The block of number and street cut between the two."""
    place = _place_of(form, "street")
    block = form[place]
    if "house_number" not in block:
        return form
    cut = max(block.index("street"), block.index("house_number"))
    return (*form[:place], block[:cut], block[cut:], *form[place + 1 :])


def _first(form: Form, tags: Iterable[str]) -> Form:
    """The blocks that hold some of the tags in front of all others."""
    wanted = set(tags)
    front = tuple(block for block in form if wanted & set(block))
    return (*front, *(block for block in form if not wanted & set(block)))


def _table(drawn: Sequence[Form], weights: Sequence[float]) -> Forms:
    return Forms(
        order=np.array([form_order(form) for form in drawn]),
        block=np.array([form_block(form) for form in drawn]),
        shares=cumulated(np.array(weights, np.float64)),
    )
