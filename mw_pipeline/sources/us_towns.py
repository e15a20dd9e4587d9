"""What American files hold in the column of the town: towns as people call them, the Census Bureau's names of the same,
counties, and words for no town at all.

The Census Bureau puts the kind of a place behind its name in lower case ("Baton Rouge city", "Cary town", "Paradise
CDP"), which nobody writes; where the kind belongs to the name it is a word of its own ("Kansas City city"). Virginia's
lists say "Norfolk City" and "Culpeper Town". A county that fills the town ("Warren County", "JESSAMINE CO") is no town.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_KIND = (
    r"city and borough|city|town|village|borough|charter township|township|municipality|plantation|gore|grant"
    r"|(?:consolidated|metro|metropolitan|unified) government|urban county|CDP|comunidad|zona urbana"
)
_CENSUS = rf"^(.*\p{{Lu}}.*?)\s+(?:{_KIND})(?: \(balance\))?$"
_NO_TOWN = (
    r"(?i)^(?:(?:un|non)-?incorporated.*|unincorp\b.*|uninc\b.*|(?:balance|remainder|rest) of .*|rural(?: area)?"
    r"|county|parish|city|town|village|township|borough|cdp|outside .* limits|0)$"
)
_COUNTY = r"(?i)(?: (?:county|parish|co\.?|census area)$|^county of )"
_ALASKAN_COUNTY = r"(?i) borough$"  # elsewhere a borough is a town


def us_towns_and_counties(name: pa.Array, state: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(town, county): each name as the one or the other, null where it is neither; the state is a code or a name."""
    places = pc.binary_join_element_wise(pc.fill_null(name, ""), pc.fill_null(state, ""), "\x1f").dictionary_encode()
    rows = pa.array(np.unique(places.indices.to_numpy(), return_index=True)[1])  # each place is looked at once
    town, county = _of_places(name.take(rows), state.take(rows))
    return town.take(places.indices), county.take(places.indices)


def _of_places(name: pa.Array, state: pa.Array) -> tuple[pa.Array, pa.Array]:
    state = pc.fill_null(pc.utf8_upper(state), "")
    alaskan, virginian = (
        pc.is_in(state, value_set=pa.array(names)) for names in (("AK", "ALASKA"), ("VA", "VIRGINIA"))
    )
    name = pc.replace_substring_regex(name, r"(?i)\s+CDP$", "")
    no_town = pc.match_substring_regex(name, _NO_TOWN)
    town = pc.replace_substring_regex(name, _CENSUS, r"\1")
    county = pc.or_(
        pc.match_substring_regex(town, _COUNTY), pc.and_(alaskan, pc.match_substring_regex(town, _ALASKAN_COUNTY))
    )
    county = pc.and_(county, pc.invert(no_town))
    independent = pc.and_(virginian, pc.not_equal(pc.utf8_lower(town), "charles city"))  # which is a town
    town = pc.if_else(independent, pc.replace_substring_regex(town, r"(?i)\s+(?:City|Town)$", ""), town)
    return pc.if_else(pc.or_(county, no_town), None, town), pc.if_else(county, name, None)
