"""The highest areas of the United States and of France: their names, codes and postcodes, and which one a text means.

States and régions are closed lists, so that what is missing from a corpus or from gold can be named. Standard library.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import cache
from importlib import resources

_ASSOCIATED_STATES = ("FM", "MH", "PW")
"""Countries of their own that the post of the United States delivers to."""


@cache
def us_states() -> dict[str, str]:
    """Name by two-letter postal code, for states, the District of Columbia, territories and associated states."""
    return {code: name for code, name, _, _ in _table_rows("us_states.tsv")}


@cache
def us_states_by_fips() -> dict[str, str]:
    """Two-letter postal code by two-digit FIPS code, as the Census Bureau numbers the states."""
    return {fips: code for code, _, _, fips in _table_rows("us_states.tsv")}


@cache
def fr_departements() -> dict[str, tuple[str, str]]:
    """(name, région) by INSEE code; an overseas collectivity is its own région and has no département ("")."""
    return {code: (name, region) for code, name, region in _table_rows("fr_departements.tsv")}


@cache
def closed_regions(country: str) -> tuple[str, ...]:
    """Every region of a country whose list is known, by name; empty for another country.

    The United States have 50 states, the District of Columbia and five territories with people; France has 18 régions,
    of which five lie overseas."""
    if country == "FR":
        return tuple(dict.fromkeys(region for name, region in fr_departements().values() if name))
    if country == "US":
        return tuple(name for code, name in us_states().items() if code not in _ASSOCIATED_STATES)
    return ()


def region_problem(country: str, region: str) -> str:
    """Why a region cannot be one of the country, with the nearest that is; nothing where it is, or no list is known.

    Associated states and collectivities overseas are regions too: rows have their names. Case, accents and punctuation
    do not matter."""
    known = {"US": us_states().values(), "FR": dict.fromkeys(region for _, region in fr_departements().values())}
    folded = {folded_name(name): name.casefold() for name in known.get(country, ())}
    if not folded or folded_name(region) in folded:
        return ""
    near = difflib.get_close_matches(folded_name(region), folded, n=1, cutoff=0.0)[0]
    return f"{region!r} is no region of {country!r}; the nearest is '{country}:{folded[near]}'"


def folded_name(text: str) -> str:
    """The words of a name in lower case, without accents and punctuation."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", plain))


def region_of_name(country: str, region: str) -> str:
    """The key of a region as it is written, by name or by code, as in "US:vermont"; that of its own name otherwise."""
    if country == "US":
        region = us_states().get(region.upper(), region)
    elif country == "FR":
        region = _fr_regions_by_other_names().get(region.casefold(), region)
    return f"{country}:{region.casefold()}"


def region_of_postcode(country: str, postcode: str) -> str | None:
    """The key of the region that a postcode lies in, or None where that is not known."""
    name = None
    if country == "US":
        name = us_state_of_zip(postcode)
    elif country == "FR":
        entry = fr_departements().get(departement_of_postcode(postcode))
        name = entry[1] if entry else None
    return f"{country}:{name.casefold()}" if name else None


def us_state_of_zip(zip_code: str) -> str | None:
    """The name of the state that a ZIP code lies in; None for one that nobody has."""
    return _states_by_prefix().get(zip_code[:5]) or _states_by_prefix().get(zip_code[:3])


def departement_of_postcode(postcode: str) -> str:
    """The INSEE code of the département; Corsica writes 20 where INSEE has 2A and 2B, overseas codes have three digits.

    Both of Corsica's are 2A here: they are one région."""
    if postcode.startswith(("97", "98")):
        return postcode[:3]
    return "2A" if postcode.startswith("20") else postcode[:2]


@cache
def _fr_regions_by_other_names() -> dict[str, str]:
    """The région by the name of a département, which stands alone in many addresses, or by its own English name."""
    english = {"brittany": "Bretagne", "normandy": "Normandie", "corsica": "Corse", "centre": "Centre-Val de Loire"}
    return {name.casefold(): region for name, region in fr_departements().values() if name} | english


@cache
def _states_by_prefix() -> dict[str, str]:
    """Name of the state by the first three digits of its ZIP codes; by all five where it shares the three."""
    found: dict[str, str] = {}
    for _, name, prefixes, _ in _table_rows("us_states.tsv"):
        for prefix in filter(None, prefixes.split(",")):
            first, _, last = prefix.partition("-")
            found |= {f"{number:03d}": name for number in range(int(first), int(last or first) + 1)}
    return found


def _table_rows(name: str) -> list[list[str]]:
    """The rows of a TSV file of the tables folder, without its comment lines."""
    text = (resources.files("mw_pipeline.areas") / "tables" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
