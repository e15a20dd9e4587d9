"""Which tag the name of a Who's On First place has, and those of the places above it.

Of the areas above a place an address writes two: the highest is the region, the next the subregion. In France, where
Who's On First calls the région macroregion and the département region, that is région and département; elsewhere region
and county. A département whose région is not known stands alone, and then it is the region; a county is a subregion
also where nothing stands above it.
"""

from __future__ import annotations

from collections.abc import Mapping

_AREAS = ("dependency", "macroregion", "region", "county")
_PARTS_OF_TOWNS = ("borough", "macrohood", "neighbourhood", "microhood")
# French counties are cantons, a Puerto Rican one bears the name of its town; the one region of Monaco is its town
_UNWRITTEN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("FR", "GF", "GP", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"), ("county",)),
    "MC": ("region", "county"),
    "PR": ("county",),
}

ADMIN_PLACETYPES = frozenset((*_AREAS, *_PARTS_OF_TOWNS, "country", "localadmin", "locality", "campus"))


def components(placetype: str, name: str, country: str, above: Mapping[str, str]) -> dict[str, str] | None:
    """tag → text; None for an area too low to be written.

    `above` holds the names of the places above by placetype. A part of a town whose town is not known stands in its
    place. An area that repeats the name of the town is left out, but for "New York, New York".
    """
    if placetype == "country":
        return {"country": name}
    named = {**above, placetype: name} if placetype in _AREAS else above
    areas = _written_areas(named, country)
    if placetype in _AREAS:
        return areas if name in areas.values() else None
    if placetype == "postalcode":
        return {"postcode": name, **_town_and_areas(_town(above), areas, country)}
    if placetype == "campus":
        return {"venue": name, **_town_and_areas(_town(above), areas, country)}
    town = _town(above) if placetype in _PARTS_OF_TOWNS else None
    if town is not None and not _same(town, name):
        return {"dependent_locality": name, **_town_and_areas(town, areas, country)}
    return _town_and_areas(name, areas, country)


def _town(above: Mapping[str, str]) -> str | None:
    return above.get("locality") or above.get("localadmin")


def _written_areas(named: Mapping[str, str], country: str) -> dict[str, str]:
    unwritten = _UNWRITTEN.get(country, ())
    written: dict[str, str] = {}
    for level in _AREAS:
        name = named.get(level)
        if name is None or level in unwritten or any(_same(name, other) for other in written.values()):
            continue
        written.setdefault("subregion" if level == "county" or "region" in written else "region", name)
    return written


def _town_and_areas(town: str | None, areas: Mapping[str, str], country: str) -> dict[str, str]:
    if town is None:
        return dict(areas)
    kept = {tag: name for tag, name in areas.items() if not _same(name, town) or (tag, country) == ("region", "US")}
    return {"locality": town, **(kept if "region" in kept else {})}


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
