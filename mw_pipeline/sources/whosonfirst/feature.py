"""One Who's On First record from the bytes of its GeoJSON file.

Oddities: wof:parent_id may be a string. mz:is_current may be absent or -1, which both mean that nobody knows. A point
at 0,0 says nothing, and coordinates are not read at all. Names are lists under name:fra_x_preferred, strings in old
records. Dates are EDTF: "", "uuuu", ".." and "open" are no dates. Files of `-alt-` geometry lie beside the records.
frgov:LIB names the post town of a French postcode without its accented letters ("Saint-Andr-de-la-Roche"): not read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mw_pipeline.countries import COUNTRY_CODES
from mw_pipeline.sources.feature_lines import is_text
from mw_pipeline.sources.whosonfirst.place import ABOVE, PLACETYPES, Place, Unusable, official_languages

MAX_RECORD_BYTES = 8 << 20

_NEEDED = ("wof:id", "wof:name", "wof:placetype")
_NO_DATE = (None, "", "uuuu", "..", "open", "u")
_PROPERTIES = re.compile(rb'"properties"\s*:\s*')
_LARGEST_ID = 2**63


def read_feature(data: bytes, source_id: str) -> Place | Unusable | None:
    """The place of a record; None for an alternative geometry.

    Of a record that is longer than MAX_RECORD_BYTES only the properties are read, which stand before the geometry.
    """
    properties = _properties(data)
    if isinstance(properties, Unusable):
        return properties
    if "src:alt_label" in properties or "-alt-" in source_id:
        return None
    missing = [name for name in _NEEDED if properties.get(name) in (None, "")]
    if missing:
        return Unusable("no_" + missing[0].replace(":", "_"), f"properties: {', '.join(list(properties)[:8])}")
    return _place(properties, source_id)


def _properties(data: bytes) -> dict[str, Any] | Unusable:
    try:
        if len(data) > MAX_RECORD_BYTES:
            document = {"type": "Feature", "properties": _leading_properties(data)}
        else:
            document = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return Unusable("bad_json", repr(data[:80]))
    if not isinstance(document, dict) or document.get("type") != "Feature":
        return Unusable("not_a_feature", repr(data[:80]))
    properties = document.get("properties")
    return properties if isinstance(properties, dict) else Unusable("not_a_feature", repr(data[:80]))


def _leading_properties(data: bytes) -> Any:
    found = _PROPERTIES.search(data)
    if found is None:
        raise ValueError("no properties within the limit")
    text = data[found.end() : MAX_RECORD_BYTES].decode("utf-8", "ignore")  # the cut may split a character
    return json.JSONDecoder().raw_decode(text)[0]


def _place(properties: dict[str, Any], source_id: str) -> Place | Unusable:
    id_, name, placetype = _id(properties["wof:id"]), _text(properties["wof:name"]), properties["wof:placetype"]
    if not id_:
        return Unusable("bad_id", f"wof:id: {properties['wof:id']!r}")
    if name is None:
        return Unusable("bad_name", f"wof:name: {properties['wof:name']!r}")
    if not isinstance(placetype, str) or placetype not in PLACETYPES:
        return Unusable("unknown_placetype", f"wof:placetype: {placetype!r}")
    country = _country(properties)
    if country is None:
        return Unusable("unknown_country", f"wof:country: {properties.get('wof:country')!r}")
    return Place(
        id=id_,
        name=_long_name(properties, placetype, country) or name,
        placetype=placetype,
        country=country,
        source_id=source_id,
        unwanted=_unwanted(properties),
        post_town=_text(properties.get("mz:postal_locality")),
        names=_preferred_names(properties, country),
        above=_above(properties, id_),
    )


def _id(value: object) -> int:
    """The number, also where it is spelled as a string; 0 for what is none and for the -1 that stands for none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST_ID
    return value if sound else 0  # type: ignore[return-value]  # sound means int


def _text(value: object) -> str | None:
    """A string or number as text; of a list the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and is_text(value) and value.strip() else None


def _country(properties: dict[str, Any]) -> str | None:
    for key in ("wof:country", "iso:country"):
        value = properties.get(key)
        if isinstance(value, str) and value.upper() in COUNTRY_CODES:
            return value.upper()
    return None


def _long_name(properties: dict[str, Any], placetype: str, country: str) -> str | None:
    """ "Marin County" for the record of "Marin": Americans say which kind of area a county is."""
    american = country == "US" and placetype == "county"
    return _text(properties.get("label:eng_x_preferred_longname")) if american else None


def _unwanted(properties: dict[str, Any]) -> str | None:
    if properties.get("edtf:deprecated") not in _NO_DATE:
        return "deprecated"
    if properties.get("wof:superseded_by"):
        return "superseded"
    if properties.get("edtf:cessation") not in _NO_DATE:
        return "ceased"
    return "not_current" if properties.get("mz:is_current") in (0, "0") else None


def _preferred_names(properties: dict[str, Any], country: str) -> dict[str, str]:
    spoken = {code: _text(properties.get(f"name:{code}_x_preferred")) for code in official_languages(country)}
    return {code: name for code, name in spoken.items() if name}


def _above(properties: dict[str, Any], id_: int) -> tuple[tuple[str, int], ...]:
    """What the first hierarchy names, or the parent where there is no hierarchy."""
    hierarchies = properties.get("wof:hierarchy")
    first = hierarchies[0] if isinstance(hierarchies, list) and hierarchies else None
    if isinstance(first, dict):
        found = [(placetype, _id(first.get(f"{placetype}_id"))) for placetype in ABOVE]
    else:
        found = [("", _id(properties.get("wof:parent_id")))]
    return tuple((placetype, above) for placetype, above in found if above and above != id_)
