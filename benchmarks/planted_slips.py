"""A tiny project with a planted fault: a small source, drawn often, that calls one kind of street a venue.

A larger and sound source writes the very same kind of street, and calls it a street; its rows are drawn less often. So
the fault cannot be told by the look of the rows: most rows that look like a spoiled address are the sound source's.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_dataset

RECIPE = "demo"
SLIPS, SOUND = "slips", "rolls"
WRONG_TAG, RIGHT_TAG = "venue", "street"
KIND = "Loop"
SEED = 5
_ROWS = {SLIPS: (200, "BuildingName"), SOUND: (800, "StreetName")}
_GOLDEN = Path(__file__).parent.parent / "golden"

_CORPUS = """
version = "1"
seed = SEED
countries = ["US", "FR"]
variants = 1
validation_share = 0.05
test_share = 0.05
licences_allowed = ["CC-BY-4.0", "MIT"]

[augmentations]
partial = 0.2
case = 0.2

[sources.builtin]
adapter = "builtin"
max_records = 3000

[sources.slips]
adapter = "usaddress-xml"
input = "slips.xml"

[sources.rolls]
adapter = "usaddress-xml"
input = "rolls.xml"
"""

_RECIPE = """
corpus = "builtin"

[tokenizer]
vocab_size = 600
sample_rows = 2000

[mix.weights]
builtin = 0.885
slips = 0.07
rolls = 0.045

[model]
width = 32
layers = 1
heads = 2
feed_forward = 64
max_length = 64

[train]
steps = 240
peak_lr = 4e-3
warmup_steps = 60
batch_size = 64
eval_every = 24
eval_rows = 200
checkpoint_every = 20
log_every = 1
threads = 1

[smoke]
steps = 200
eval_every = 25

[package]
untaught = [
    "region name", "region code", "subregion name", "country", "country abroad", "street type", "directional",
    "military mail", "unit word", "box word", "cedex",
]
"""

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
"""The parts of an address in order, each with its tag in usaddress; that of the street is left open."""


def write_planted(folder: Path, *, asked: int, kind: str = KIND, seed: int = SEED) -> list[str]:
    """Writes the project into a new folder; returns so many addresses of the kind that no source has."""
    for name, text in (
        ("corpora/builtin.toml", _CORPUS.replace("SEED", str(seed))),
        (f"recipes/{RECIPE}.toml", _RECIPE),
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copytree(_GOLDEN, folder / "golden")
    drawn = _addresses(kind, random.Random(seed))
    for source, (rows, tag) in _ROWS.items():
        lines = [_as_xml(parts, tag) for parts in islice(drawn, rows)]
        text = "\n".join(["<AddressCollection>", *lines, "</AddressCollection>", ""])
        (folder / f"{source}.xml").write_text(text, encoding="utf-8")
    return [_joined([text for _, text in parts]) for parts in islice(drawn, asked)]


def train_planted(folder: Path) -> Place:
    """Trains its recipe behind the lock, up to the index of the rows that taught it."""
    place = Place.of(store=str(folder / ".mw"), project=str(folder), data=str(folder))
    prepare_dataset(place, RECIPE)
    for stage in (line.smoke_checkpoint, line.full_checkpoint, line.teaching_index):
        stage.make(place, RECIPE)
    return place


def _addresses(kind: str, rng: random.Random) -> Iterator[_Parts]:
    """Addresses with such a street, each once."""
    every = list(itertools.product(range(100, 1000), _NAMES, _TOWNS))
    rng.shuffle(every)
    for number, name, written in every:
        town, _, rest = written.partition(", ")
        region, _, postcode = rest.partition(" ")
        parts = [("AddressNumber", str(number)), ("", f"{name} {kind}"), ("OccupancyIdentifier", rng.choice(_UNITS))]
        parts += [("PlaceName", town), ("StateName", region), ("ZipCode", postcode)]
        yield [(tag, text) for tag, text in parts if text]


def _as_xml(parts: _Parts, tag: str) -> str:
    tokens = [f"<{name or tag}>{text}</{name or tag}>" for name, text in parts]
    return f"<AddressString>{_joined(tokens)}</AddressString>"


def _joined(parts: list[str]) -> str:
    """A blank behind the number, a comma behind everything else."""
    return f"{parts[0]} {', '.join(parts[1:])}"
