"""How people write addresses, as data: forms, subsets, separators, country names, regions and word pairs per country.

The TOML and TSV files in `tables/` hold the facts; here they become arrays that the column kernels look up in.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.labels import STAGE3_TAGS

# street_prefix and street_suffix are parts of `street` and have no place of their own in a line.
LINE_TAGS: tuple[str, ...] = tuple(tag for tag in STAGE3_TAGS if tag not in ("street_prefix", "street_suffix"))
TAG_INDEX: Mapping[str, int] = {tag: index for index, tag in enumerate(STAGE3_TAGS)}


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
class Swaps:
    """Words and what each may be written as instead: key k, in lower case, has count[k] options from first[k] on."""

    keys: pa.StringArray
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    options: pa.StringArray


@functools.cache
def forms(country: str) -> Forms:
    """The forms of a country, or the default ones where it has no table of its own."""
    section = _of_country("forms.toml", country)
    native = _blocks(section["native"])
    orders = [native, *(_completed(_blocks(order["blocks"]), native) for order in section["orders"])]
    weights = np.array([0.0, *(order["weight"] for order in section["orders"])])
    return Forms(
        order=np.array([form_order(form) for form in orders]),
        block=np.array([form_block(form) for form in orders]),
        shares=np.cumsum(weights) / weights.sum(),
        random_share=section["random_share"],
        native=native,
        lone_subregion=section["lone_subregion"],
        turned={frozenset(block): block for block in _blocks(section["turned"])},
    )


def form_order(form: Sequence[Sequence[str]]) -> list[int]:
    """The tag index at each position of a form."""
    return [TAG_INDEX[tag] for block in form for tag in block]


def form_block(form: Sequence[Sequence[str]]) -> list[int]:
    """The block number at each position of a form."""
    return [number for number, block in enumerate(form) for _ in block]


@functools.cache
def subsets(country: str) -> Subsets:
    """The subsets of components that people write in a country."""
    rows = _of_country("partials.toml", country)
    masks = [sum(1 << TAG_INDEX[tag] for tag in tags.split()) for _, tags in rows]
    return Subsets(np.array(masks, np.int64), np.array([weight for weight, _ in rows], np.float64))


@functools.cache
def separators() -> tuple[Weighted, Weighted]:
    """What stands between blocks, and within one. Index 0 is the plain one, with weight 0 where it is never drawn.

    The first table knows the separators of all scripts, with the weights of Latin text.
    """
    table = _toml("separators.toml")
    latin = table["between"]
    known = {text for _, text in latin}
    others = dict.fromkeys(text for script in table["script"].values() for _, text in script["between"])
    return _weighted([*latin, *((0, text) for text in others if text not in known)]), _weighted(table["within"])


@functools.cache
def script_separators(script: str) -> Weighted:
    """What a script puts between blocks, over the same texts as `separators`."""
    texts = separators()[0].texts.to_pylist()
    weights = {text: weight for weight, text in _toml("separators.toml")["script"][script]["between"]}
    return _weighted([(weights.get(text, 0), text) for text in texts])


@functools.cache
def large_to_small() -> tuple[float, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How often unspaced scripts and Korean write from large to small, and that form's tags and blocks by position."""
    section = _toml("forms.toml")["large_to_small"]
    form = _blocks(section["blocks"])
    return section["share"], np.array(form_order(form)), np.array(form_block(form))


@functools.cache
def crossings(country: str) -> Weighted:
    """What stands between the two streets of a crossing."""
    table = _toml("separators.toml")["crossing"]
    return _weighted(table.get(country, table["default"]))


@functools.cache
def country_names(country: str) -> Weighted | None:
    """How the country is written; None where no form is known."""
    rows = _toml("country_names.toml").get(country)
    return None if rows is None else _weighted(rows)


@functools.cache
def word_swaps(country: str, tag: str, place: str) -> Swaps | None:
    """Full words and their short forms, both ways, for one position in one component; None where there are none."""
    rows = [row for row in _tsv("words.tsv") if (row["country"], row["tag"], row["place"]) == (country, tag, place)]
    return _both_ways([(row["full"], row["short"]) for row in rows])


@functools.cache
def region_swaps(country: str) -> Swaps | None:
    """Region names, their codes and their older abbreviations, each way; None where the country has no table."""
    rows = [row for row in _tsv("regions.tsv") if row["country"] == country]
    # Twice the code for once the old abbreviation.
    pairs = [(row["name"], row["code"]) for row in rows for _ in range(2)]
    return _both_ways(pairs + [(row["name"], row["old"]) for row in rows if row["old"]])


def _both_ways(pairs: Sequence[tuple[str, str]]) -> Swaps | None:
    options: dict[str, list[str]] = {}
    for full, short in pairs:
        options.setdefault(full.lower(), []).append(short)
        known = options.setdefault(short.lower(), [])
        if full not in known:
            known.append(full)
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


def _weighted(rows: Sequence[tuple[float, str]]) -> Weighted:
    weights = np.array([weight for weight, _ in rows], np.float64)
    return Weighted(pa.array([text for _, text in rows], pa.string()), np.cumsum(weights) / weights.sum())


def _of_country(name: str, country: str) -> Any:
    table = _toml(name)
    return table.get(country, table["default"])


@functools.cache
def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(_read(name))


@functools.cache
def _tsv(name: str) -> tuple[dict[str, str], ...]:
    header, *lines = _read(name).splitlines()
    return tuple(dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines)


def _read(name: str) -> str:
    return resources.files("mw_pipeline.corpus").joinpath("tables", name).read_text(encoding="utf-8")
