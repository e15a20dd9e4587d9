"""Cells of what is written and how: subsets of components by order, separators and case, and numbers like postcodes.

Subsets are all that a person would write, made by a rule and not from a list: what is in no list is never taught, and
nobody would notice (M66).
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator, Sequence

from mw_pipeline.capability.addresses import Address
from mw_pipeline.capability.cells import CellKey
from mw_pipeline.capability.closed_lists import CellPlan
from mw_pipeline.capability.orders import (
    NATIVE,
    PLAIN,
    STYLES,
    Style,
    block_shape,
    is_fair,
    orders,
    postcode_beside_street,
)
from mw_pipeline.capability.stock import Stock

SUBSET, ORDER, STYLE = "subset", "order", "separators and case"
BY_ORDER, BY_STYLE, ORDER_BY_STYLE = f"{SUBSET} × {ORDER}", f"{SUBSET} × {STYLE}", f"{ORDER} × {STYLE}"

_HEADS: tuple[tuple[str, ...], ...] = (
    (),
    ("street",),
    ("house_number", "street"),
    ("house_number", "street", "unit"),
    ("po_box",),
    ("intersection_a", "intersection_b"),
)
_AREAS = ("locality", "region", "postcode", "country")
# A closed word alone has no row of its own, and a name alone could be anything.
_ENOUGH_ALONE = frozenset({"street", "po_box", "intersection_a"})

Subset = tuple[str, ...]


def subsets() -> list[Subset]:
    """Every subset of components that a person would write, and could read: no number without its street, no name
    alone, and no bare number."""
    areas = [part for size in range(len(_AREAS) + 1) for part in itertools.combinations(_AREAS, size)]
    all_of_them = [(*venue, *head, *area) for venue in ((), ("venue",)) for head in _HEADS for area in areas]
    return [subset for subset in all_of_them if _can_be_read(subset)]


def _can_be_read(subset: Subset) -> bool:
    if _ENOUGH_ALONE & set(subset):
        return True
    return len(subset) > 1 and bool({"locality", "postcode", "venue"} & set(subset))


def composition_plans(stock: Stock) -> Iterator[CellPlan]:
    """Each subset as a plain row; those without venue and unit in every order and style too; five digits in front."""
    for subset in subsets():
        yield from _native(stock, subset)
    grid = [subset for subset in subsets() if not {"venue", "unit"} & set(subset)]
    for subset in grid:
        yield from _in_orders(stock, subset)
        yield from _in_styles(stock, subset)
    yield from _orders_in_styles(stock, grid)
    yield from _long_numbers(stock)


def name_of(subset: Subset) -> str:
    """As a cell is called: `house_number + street + region`."""
    return " + ".join(subset)


def _native(stock: Stock, subset: Subset) -> Iterator[CellPlan]:
    if _fair(stock, subset, NATIVE, PLAIN):
        yield _plan(stock, CellKey(SUBSET, (name_of(subset),)), [subset], NATIVE, PLAIN)


def _in_orders(stock: Stock, subset: Subset) -> Iterator[CellPlan]:
    """The subset in every order that is another order for it, with commas."""
    seen = set()
    for order in orders(stock.habits.country):
        shape = _shape(stock, subset, order)
        if shape not in seen and order != NATIVE and _fair(stock, subset, order, PLAIN):
            key, also = CellKey(BY_ORDER, (name_of(subset), order)), (CellKey(ORDER, (order,)),)
            yield _plan(stock, key, [subset], order, PLAIN, also)
        seen.add(shape)


def _in_styles(stock: Stock, subset: Subset) -> Iterator[CellPlan]:
    """The subset in its native order without commas, where it has any, and in other cases."""
    for style in STYLES[1:]:
        if _differs(stock, subset, NATIVE, style) and _fair(stock, subset, NATIVE, style):
            key, also = CellKey(BY_STYLE, (name_of(subset), style.name)), (CellKey(STYLE, (style.name,)),)
            yield _plan(stock, key, [subset], NATIVE, style, also)


def _orders_in_styles(stock: Stock, grid: Sequence[Subset]) -> Iterator[CellPlan]:
    for order, style in itertools.product(orders(stock.habits.country), STYLES):
        fair = [
            subset
            for subset in grid
            if len(subset) > 2
            and (order == NATIVE or _shape(stock, subset, order) != _shape(stock, subset, NATIVE))
            and _differs(stock, subset, order, style)
            and _fair(stock, subset, order, style)
        ]
        if fair:
            yield _plan(stock, CellKey(ORDER_BY_STYLE, (order, style.name)), fair, order, style)


def _plan(
    stock: Stock, key: CellKey, fair: Sequence[Subset], order: str, style: Style, also: tuple[CellKey, ...] = ()
) -> CellPlan:
    form = orders(stock.habits.country)[order]
    return CellPlan(key, lambda rng: Address(stock.values(rng.choice(fair), rng), key, form, style, also))


def _shape(stock: Stock, subset: Subset, order: str) -> tuple[tuple[str, bool], ...]:
    return _shape_in(stock.habits.country, subset, order)


@functools.cache
def _shape_in(country: str, subset: Subset, order: str) -> tuple[tuple[str, bool], ...]:
    """Each is asked for again and again: for the order alone, and beside every style."""
    return block_shape(orders(country)[order], subset)


def _fair(stock: Stock, subset: Subset, order: str, style: Style) -> bool:
    return is_fair(
        _shape(stock, subset, order),
        commas=style.commas,
        types_behind=stock.habits.types_behind,
        long_numbers=bool(stock.long_numbers),
    )


def _differs(stock: Stock, subset: Subset, order: str, style: Style) -> bool:
    """Whether a style without commas is another style for these components: somewhere a comma goes."""
    blocks = sum(opens for _, opens in _shape(stock, subset, order))
    return style.commas or blocks > 1


def _long_numbers(stock: Stock) -> Iterator[CellPlan]:
    """As many digits as a postcode in front of a street: the region beside it tells what they are (M66).

    Where a town is named, too, a number in front of a street is its house's to anyone who knows no postcode of it."""
    if not stock.long_numbers:
        return
    family = "five digits first"
    of_house, of_post = CellKey(family, ("house number",)), CellKey(family, ("postcode",))
    by_name, code_before_street = orders(stock.habits.country), postcode_beside_street(stock.habits.country)

    def house(rng: random.Random) -> Address:
        values = stock.values(rng.choice((("street", "region"), ("street", "locality", "region"))), rng)
        numbers = [
            number
            for number in rng.sample(stock.long_numbers, 50)
            if values["region"] not in stock.towns.prefixes.get(number[:3], frozenset({values["region"]}))
        ]
        return Address({"house_number": numbers[0], **values}, of_house, by_name[NATIVE])

    def post(rng: random.Random) -> Address:
        order = rng.choice((by_name["postcode first"], code_before_street, code_before_street))
        return Address(stock.values(("postcode", "street", "region"), rng), of_post, order)

    yield CellPlan(of_house, house)
    yield CellPlan(of_post, post)
