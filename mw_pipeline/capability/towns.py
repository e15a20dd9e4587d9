"""Towns that no corpus trains on, as far as a corpus holds towns out: where the rows of the matrix lie."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mw_pipeline.capability.habits import STREET_TYPE, Habits, folded
from mw_pipeline.corpus.closed_words import DIRECTIONAL
from mw_pipeline.corpus.splits import TRAIN, place_fold
from mw_pipeline.countries import TERRITORIES
from mw_pipeline.sources.builtin.kinds import places_of
from mw_pipeline.sources.builtin.places import City, cities, is_locality_name
from mw_pipeline.sources.regions import territories

_Clear = Callable[[str], bool]


@dataclass(frozen=True)
class Town:
    """A town with what may stand behind it. `region` is the region as most people of the country write it.

    postcodes  its own, none where they are not known
    """

    name: str
    region: str
    region_name: str
    subregion: str
    postcodes: tuple[str, ...]


@dataclass(frozen=True)
class Area:
    """A region or subregion: its held-out towns with clear names, the folded names of all its towns, all postcodes."""

    held_out: tuple[Town, ...] = ()
    names: frozenset[str] = frozenset()
    postcodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Towns:
    """The held-out towns of a country with clear names, and how the areas above all towns are called.

    all       those whose postcodes are known
    areas     by the folded name of a region or subregion
    names     folded names of all towns of the country, held out or not: what such a word could mean too
    prefixes  the first three digits of a postcode -> the regions that write them
    abroad    ISO code -> held-out towns of another country
    others    ISO code -> folded names of all towns of another country
    """

    all: tuple[Town, ...]
    areas: Mapping[str, Area]
    names: frozenset[str]
    prefixes: Mapping[str, frozenset[str]]
    abroad: Mapping[str, tuple[str, ...]]
    others: Mapping[str, frozenset[str]]


@functools.cache
def towns_of(habits: Habits, share: float) -> Towns:
    """The towns that a corpus with this share of places held out never trains on, in the order of the gazetteer."""
    known = [*_gazetteer(habits), *_territories(habits.country)]
    names = [town.name for town in known]
    clear = _clear_names(habits)
    kept = [
        town
        for town, held in zip(known, held_out([habits.country] * len(names), names, share), strict=True)
        if held and clear(town.name)
    ]
    foreign = _cities_abroad(habits.country)
    prefixes: dict[str, set[str]] = defaultdict(set)
    for town in known:
        for code in town.postcodes:
            prefixes[code[:3]].add(town.region)
    return Towns(
        all=tuple(town for town in kept if town.postcodes),
        areas=_areas(known, kept),
        names=frozenset(map(folded, names)),
        prefixes={prefix: frozenset(found) for prefix, found in prefixes.items()},
        abroad=_abroad(foreign, share, clear),
        others=_others(foreign),
    )


def _areas(known: Sequence[Town], kept: Sequence[Town]) -> dict[str, Area]:
    """Every area above the known towns, with those of its towns that are kept."""
    of_known, of_kept = (_by_area(towns) for towns in (known, kept))
    return {
        area: Area(
            held_out=tuple(of_kept.get(area, ())),
            names=frozenset(folded(town.name) for town in towns),
            postcodes=tuple(sorted({code for town in towns for code in town.postcodes})),
        )
        for area, towns in of_known.items()
    }


def _by_area(towns: Sequence[Town]) -> dict[str, list[Town]]:
    found: dict[str, list[Town]] = defaultdict(list)
    for town in towns:
        for area in dict.fromkeys((folded(town.region_name), folded(town.subregion))):
            found[area].append(town)
    return found


def held_out(countries: Sequence[str], names: Sequence[str], share: float) -> list[bool]:
    """Where a town is held out whole, in whichever corpus holds out this share of places or more."""
    folds = place_fold(pa.array(countries, pa.string()), pa.array(names, pa.string()), share)
    kept: list[bool] = (folds != TRAIN).tolist()
    return kept


def _gazetteer(habits: Habits) -> Iterable[Town]:
    places = places_of(habits.country)
    codes_written = {word.word for word in habits.of_kind("region code")}
    ends = places.first_postcode + places.postcode_counts
    for index, name in enumerate(places.names):
        codes = tuple(places.postcodes[places.first_postcode[index] : ends[index]])
        key, region = str(places.regions[index]), str(places.region_names[index])
        yield Town(name, key if key in codes_written else region, region, str(places.subregions[index]), codes)


def _territories(country: str) -> Iterable[Town]:
    """The towns of territories that the gazetteer of the country leaves out; their postcodes are not known."""
    listed = {str(name) for name in places_of(country).region_names}
    names = {code: name for code, name in territories().items() if TERRITORIES[code] == country and name not in listed}
    for city in cities():
        code = city["countrycode"]
        if code in names and is_locality_name(city["name"]):
            yield Town(city["name"], code, names[code], "", ())


def _clear_names(habits: Habits) -> _Clear:
    """Which names of towns are theirs alone: those that are no closed word, nor begin or end with a word of streets,
    so that they can be told from what stands beside them even where no comma does it."""
    closed = {folded(word.word) for word in habits.words if word.where == "value"}
    ends = {folded(word.word) for word in habits.of_kind(STREET_TYPE, DIRECTIONAL)}

    def is_clear(name: str) -> bool:
        words = folded(name).split()
        return len(name) > 3 and " ".join(words) not in closed and not ends & {words[0], words[-1]}

    return is_clear


def _abroad(foreign: Sequence[City], share: float, clear: _Clear) -> dict[str, tuple[str, ...]]:
    found = [city for city in foreign if city["name"].isascii() and clear(city["name"])]
    names = [city["name"] for city in found]
    kept: dict[str, list[str]] = defaultdict(list)
    for city, held in zip(found, held_out([city["countrycode"] for city in found], names, share), strict=True):
        if held:
            kept[city["countrycode"]].append(city["name"])
    return {code: tuple(dict.fromkeys(names)) for code, names in kept.items()}


def _others(foreign: Sequence[City]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for city in foreign:
        found[city["countrycode"]].add(folded(city["name"]))
    return {code: frozenset(names) for code, names in found.items()}


def _cities_abroad(country: str) -> list[City]:
    own = {country, *(code for code, state in TERRITORIES.items() if state == country)}
    return [city for city in cities() if city["countrycode"] not in own and is_locality_name(city["name"])]
