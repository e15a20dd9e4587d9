"""Cells of closed lists: every region, country, street type, direction, unit, box and crossing of a locale by itself.

Each word stands in plain rows of its country, so that a cell tells of its word and of nothing else.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mw_pipeline.capability.addresses import Address
from mw_pipeline.capability.cells import CellKey
from mw_pipeline.capability.habits import STREET_TYPE, Habits, folded
from mw_pipeline.capability.orders import NATIVE, orders
from mw_pipeline.capability.stock import Stock, Values
from mw_pipeline.capability.towns import Area, Town
from mw_pipeline.corpus.closed_words import DIRECTIONAL, ClosedWord
from mw_pipeline.corpus.conventions import crossing_joints, region_swaps
from mw_pipeline.corpus.phrases import phrases
from mw_pipeline.sources.builtin.scripts import country_names

Make = Callable[[random.Random], Address]
_PHRASES = 4000
# An area called like a town, with next to no other town in it, is that town to any reader: Paris. Of six towns none
# alone, whatever its name, makes a cell blind that may miss one row in five.
_TOWNS_ENOUGH = 6
_A_TOWN_TOO = "is a town's name too, and too few of its towns are held out"
AREA_KINDS = ("region name", "region code", "subregion name")


@dataclass(frozen=True)
class CellPlan:
    """A cell and how each of its rows is made; `why_not` says why none can be made that a person could read."""

    key: CellKey
    make: Make | None
    why_not: str = ""


def closed_list_plans(stock: Stock) -> Iterator[CellPlan]:
    """The cells of all closed lists of the stock's locale, list by list, each in alphabetical order."""
    yield from _areas(stock)
    yield from _countries(stock)
    yield from _street_words(stock)
    yield from _phrase_words(stock)
    yield from _cedex(stock)
    yield from _military(stock)
    yield from _crossings(stock)


Edit = Callable[[Values, random.Random], Values]


def row_maker(stock: Stock, key: CellKey, contexts: Sequence[Sequence[str]], edit: Edit) -> Make:
    """Rows in one of the contexts each, in the native order with commas; `edit` puts in what the cell is about."""
    order = orders(stock.habits.country)[NATIVE]

    def make(rng: random.Random) -> Address:
        return Address(edit(stock.values(rng.choice(contexts), rng), rng), key, order)

    return make


def with_text(tag: str, draw: Callable[[random.Random], str]) -> Edit:
    """Puts a text of its own under a tag of every row."""
    return lambda values, rng: values | {tag: draw(rng)}


def with_word(word: ClosedWord) -> Edit:
    """Puts the word under its usual tag."""
    return with_text(word.tag, lambda _: word.word)


def sorted_words(habits: Habits, *kinds: str) -> list[ClosedWord]:
    """The closed words of some kinds, kind by kind in alphabetical order: the packages behind them keep none."""
    return sorted(habits.of_kind(*kinds), key=lambda word: (kinds.index(word.kind), word.word))


def _areas(stock: Stock) -> Iterator[CellPlan]:
    names = _names_of_codes(stock.habits.country)
    for word in sorted_words(stock.habits, *AREA_KINDS):
        if word.word in stock.habits.military:
            continue
        key = CellKey(word.kind, (word.word,))
        area = stock.towns.areas.get(folded(names.get(word.word.lower(), word.word)), Area())
        own_town, of_a_town = folded(word.word) in area.names, folded(word.word) in stock.towns.names
        if len(area.held_out) >= (1 if not (own_town or area.postcodes) else _TOWNS_ENOUGH):
            yield CellPlan(key, _in_area(stock, key, word, area.held_out))
        elif own_town or (of_a_town and not area.postcodes):
            yield CellPlan(key, None, _A_TOWN_TOO)
        else:
            yield CellPlan(key, _without_town(stock, key, word, area.postcodes))


def _without_town(stock: Stock, key: CellKey, word: ClosedWord, postcodes: Sequence[str]) -> Make:
    """Rows of streets alone in an area none of whose towns is held out, with its postcodes where they are known."""
    contexts = (("house_number", "street"), ("house_number", "street", "country"), ("street",), ("street", "country"))

    def edit(values: Values, rng: random.Random) -> Values:
        return values | {word.tag: word.word} | ({"postcode": rng.choice(postcodes)} if postcodes else {})

    return row_maker(stock, key, contexts, edit)


def _in_area(stock: Stock, key: CellKey, word: ClosedWord, towns: Sequence[Town]) -> Make:
    """Rows of towns in an area; a lower area stands beside the one above it now and then (docs/labels.md)."""
    order = orders(stock.habits.country)[NATIVE]
    contexts = (
        ["locality"],
        ["locality", "country"],
        ["house_number", "street", "locality"],
        ["house_number", "street", "locality", "postcode"],
        ["street", "locality"],
    )

    def make(rng: random.Random) -> Address:
        town = rng.choice(towns)
        values = stock.values(rng.choice(contexts), rng, town)
        lower = len(word.tags) > 1 and folded(town.region_name) != folded(word.word) and rng.random() < 0.5
        above = {"region": town.region_name, "subregion": word.word} if lower else {"region": word.word}
        return Address(values | above, key, order)

    return make


def _names_of_codes(country: str) -> dict[str, str]:
    """Code in lower case → the name that it stands for."""
    swaps = region_swaps(country, "fuller")
    if swaps is None:
        return {}
    options = swaps.options.to_pylist()
    return {key: options[at] for key, at in zip(swaps.keys.to_pylist(), swaps.first.tolist(), strict=True)}


def _countries(stock: Stock) -> Iterator[CellPlan]:
    own = [["locality"], ["locality", "region"], [*stock.habits.plain], ["house_number", "street", "locality"]]
    for word in sorted_words(stock.habits, "country"):
        key = CellKey("country", (word.word,))
        yield CellPlan(key, row_maker(stock, key, own, with_word(word)))
    codes = {name: code for code, name in country_names(stock.habits.language).items()}
    regions = {folded(word.word) for word in stock.habits.of_kind(*AREA_KINDS)}
    for word in sorted_words(stock.habits, "country abroad"):
        key = CellKey("country abroad", (word.word,))
        code, name = codes.get(word.word, ""), folded(word.word)
        towns = stock.towns.abroad.get(code, ())
        towns = towns if len(towns) >= _TOWNS_ENOUGH else ()
        if name in regions:
            yield CellPlan(key, None, "is a region of the package's own country too")
        elif not towns and (name in stock.towns.names or name in stock.towns.others.get(code, ())):
            yield CellPlan(key, None, _A_TOWN_TOO)
        else:
            yield CellPlan(key, _abroad(stock, key, word, towns))


def _abroad(stock: Stock, key: CellKey, word: ClosedWord, towns: Sequence[str]) -> Make:
    contexts = [["house_number", "street"], ["street"], *([[]] if towns else [])]

    def edit(values: Values, rng: random.Random) -> Values:
        return values | ({"locality": rng.choice(towns)} if towns else {}) | {"country": word.word}

    return row_maker(stock, key, contexts, edit)


def _street_words(stock: Stock) -> Iterator[CellPlan]:
    plain = list(stock.habits.plain)
    contexts = [plain, [tag for tag in plain if tag != "postcode"], [tag for tag in plain if tag != "house_number"]]

    def plan(family: str, word: str, draw: Callable[[random.Random], str]) -> CellPlan:
        key = CellKey(family, (word,))
        # A rare type without a number in front could as well end the name of a venue: "Low Canyon Station".
        asked = [context for context in contexts if "house_number" in context or family != STREET_TYPE]
        return CellPlan(key, row_maker(stock, key, asked, with_text("street", draw)))

    def of_type(word: str) -> Callable[[random.Random], str]:
        return lambda rng: stock.habits.street(rng.choice(stock.streets), word)

    def directed(word: str, *, in_front: bool) -> Callable[[random.Random], str]:
        return lambda rng: f"{word} {stock.street(rng)}" if in_front else f"{stock.street(rng)} {word}"

    for word in sorted_words(stock.habits, STREET_TYPE):
        yield plan(STREET_TYPE, word.word, of_type(word.word))
    for word in sorted_words(stock.habits, DIRECTIONAL):
        yield plan("directional in front", word.word, directed(word.word, in_front=True))
        yield plan("directional behind", word.word, directed(word.word, in_front=False))


def _phrase_words(stock: Stock) -> Iterator[CellPlan]:
    """Every word of units and boxes, in the phrases that people write with it."""
    plain = list(stock.habits.plain)
    contexts = {"unit": [plain], "po_box": [[tag for tag in plain if tag not in ("house_number", "street")]]}
    others = {(folded(word.word), word.tag) for word in stock.habits.of_kind("military mail")}
    types = {folded(word.word) for word in stock.habits.of_kind(STREET_TYPE)}
    for word in sorted_words(stock.habits, "unit word", "box word"):
        key = CellKey(word.kind, (word.word,))
        if folded(word.word) in types:
            yield CellPlan(key, None, "is a type of street too")
        elif (folded(word.word), word.tag) in others:
            yield CellPlan(key, None, "is asked as military mail")
        else:
            draw = _phrase_with(stock.habits.country, word)
            yield CellPlan(key, row_maker(stock, key, contexts[word.tag], with_text(word.tag, draw)))


def _phrase_with(country: str, word: ClosedWord) -> Callable[[random.Random], str]:
    """A phrase of the country with this word in it; where none has it, the word with a number."""
    texts = [text for text in _phrases(country, word.tag) if f" {folded(word.word)} " in f" {folded(text)} "]
    spelt = [text for text in texts if word.word in text] or texts
    return lambda rng: rng.choice(spelt) if spelt else f"{word.word} {rng.randrange(1, 100)}"


@functools.cache
def _phrases(country: str, tag: str) -> tuple[str, ...]:
    """Thousands of phrases of a country for one tag, each once; none where it has no table."""
    found = phrases(country, tag)
    drawn = [] if found is None else found.draw(_PHRASES, np.random.default_rng(0)).to_pylist()
    return tuple(dict.fromkeys(drawn))


def _cedex(stock: Stock) -> Iterator[CellPlan]:
    """Business mail with and without the number of its office; none where a country has no such mail."""
    contexts = [["house_number", "street", "postcode", "locality"], ["po_box", "postcode", "locality"]]
    for value in ("with a number", "without a number"):
        wanted = [
            text for text in _phrases(stock.habits.country, "cedex") if text[-1].isdigit() == (value == "with a number")
        ]
        if wanted:
            key = CellKey("cedex", (value,))
            yield CellPlan(key, row_maker(stock, key, contexts, with_text("cedex", _one_of(wanted))))


def _military(stock: Stock) -> Iterator[CellPlan]:
    """Mail to the armed forces: each of its regions, post offices and boxes."""
    words = sorted_words(stock.habits, "military mail")
    offices = [word.word for word in words if word.tag == "locality"]
    boxes = [word.word for word in words if word.tag == "po_box"]
    codes = {
        region: stock.habits.drawn(f"military_{region}", _rng(region), _PHRASES) for region in stock.habits.military
    }

    def plan(family: str, value: str, fixed: Values) -> CellPlan:
        def edit(values: Values, rng: random.Random) -> Values:
            region = fixed.get("region") or rng.choice(list(codes))
            box = f"{fixed.get('po_box') or rng.choice(boxes)} {rng.randrange(1, 9999)} Box {rng.randrange(1, 9999)}"
            office = fixed.get("locality") or rng.choice(offices)
            return {"po_box": box, "locality": office, "region": region, "postcode": rng.choice(codes[region])}

        key = CellKey(family, (value,))
        return CellPlan(key, row_maker(stock, key, [[]], edit))

    if codes:
        yield from (plan("region code", region, {"region": region}) for region in sorted(codes))
        yield from (plan("military mail", word.word, {word.tag: word.word}) for word in words)


def _crossings(stock: Stock) -> Iterator[CellPlan]:
    """Two streets that meet, with each word or sign that people put between them."""
    order = orders(stock.habits.country)[NATIVE]
    pair = ("intersection_a", "intersection_b")
    contexts = (pair, (*pair, "locality"), (*pair, "locality", "region"))

    def plan(number: int, joint: str) -> CellPlan:
        key = CellKey("crossing", (f"A{joint}B",))
        return CellPlan(key, lambda rng: Address(stock.values(rng.choice(contexts), rng), key, order, crossing=number))

    for number, joint in enumerate(crossing_joints(stock.habits.country).texts.to_pylist()):
        yield plan(number, joint)


def _one_of(texts: Sequence[str]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(texts)


def _rng(region: str) -> np.random.Generator:
    return np.random.default_rng(list(region.encode()))
