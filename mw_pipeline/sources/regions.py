"""Which region an address lies in: US states and French régions by code, by name and by postcode."""

from __future__ import annotations

from functools import cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.countries import TERRITORIES
from mw_pipeline.sources.columns import mapped

_INSEE_CODES = {
    **{"GP": "971", "MQ": "972", "GF": "973", "RE": "974", "PM": "975", "YT": "976", "BL": "977", "MF": "978"},
    **{"TF": "984", "WF": "986", "PF": "987", "NC": "988"},
}

_ARRONDISSEMENT = r"(?i)^(Paris|Lyon|Marseille)[ -]+[0-9]{1,2}(?:(?:er?|[eè]me)?(?: arr(?:ondissement|dt|t)?\.?)?)?$"


def region_keys(country_code: pa.Array, region: pa.Array, postcode: pa.Array) -> pa.Array:
    """The region of each record as "US:vermont", whether given by name or by code; "" where nothing tells it.

    Where the record writes no region its postcode tells one, so that no source escapes a holdout for want of it (M22).
    """
    written = mapped(pc.binary_join_element_wise(country_code, region, ":"), _key_of_region)
    unwritten = pc.if_else(pc.is_null(written), pc.binary_join_element_wise(country_code, postcode, ":"), None)
    told = mapped(unwritten, _key_of_postcode)
    return pc.fill_null(pc.coalesce(written, told), "")


def _key_of_region(joined: str) -> str:
    country, region = joined.split(":", 1)
    if country == "US":
        region = us_states().get(region.upper(), region)
    elif country == "FR":
        region = _fr_regions_by_other_names().get(region.casefold(), region)
    return f"{country}:{region.casefold()}"


def _key_of_postcode(joined: str) -> str | None:
    country, postcode = joined.split(":", 1)
    name = None
    if country == "US":
        name = us_state_of_zip(postcode)
    elif country == "FR":
        entry = fr_departements().get(_departement_of_postcode(postcode))
        name = entry[1] if entry else None
    return f"{country}:{name.casefold()}" if name else None


def us_state_of_zip(zip_code: str) -> str | None:
    """The name of the state that a ZIP code lies in; None for one that nobody has."""
    return _states_by_prefix().get(zip_code[:5]) or _states_by_prefix().get(zip_code[:3])


def without_arrondissements(commune: pa.Array) -> pa.Array:
    """French communes as people write them: "Paris" for "Paris 19e Arrondissement", as INSEE has it, and for "Paris
    19", as the post has it. Which arrondissement it is stands in the postcode."""
    return pc.replace_substring_regex(commune, _ARRONDISSEMENT, r"\1")


def _departement_of_postcode(postcode: str) -> str:
    """Corsica writes 20 where INSEE has 2A and 2B, which are one région; overseas codes have three digits."""
    if postcode.startswith(("97", "98")):
        return postcode[:3]
    return "2A" if postcode.startswith("20") else postcode[:2]


def insee_entry(code_insee: str) -> tuple[str, str] | None:
    """(département, région) of a commune; overseas codes begin with three digits of département, others with two."""
    return fr_departements().get(code_insee[: 3 if code_insee.startswith(("97", "98")) else 2])


@cache
def _fr_regions_by_other_names() -> dict[str, str]:
    """The région by the name of a département, which stands alone in many addresses, or by its own English name."""
    english = {"brittany": "Bretagne", "normandy": "Normandie", "corsica": "Corse", "centre": "Centre-Val de Loire"}
    return {name.casefold(): region for name, region in fr_departements().values() if name} | english


@cache
def us_states() -> dict[str, str]:
    """Name by two-letter postal code, for states, the District of Columbia, territories and associated states."""
    return {code: name for code, name, _, _ in _table_rows("us_states.tsv")}


@cache
def us_states_by_fips() -> dict[str, str]:
    """Two-letter postal code by two-digit FIPS code, as the Census Bureau numbers the states."""
    return {fips: code for code, _, _, fips in _table_rows("us_states.tsv")}


@cache
def _states_by_prefix() -> dict[str, str]:
    """Name of the state by the first three digits of its ZIP codes; by all five where it shares the three."""
    found: dict[str, str] = {}
    for _, name, prefixes, _ in _table_rows("us_states.tsv"):
        for prefix in filter(None, prefixes.split(",")):
            first, _, last = prefix.partition("-")
            found |= {f"{number:03d}": name for number in range(int(first), int(last or first) + 1)}
    return found


def territories_as_regions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the state that a territory belongs to as its `country_code`, and the territory's own code in a
    new column `territory`, null elsewhere: a source that knows Puerto Rico as PR says what others say as US."""
    code = batch["country_code"]
    territory = pc.if_else(pc.is_in(code, value_set=pa.array(list(TERRITORIES))), code, None)
    state = pc.coalesce(mapped(territory, TERRITORIES.get), code)
    return batch.set_column(batch.schema.get_field_index("country_code"), "country_code", state).append_column(
        "territory", territory
    )


@cache
def territories() -> dict[str, str]:
    """Name by ISO country code of the American and French territories: the region that their addresses write."""
    return {
        code: us_states()[code] if state == "US" else fr_departements()[_INSEE_CODES[code]][1]
        for code, state in TERRITORIES.items()
    }


@cache
def fr_departements() -> dict[str, tuple[str, str]]:
    """(name, région) by INSEE code; an overseas collectivity is its own région and has no département ("")."""
    return {code: (name, region) for code, name, region in _table_rows("fr_departements.tsv")}


def _table_rows(name: str) -> list[list[str]]:
    """The rows of a TSV file of the tables folder, without its comment lines."""
    text = (resources.files("mw_pipeline.sources") / "tables" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
