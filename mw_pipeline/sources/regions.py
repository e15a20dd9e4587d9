"""Which region an address lies in: US states and French régions by code, by name and by postcode."""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import fr_departements, region_of_name, region_of_postcode, us_states
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
    derived = mapped(unwritten, _key_of_postcode)
    return pc.fill_null(pc.coalesce(written, derived), "")


def _key_of_region(joined: str) -> str:
    country, region = joined.split(":", 1)
    return region_of_name(country, region)


def _key_of_postcode(joined: str) -> str | None:
    country, postcode = joined.split(":", 1)
    return region_of_postcode(country, postcode)


def without_arrondissements(commune: pa.Array) -> pa.Array:
    """French communes as people write them: "Paris" for "Paris 19e Arrondissement", as INSEE has it, and for "Paris
    19", as the post has it. Which arrondissement it is stands in the postcode."""
    return pc.replace_substring_regex(commune, _ARRONDISSEMENT, r"\1")


def insee_entry(code_insee: str) -> tuple[str, str] | None:
    """(département, région) of a commune; overseas codes begin with three digits of département, others with two."""
    return fr_departements().get(code_insee[: 3 if code_insee.startswith(("97", "98")) else 2])


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
