"""How people write addresses, as data: forms, subsets, separators, country names, regions and word pairs per country.

The TOML and TSV files in `tables/` hold the facts; here they become arrays that the column kernels look up in.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.labels import STAGE3_TAGS

# street_prefix and street_suffix are parts of `street` and have no place of their own in a line.
LINE_TAGS: tuple[str, ...] = tuple(tag for tag in STAGE3_TAGS if tag not in ("street_prefix", "street_suffix"))
# Text without a label, in front of everything else: a person who lives there.
RECIPIENT = "recipient"
TAG_INDEX: Mapping[str, int] = {tag: index for index, tag in enumerate((*STAGE3_TAGS, RECIPIENT))}

Way = Literal["shorter", "fuller"]
"""Which of the two columns of a table of words is sought, and which is written instead."""


@dataclass(frozen=True)
class Weighted:
    """Texts to draw from, with cumulative shares that end at 1."""

    texts: pa.StringArray
    cumulative: npt.NDArray[np.float64]

    def draw(self, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One index into `texts` per row, by weight."""
        return np.searchsorted(self.cumulative, rng.random(rows), side="right")


@dataclass(frozen=True)
class Forms:
    """The orders a country's addresses are written in: form 0 is the native one.

    order   (F, S) int64  tag index at each position of a form
    block   (F, S) int64  block number at each position; tags of one block stand side by side
    shares  (F,)   float  how often a reordered row takes the form, cumulative; form 0 has no share
    turned                the tags of a native block -> the same tags the other way round
    lone_subregion        the tag of a subregion where no region is written
    """

    order: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]
    random_share: float
    native: tuple[tuple[str, ...], ...]
    turned: Mapping[frozenset[str], tuple[str, ...]]
    lone_subregion: str


@dataclass(frozen=True)
class Subsets:
    """Sets of tags that people write together: bit t of a mask stands for tag t.

    masks    (P,) int64    one bit set per subset
    weights  (P,) float64  how often each is written
    """

    masks: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placements:
    """Some forms of a country for one purpose, with cumulative shares that end at 1; order and block as in Forms."""

    order: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    cumulative: npt.NDArray[np.float64]

    def draw(self, rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One form per row, by weight."""
        return np.searchsorted(self.cumulative, rng.random(rows), side="right")


@dataclass(frozen=True)
class Swaps:
    """Words and what each may be written as instead: key k, in lower case, has count[k] options from first[k] on."""

    keys: pa.StringArray
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    options: pa.StringArray


@functools.cache
def forms(country: str) -> Forms:
    """The forms of a country, or the default ones where it has no table of its own."""
    section = section_of("forms.toml", country)
    native = _blocks(section["native"])
    orders = [native, *(_completed(_blocks(order["blocks"]), native) for order in section["orders"])]
    weights = np.array([0.0, *(order["weight"] for order in section["orders"])])
    return Forms(
        order=np.array([form_order(form) for form in orders]),
        block=np.array([form_block(form) for form in orders]),
        shares=_cumulated(weights),
        random_share=section["random_share"],
        native=native,
        lone_subregion=section["lone_subregion"],
        turned={frozenset(block): block for block in _blocks(section["turned"])},
    )


@functools.cache
def placements(country: str, purpose: str) -> Placements:
    """The forms in which a country writes a row for one purpose: `unit` (where it stands) or `run_on` (no commas)."""
    section = section_of("forms.toml", country)
    native = _blocks(section["native"])
    chosen = [_completed(_blocks(form["blocks"]), native) for form in section[purpose]]
    weights = np.array([form["weight"] for form in section[purpose]], np.float64)
    return Placements(
        order=np.array([form_order(form) for form in chosen]),
        block=np.array([form_block(form) for form in chosen]),
        cumulative=_cumulated(weights),
    )


def form_order(form: Sequence[Sequence[str]]) -> list[int]:
    """The tag index at each position of a form, the recipient in front."""
    return [TAG_INDEX[RECIPIENT], *(TAG_INDEX[tag] for block in form for tag in block)]


def form_block(form: Sequence[Sequence[str]]) -> list[int]:
    """The block number at each position of a form, the recipient in front."""
    return [0, *(number for number, block in enumerate(form, start=1) for _ in block)]


@functools.cache
def subsets(country: str) -> Subsets:
    """The subsets of components that people write in a country."""
    rows = section_of("partials.toml", country)
    masks = [sum(1 << TAG_INDEX[tag] for tag in tags.split()) for _, tags in rows]
    return Subsets(np.array(masks, np.int64), np.array([weight for weight, _ in rows], np.float64))


@functools.cache
def separators() -> tuple[Weighted, Weighted]:
    """What stands between blocks, and within one. Index 0 is the plain one, with weight 0 where it is never drawn.

    The first table knows the separators of all scripts, with the weights of Latin text.
    """
    table = read_toml("separators.toml")
    latin = table["between"]
    known = {text for _, text in latin}
    others = dict.fromkeys(text for script in table["script"].values() for _, text in script["between"])
    return weighted([*latin, *((0, text) for text in others if text not in known)]), weighted(table["within"])


@functools.cache
def script_separators(script: str) -> Weighted:
    """What a script puts between blocks, over the same texts as `separators`."""
    return _among_separators(read_toml("separators.toml")["script"][script]["between"])


@functools.cache
def line_separators() -> tuple[Weighted, Weighted]:
    """What ends a line of an address on several lines, and what stands within its city line; texts of `separators`."""
    table = read_toml("separators.toml")
    return _among_separators(table["line_end"]), _among_separators(table["city_line"])


def _among_separators(rows: Sequence[tuple[float, str]]) -> Weighted:
    weights = {text: weight for weight, text in rows}
    return weighted([(weights.get(text, 0), text) for text in separators()[0].texts.to_pylist()])


@functools.cache
def large_to_small() -> tuple[float, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How often unspaced scripts and Korean write from large to small, and that form's tags and blocks by position."""
    section = read_toml("forms.toml")["large_to_small"]
    form = _blocks(section["blocks"])
    return section["share"], np.array(form_order(form)), np.array(form_block(form))


@functools.cache
def crossings(country: str) -> Weighted:
    """What stands between the two streets of a crossing."""
    table = read_toml("separators.toml")["crossing"]
    return weighted(table.get(country, table["default"]))


@functools.cache
def country_names(country: str) -> Weighted | None:
    """How the country is written; None where no form is known."""
    rows = read_toml("country_names.toml").get(country)
    return None if rows is None else weighted(rows)


@functools.cache
def directions(country: str) -> tuple[float, Weighted] | None:
    """How often a direction stands behind its street, and how it is written; None where streets take none."""
    table = read_toml("directions.toml").get(country)
    return None if table is None else (table["behind_share"], weighted(table["texts"]))


@functools.cache
def postcode_joints(country: str) -> Weighted | None:
    """What stands between a postcode and its four more digits; None where postcodes have no such extension."""
    rows = read_toml("postcodes.toml")["extension"].get(country)
    return None if rows is None else weighted(rows)


@functools.cache
def word_swaps(country: str, tag: str, place: str, way: Way) -> Swaps | None:
    """Words as keys and what they are written as instead, for one position in one component; None without any."""
    rows = [row for row in read_tsv("words.tsv") if (row["country"], row["tag"], row["place"]) == (country, tag, place)]
    return _swaps([_turned(row["full"], row["short"], way) for row in rows])


@functools.cache
def region_swaps(country: str, way: Way) -> Swaps | None:
    """Names of regions and départements against their codes and older abbreviations; None without a table."""
    rows = [row for row in read_tsv("regions.tsv") if row["country"] == country]
    # Twice the code for once the old abbreviation.
    pairs = [(row["name"], row["code"]) for row in rows if row["code"] for _ in range(2)]
    pairs += [(row["name"], row["old"]) for row in rows if row["old"]]
    return _swaps([_turned(full, short, way) for full, short in pairs])


def _turned(full: str, short: str, way: Way) -> tuple[str, str]:
    return (full, short) if way == "shorter" else (short, full)


def _swaps(pairs: Sequence[tuple[str, str]]) -> Swaps | None:
    options: dict[str, list[str]] = {}
    for key, text in pairs:
        options.setdefault(key.lower(), []).append(text)
    if not options:
        return None
    counts = np.array([len(texts) for texts in options.values()])
    return Swaps(
        keys=pa.array(list(options), pa.string()),
        first=np.cumsum(counts) - counts,
        count=counts,
        options=pa.array([text for texts in options.values() for text in texts], pa.string()),
    )


def _blocks(rows: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row.split()) for row in rows)


def _completed(form: tuple[tuple[str, ...], ...], native: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The form with the tags that it does not name, as blocks of their own just before its last block."""
    named = {tag for block in form for tag in block}
    missing = [tuple(tag for tag in block if tag not in named) for block in native]
    return (*form[:-1], *(block for block in missing if block), form[-1])


def weighted(rows: Sequence[tuple[float, str]]) -> Weighted:
    """Texts with their weights as a table to draw from."""
    weights = np.array([weight for weight, _ in rows], np.float64)
    return Weighted(pa.array([text for _, text in rows], pa.string()), _cumulated(weights))


def _cumulated(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cumulative shares, the last one 1 to the bit: a sum of its own could differ, and a draw fall behind them all."""
    sums = np.cumsum(weights)
    shares: npt.NDArray[np.float64] = sums / sums[-1]
    return shares


def section_of(name: str, country: str) -> Any:
    """The section of a country in a TOML table, or the default one."""
    table = read_toml(name)
    return table.get(country, table["default"])


@functools.cache
def read_toml(name: str) -> dict[str, Any]:
    """A TOML table of the packaged folder."""
    return tomllib.loads(_read(name))


@functools.cache
def read_tsv(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a table of the packaged folder, by its header."""
    header, *lines = _read(name).splitlines()
    return tuple(dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines)


def _read(name: str) -> str:
    return resources.files("mw_pipeline.corpus").joinpath("tables", name).read_text(encoding="utf-8")
