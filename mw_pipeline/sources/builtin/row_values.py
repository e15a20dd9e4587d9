"""The values that belong to a row and that the tables may name: its town, areas and codes, each drawn once."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.sources.builtin.grammar import Rows, Strings
from mw_pipeline.sources.builtin.places import Places, departements, region_names
from mw_pipeline.sources.builtin.tsv import rows_of

# How often, and how, a town is written otherwise than the gazetteer has it: patterns and replacements, in turn.
Edit = tuple[float, Sequence[tuple[str, str]]]
_LOCALITY_EDITS: Mapping[str, Sequence[Edit]] = {
    "FR": (
        (0.07, (("-", " "),)),
        (0.04, ((r"\bSaint(e?)-", r"St\1-"),)),
        (0.03, ((r"\bSaint(e?)-", r"St\1 "), ("-", " "))),
        (0.02, ((r"[- ](sur|sous)[- ]", r"-s/-"), ("-", " "), (r"s/ ", "s/"))),
        (0.02, ((r"^(L[ea]s?) ", ""),)),
        (0.01, ((r"\bSaint(e?)-", r"St\1. "),)),
        (0.01, ((r"\bl[eè]s\b", "lez"),)),
    ),
    "US": (
        (0.05, ((r"\bSaint\b", "St."), (r"\bFort\b", "Ft."), (r"\bMount\b", "Mt."))),
        (0.16, ((r"\b(?:Saint|St\.)(?= )", "St"), (r"\bFort\b", "Ft"), (r"\bMount\b", "Mt"))),
        (0.04, ((r"\bSt\.(?= )", "Saint"), (r"\bMt\.? ", "Mount "), (r"\bFt\.? ", "Fort "))),
        (0.18, ((r"^North ", "N "), (r"^South ", "S "), (r"^East ", "E "), (r"^West ", "W "))),
        (0.07, ((r"^North ", "N. "), (r"^South ", "S. "), (r"^East ", "E. "), (r"^West ", "W. "))),
        (0.02, ((r" Heights$", " Hts"), (r" Springs$", " Spgs"), (r" Beach$", " Bch"), (r" Junction$", " Jct"))),
        (0.01, ((r" Township$", " Twp"), (r" Village$", " Vlg"), (r" Valley$", " Vly"), (r" Park$", " Pk"))),
    ),
}
_COUNTY_WORD = re.compile(r" (?:County|Parish|Borough|Census Area|Municipality|Municipio|City and Borough|city)$")
_ROMAN_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_LARGEST_RANGE_START = {"US": 9000, "FR": 150}


class RowValues(Mapping[str, Strings]):
    """The bound values of some rows, each drawn when it is first asked for and the same from then on."""

    def __init__(self, places: Places, chosen: Rows, rng: np.random.Generator) -> None:
        self._places, self._chosen, self._rng = places, chosen, rng
        self._drawn: dict[str, Strings] = {}

    def __getitem__(self, name: str) -> Strings:
        if name not in self._drawn:
            self._drawn[name] = _DRAWS[name](self._places, self._chosen, self._rng, self)
        return self._drawn[name]

    def __contains__(self, name: object) -> bool:
        return name in _DRAWS

    def __iter__(self) -> Iterator[str]:
        return iter(_DRAWS)

    def __len__(self) -> int:
        return len(_DRAWS)


Draw = Callable[[Places, Rows, np.random.Generator, RowValues], Strings]


def _locality(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    """The name of the place; some without their hyphens, or with Saint, Mount or a direction cut short."""
    edits = _LOCALITY_EDITS[places.country]
    style = np.searchsorted(np.cumsum([share for share, _ in edits]), rng.random(len(chosen)), side="right")
    names = places.names[chosen]
    for number, spelled in enumerate(_edited_names(places)):
        rows = np.flatnonzero(style == number)
        names[rows] = spelled[chosen[rows]]
    return names


@functools.cache
def _edited_names(places: Places) -> Sequence[Strings]:
    """All names of these places under each of the edits of their country."""
    edits = _LOCALITY_EDITS[places.country]
    return [np.array([_edited(name, changes) for name in places.names], dtype=object) for _, changes in edits]


def _edited(name: str, changes: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in changes:
        name = re.sub(pattern, replacement, name)
    return name


def _other_locality(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    return places.names[places.draw(rng, len(chosen), popular_share=0.2)]


def _zip_elsewhere(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    """A number that looks like a postcode of another region: what tells a long house number is where it stands."""
    drawn = places.draw(rng, len(chosen), popular_share=0.2, even_share=0.4)
    for _attempt in range(4):
        own = np.flatnonzero(places.regions[drawn] == places.regions[chosen])
        drawn[own] = places.draw(rng, len(own), popular_share=0.0, even_share=1.0)
    codes = places.postcodes_of(drawn, rng)
    return np.array([code.lstrip("0") for code in codes], dtype=object)


def _range_low(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    largest = _LARGEST_RANGE_START[places.country]
    numbers = (largest ** rng.random(len(chosen))).astype(np.int64)
    return np.array([str(number) for number in numbers.tolist()], dtype=object)


def _range_high(places: Places, chosen: Rows, rng: np.random.Generator, values: RowValues) -> Strings:
    """An end on the same side of the street as the beginning."""
    steps = rng.integers(1, 9, size=len(chosen)).tolist()
    pairs = zip(values["range_low"], steps, strict=True)
    return np.array([str(int(low) + 2 * step) for low, step in pairs], dtype=object)


def _region_short(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    forms = _short_forms(places.country)
    distinct, index = np.unique(places.regions[chosen].astype(str), return_inverse=True)
    drawn = np.empty(len(chosen), dtype=object)
    for number, region in enumerate(distinct):
        rows = np.flatnonzero(index == number)
        drawn[rows] = forms[str(region)][rng.integers(len(forms[str(region)]), size=len(rows))]
    return drawn


def _cedex_postcode(places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
    """The département's digits, two or overseas three, with a number of their own, as business mail has it."""
    own = places.postcodes_of(chosen, rng)
    numbers = rng.integers(1000, size=len(chosen))
    coded = [
        code[:3] + f"{number % 100:02d}" if code.startswith("97") else code[:2] + f"{number:03d}"
        for code, number in zip(own, numbers.tolist(), strict=True)
    ]
    return np.array(coded, dtype=object)


def _district(places: Places, chosen: Rows, rng: np.random.Generator, values: RowValues) -> NDArray[np.int64]:
    return np.array([max(1, int(code[-2:])) for code in values["postcode"]], np.int64)


def _district_forms(style: str) -> Draw:
    forms = [_district_form(number, style) for number in range(100)]

    def draw(places: Places, chosen: Rows, rng: np.random.Generator, values: RowValues) -> Strings:
        return np.array(forms, dtype=object)[_district(places, chosen, rng, values)]

    return draw


def _district_form(number: int, style: str) -> str:
    if style == "roman":
        tens, ones = divmod(number, 10)
        return "X" * tens + _ROMAN_ONES[ones]
    if number == 1:
        return "1er"
    return f"{number}{'ème' if style == 'long' else 'e'}"


def _any_of(names: Callable[[], Sequence[str]]) -> Draw:
    def draw(_places: Places, chosen: Rows, rng: np.random.Generator, _: RowValues) -> Strings:
        options = np.array(names(), dtype=object)
        return options[rng.integers(len(options), size=len(chosen))]

    return draw


def _looked_up(table: Callable[[], Mapping[str, str]]) -> Draw:
    """The value that a table has for the subregion of each row."""

    def draw(places: Places, chosen: Rows, _rng: np.random.Generator, _: RowValues) -> Strings:
        named = table()
        return np.array([named[name] for name in places.subregions[chosen]], dtype=object)

    return draw


def _county_bare(places: Places, chosen: Rows, _rng: np.random.Generator, _: RowValues) -> Strings:
    distinct, index = np.unique(places.subregions[chosen].astype(str), return_inverse=True)
    return np.array([_COUNTY_WORD.sub("", str(name)) for name in distinct], dtype=object)[index]


@functools.cache
def _departement_numbers() -> Mapping[str, str]:
    return {name: number for number, name in departements().items()}


@functools.cache
def _short_forms(country: str) -> Mapping[str, Strings]:
    """Region key to the other ways of writing it: AP abbreviations, unofficial and English names of régions."""
    table, key = ("us_states.tsv", "code") if country == "US" else ("fr_regions.tsv", "geonames")
    return {row[key]: np.array(row["other"].split(";"), dtype=object) for row in rows_of(table)}


_DRAWS: Mapping[str, Draw] = {
    "locality": _locality,
    "other_locality": _other_locality,
    "other_town": _other_locality,
    "region_code": lambda places, chosen, rng, _: places.regions[chosen],
    "region_name": lambda places, chosen, rng, _: places.region_names[chosen],
    "region_short": _region_short,
    "subregion_name": lambda places, chosen, rng, _: places.subregions[chosen],
    "subregion_number": _looked_up(_departement_numbers),
    "county_bare": _county_bare,
    "postcode": lambda places, chosen, rng, _: places.postcodes_of(chosen, rng),
    "cedex_postcode": _cedex_postcode,
    "zip_elsewhere": _zip_elsewhere,
    "range_low": _range_low,
    "range_high": _range_high,
    "state_code": lambda places, chosen, rng, _: places.regions[chosen],
    "state_name": lambda places, chosen, rng, _: places.region_names[chosen],
    "any_state_name": _any_of(lambda: list(region_names("US").values())),
    "any_region_fr": _any_of(lambda: list(region_names("FR").values())),
    "any_departement": _any_of(lambda: list(departements().values())),
    "district_ordinal": _district_forms("short"),
    "district_long_ordinal": _district_forms("long"),
    "district_roman": _district_forms("roman"),
}
BOUND = tuple(_DRAWS)
