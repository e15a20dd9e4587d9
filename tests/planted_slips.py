"""A tiny corpus with a planted fault: a small source, drawn often, that calls one kind of street a venue.

A larger and sound source writes the very same kind of street, and calls it a street; it is drawn seldom. So the fault
cannot be told by the look of the rows: what rows look like the address points to the sound source.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tiny_project import change

SLIPS, SOUND = "slips", "rolls"
KIND = "Loop"
SLIP_ROWS, SOUND_ROWS = 200, 800

_NAMES = (
    *("Cedar", "Maple", "Juniper", "Aspen", "Willow", "Heron", "Falcon", "Quail", "Granite", "Copper", "Old Meadow"),
    *("Prairie", "Canyon", "Harbor", "Lantern", "Orchard", "North Pioneer", "Saddle", "Timber", "Valley", "Windmill"),
)
_UNITS = ("", "", "", "Apt 4", "Suite 210", "Apartment 12B", "Unit 7", "Building 3")
_TOWNS = (
    *("Denver, CO 80202", "Boulder, CO 80301", "Austin, TX 78701", "Dallas, TX 75201", "Salem, OR 97301"),
    *("Portland, OR", "Boise, ID 83702", "Reno, NV", "Tucson, AZ 85701", "Mesa, AZ", "Fort Collins, CO 80521"),
    *("Dayton, OH 45402", "Toledo, OH", "Grand Forks, ND 58201", "Lincoln, NE 68508", "Fargo, ND 58102"),
)
_Parts = list[tuple[str, str]]
"""The parts of an address in order, each with the tag of usaddress."""


def plant(folder: Path) -> list[str]:
    """Adds both sources to a tiny project; returns addresses of the kind that neither has."""
    drawn = _addresses(random.Random(1))
    for name, rows, tag in ((SLIPS, SLIP_ROWS, "BuildingName"), (SOUND, SOUND_ROWS, "StreetName")):
        lines = [_as_xml(parts, tag) for parts in islice(drawn, rows)]
        text = "\n".join(["<AddressCollection>", *lines, "</AddressCollection>", ""])
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")
        source = f'[sources.{name}]\nadapter = "usaddress-xml"\ninput = "{name}.xml"\n\n'
        change(folder, "[golden_sets.extra]", f"{source}[golden_sets.extra]", file="corpora/builtin.toml")
    change(folder, '["CC-BY-4.0"]', '["CC-BY-4.0", "MIT"]', file="corpora/builtin.toml")
    change(folder, "builtin = 1.0", f"builtin = 0.885\n{SLIPS} = 0.07\n{SOUND} = 0.045")
    return [_written([text for _, text in parts]) for parts in islice(drawn, 200)]


def _addresses(rng: random.Random) -> Iterator[_Parts]:
    """Addresses with such a street, each once."""
    every = list(itertools.product(range(100, 1000), _NAMES, _TOWNS))
    rng.shuffle(every)
    for number, name, written in every:
        town, _, rest = written.partition(", ")
        region, _, postcode = rest.partition(" ")
        parts = [("AddressNumber", str(number)), ("", f"{name} {KIND}"), ("OccupancyIdentifier", rng.choice(_UNITS))]
        parts += [("PlaceName", town), ("StateName", region), ("ZipCode", postcode)]
        yield [(tag, text) for tag, text in parts if text]


def _as_xml(parts: _Parts, tag: str) -> str:
    tokens = [f"<{name or tag}>{text}</{name or tag}>" for name, text in parts]
    return f"<AddressString>{_written(tokens)}</AddressString>"


def _written(parts: list[str]) -> str:
    """A blank behind the number, a comma behind everything else."""
    return f"{parts[0]} {', '.join(parts[1:])}"
