"""The orders and styles that addresses are asked in, and which of them a person can read without guessing."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.corpus.conventions import TAG_INDEX
from mw_pipeline.corpus.orders import AREA_TAGS, Form, form_block, form_order, native_form
from mw_pipeline.sources.builtin.adapter import COUNTRIES

Order = tuple[tuple[int, int], ...]
"""Tag index and block number at each position."""

NATIVE = "native"
_ABROAD = (*COUNTRIES, "DE")
"""Countries whose own order people abroad copy: the American one, the French one, and that of most of Europe."""

_NUMBERS = frozenset({"postcode", "house_number", "unit", "po_box", "cedex"})
_CLOSED = frozenset({"locality", "region", "subregion", "country"})
_STREETS = frozenset({"street", "intersection_a", "intersection_b"})
_TAGS = {number: tag for tag, number in TAG_INDEX.items()}


@dataclass(frozen=True)
class Style:
    """What stands between blocks, and in which case names are written."""

    commas: bool = True
    case: str = ""

    @property
    def name(self) -> str:
        """As a cell is called."""
        return f"{'commas' if self.commas else 'no commas'}{', ' if self.case else ''}{self.case}"

    def written(self, text: str) -> str:
        """The text in this case."""
        return text.upper() if self.case == "capitals" else text.lower() if self.case else text


PLAIN = Style()
STYLES = tuple(Style(commas, case) for commas in (True, False) for case in ("", "capitals", "small letters"))


@functools.cache
def orders(country: str) -> Mapping[str, Order]:
    """The orders in which addresses of a country are asked, by name; the first is its own."""
    native = native_form(country)
    small = tuple(block for block in native if not set(block) & {*AREA_TAGS, "country"})
    large = tuple(block for block in native if set(block) & set(AREA_TAGS))
    town = next(number for number, block in enumerate(_without(native, "postcode")) if "locality" in block)
    regionless = _without(native, "region", "subregion")
    at = next(number for number, block in enumerate(regionless) if "locality" in block)
    found: dict[str, Form] = {
        NATIVE: native,
        "postcode first": (("postcode",), *_without(native, "postcode")),
        "postcode behind the town": _inserted(_without(native, "postcode"), town + 1, ("postcode",)),
        "region before the town": _inserted(regionless, at, ("region",), ("subregion",)),
        "town first": (*large, *small, ("country",)),
        "large to small": tuple(reversed(native)),
    }
    found |= {f"as in {other}": native_form(other) for other in _ABROAD if other != country}
    return {name: _order_of(blocks) for name, blocks in found.items()}


@functools.cache
def postcode_beside_street(country: str) -> Order:
    """The native order with the postcode right in front of the street, with nothing but a space between them."""
    blocks = _without(native_form(country), "postcode")
    return _order_of(tuple(("postcode", *block) if "street" in block else block for block in blocks))


def block_shape(order: Order, present: Collection[str]) -> tuple[tuple[str, bool], ...]:
    """What an order amounts to for these components: each tag in its place, and whether it opens a block."""
    blocks = [(_TAGS[tag], block) for tag, block in order if _TAGS[tag] in present]
    previous_blocks = [None, *(block for _, block in blocks)]
    return tuple((tag, block != previous) for (tag, block), previous in zip(blocks, previous_blocks, strict=False))


def is_fair(shape: Sequence[tuple[str, bool]], *, commas: bool, types_behind: bool, long_numbers: bool) -> bool:
    """Whether a person who knows neither the town nor the street can tell every part of a row from its neighbours.

    shape         as `block_shape` gives it
    types_behind  see Habits: where a street shows its end, and where its beginning
    long_numbers  the country has house numbers as long as its postcodes: then only a region tells which of them stands
                  in front of a street (M66)
    """
    tags = [tag for tag, _ in shape]
    for (left, _), (right, opens) in itertools.pairwise(shape):
        if (left, right) == ("postcode", "street") and long_numbers and "region" not in tags:
            return False
        if not (commas and opens) and not _are_distinguishable(left, right, types_behind=types_behind):
            return False
    return True


def _are_distinguishable(left: str, right: str, *, types_behind: bool) -> bool:
    """Whether two neighbours with nothing but a space between them are told apart by what they are themselves."""
    if left in _NUMBERS or right in _NUMBERS or (left, right) == ("intersection_a", "intersection_b"):
        return True
    if right in _STREETS:
        return not types_behind or left in ("country", "region")
    if left in _STREETS:
        return types_behind
    return left in _CLOSED and right in _CLOSED


def _without(blocks: Form, *tags: str) -> Form:
    """The blocks without some tags."""
    left = (tuple(tag for tag in block if tag not in tags) for block in blocks)
    return tuple(block for block in left if block)


def _inserted(blocks: Form, at: int, *new: tuple[str, ...]) -> Form:
    return (*blocks[:at], *new, *blocks[at:])


def _order_of(blocks: Form) -> Order:
    return tuple(zip(form_order(blocks), form_block(blocks), strict=True))
