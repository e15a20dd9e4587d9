"""The named ways in which people write one address differently, each on whole columns, each with a dose.

A method gets a draft, the rows asked for and a generator; it returns the new draft and the rows that it really changed.
What it could not change counts as failed, never as applied: the waterfall shows both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.compose import Draft, Ints, drawn_separators, named_by_rank, sequence
from mw_pipeline.corpus.conventions import (
    TAG_INDEX,
    Forms,
    country_names,
    form_block,
    form_order,
    forms,
    region_swaps,
    separators,
    subsets,
)
from mw_pipeline.corpus.scripts import in_other_script
from mw_pipeline.corpus.swaps import swap_saints, swap_whole, swap_words
from mw_pipeline.corpus.text import Mask, code_point_lengths, differs, replaced, without_accents

Method = Callable[[Draft, Mask, np.random.Generator], tuple[Draft, Mask]]
Columns = Mapping[str, pa.StringArray]

RANDOM_FORMS = 16
TURNED_BLOCK_SHARE = 0.25
ABBREVIATED_COMPONENT_SHARE = 0.7
ABBREVIATED = ("region", "street", "locality", "dependent_locality", "subregion")
# Wholly upper or lower, each word with a capital, or the French post's own rule: the city line in capitals.
CASE_SHARES = {"upper": 0.35, "lower": 0.3, "title": 0.1, "city": 0.25}
# What each case is about: codes and numbers have no title case.
CASED_TAGS = {
    "title": ("venue", "street", "dependent_locality", "locality", "subregion", "region"),
    "city": ("locality", "cedex"),
}


@dataclass(frozen=True)
class Tally:
    """What became of one method: rows that were asked to take it, and rows that it changed."""

    asked: int
    applied: int

    @property
    def failed(self) -> int:
        """Rows that were asked and could not be changed."""
        return self.asked - self.applied


def augment(
    draft: Draft, doses: Mapping[str, float], rng: np.random.Generator
) -> tuple[Draft, pa.StringArray, dict[str, Tally]]:
    """The draft with every dosed method applied to its share of rows.

    Returns the draft, the names of the methods that changed each row joined by "+" (null where none did), and a tally
    per method. A dose is the probability that a row is asked; the methods are independent of each other.
    """
    names: list[str] = []
    marks = np.zeros(draft.rows, np.int64)
    tallies: dict[str, Tally] = {}
    for name, method in METHODS.items():
        asked = rng.random(draft.rows) < doses.get(name, 0.0)
        if not asked.any():
            continue
        draft, applied = method(draft, asked, rng)
        marks |= applied.astype(np.int64) << len(names)
        names.append(name)
        tallies[name] = Tally(int(asked.sum()), int(applied.sum()))
    return draft, _joined_names(marks, names), tallies


def keep_some(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows cut down to a subset of components that people write, wherever one fits and leaves something out."""
    table = subsets(draft.country)
    rows = np.flatnonzero(asked)
    bits = draft.present()[rows] @ (np.int64(1) << np.arange(len(TAG_INDEX), dtype=np.int64))
    fits = ((bits[:, None] & table.masks) == table.masks) & (bits[:, None] != table.masks)
    cumulative = np.cumsum(fits * table.weights, axis=1)
    total = cumulative[:, -1]
    chosen = (cumulative > (rng.random(len(rows)) * total)[:, None]).argmax(axis=1)
    applied = np.zeros(draft.rows, np.bool_)
    applied[rows[total > 0]] = True
    kept = np.full(draft.rows, -1, np.int64)
    kept[rows[total > 0]] = table.masks[chosen[total > 0]]
    values = {
        tag: pc.if_else(pa.array((kept >> TAG_INDEX[tag]) & 1 == 1), texts, "") for tag, texts in draft.values.items()
    }
    return named_by_rank(draft.with_values(values)), applied


def write_country(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with their country written in one of its names, added where it was left out.

    A street alone gets none, and a row in another script keeps what it has."""
    names = country_names(draft.country)
    if names is None:
        return draft, np.zeros(draft.rows, np.bool_)
    present = draft.present()
    placed = present[:, [TAG_INDEX[tag] for tag in ("locality", "region", "postcode", "country")]].any(axis=1)
    target = asked & placed & ~in_other_script(draft.values.values())
    old = draft.values.get("country", pa.array([""] * draft.rows, pa.string()))
    new = replaced(old, target, names.texts.take(pa.array(names.draw(int(target.sum()), rng))))
    return draft.with_values({"country": new}), differs(old, new)


def add_zip4(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """United States rows with four more digits behind a five-digit ZIP code."""
    postcodes = draft.values.get("postcode")
    if draft.country != "US" or postcodes is None:
        return draft, np.zeros(draft.rows, np.bool_)
    target = asked & pc.match_substring_regex(postcodes, r"^[0-9]{5}$").to_numpy(zero_copy_only=False)
    digits = pc.utf8_lpad(pa.array(rng.integers(1, 10_000, int(target.sum()))).cast(pa.string()), 4, "0")
    longer = pc.binary_join_element_wise(postcodes.filter(pa.array(target)), digits, "-")
    return draft.with_values({"postcode": replaced(postcodes, target, longer)}), target


def abbreviate(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with known words in their other form, either way round: states, street types, directions, saints."""
    regions = region_swaps(draft.country)
    capitals = _all_caps(draft)
    new: dict[str, pa.StringArray] = {}
    for tag in (tag for tag in ABBREVIATED if tag in draft.values):
        chosen = asked & (rng.random(draft.rows) < ABBREVIATED_COMPONENT_SHARE)
        texts = draft.values[tag].filter(pa.array(chosen))
        if tag == "region":
            edited = texts if regions is None else swap_whole(texts, regions, capitals[chosen], rng)
        else:
            edited = swap_words(texts, draft.country, tag, rng)
            edited = swap_saints(edited) if draft.country == "FR" else edited
        new[tag] = replaced(draft.values[tag], chosen, edited)
    return _with_edits(draft, new)


def strip_accents(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows as typed on a keyboard without accents. Other scripts keep their marks: there they are letters."""
    return _with_edits(draft, {tag: _edited(texts, asked, without_accents) for tag, texts in draft.values.items()})


def change_case(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in capitals, in lower case, in title case, or with the city line alone in capitals.

    A row that is in capitals already takes title case where it drew capitals.
    """
    mode = np.searchsorted(np.cumsum(list(CASE_SHARES.values())), rng.random(draft.rows), side="right")
    names = list(CASES)
    capitals = np.isin(mode, [names.index("upper"), names.index("city")]) & _all_caps(draft)
    mode = np.where(capitals, names.index("title"), mode)
    new = dict(draft.values)
    for index, (name, edit) in enumerate(CASES.items()):
        for tag in new.keys() & CASED_TAGS.get(name, new.keys()):
            new[tag] = _edited(new[tag], asked & (mode == index), edit)
    return _with_edits(draft, new)


def reorder(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in another order: one of the country's other forms, or a random permutation of the native blocks."""
    table = forms(draft.country)
    order, block = _random_forms(table, rng)
    known = np.searchsorted(table.shares, rng.random(draft.rows), side="right")
    anything = len(table.order) + rng.integers(0, RANDOM_FORMS, draft.rows)
    form = np.where(rng.random(draft.rows) < table.random_share, anything, known)
    moved = replace(
        draft,
        order=np.where(asked[:, None], np.concatenate([table.order, order])[form], draft.order),
        block=np.where(asked[:, None], np.concatenate([table.block, block])[form], draft.block),
    )
    return moved, (sequence(moved) != sequence(draft)).any(axis=1)


def separate(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with something else than a comma between their parts: lines, spaces alone, dashes, no space, two spaces."""
    between, within = drawn_separators(draft, rng), separators()[1].draw(draft.rows, rng)
    codes = sequence(draft)
    opened = ((codes >= 0) & (codes % 2 == 1)).sum(axis=1)
    continued = ((codes >= 0) & (codes % 2 == 0)).sum(axis=1)
    applied = asked & (((opened > 1) & (between != draft.between)) | ((continued > 0) & (within > 0)))
    between, within = np.where(applied, between, draft.between), np.where(applied, within, draft.within)
    return replace(draft, between=between, within=within), applied


def title_case(texts: pa.StringArray) -> pa.StringArray:
    """Each word with a capital; ordinals, a possessive s, two-letter directions and codes as people write them."""
    titled = pc.utf8_title(texts)
    for ending in ("st", "nd", "rd", "th"):
        titled = pc.replace_substring_regex(titled, rf"([0-9]){ending.title()}\b", rf"\1{ending}")
    for direction in ("NE", "NW", "SE", "SW"):
        titled = pc.replace_substring_regex(titled, rf"\b{direction.title()}\b", direction)
    titled = pc.replace_substring_regex(titled, r"(['’])S\b", r"\1s")
    return pc.if_else(pc.match_substring_regex(texts, "^[A-Z]{2}$"), texts, titled)


CASES: dict[str, Callable[[pa.StringArray], pa.StringArray]] = {
    "upper": pc.utf8_upper,
    "lower": pc.utf8_lower,
    "title": title_case,
    "city": pc.utf8_upper,
}

# In this order: what is written, then how it is spelled, then where it stands.
METHODS: dict[str, Method] = {
    "partial": keep_some,
    "country_name": write_country,
    "zip4": add_zip4,
    "abbreviation": abbreviate,
    "accents": strip_accents,
    "case": change_case,
    "order": reorder,
    "separators": separate,
}


def _edited(texts: pa.StringArray, chosen: Mask, edit: Callable[[pa.StringArray], pa.StringArray]) -> pa.StringArray:
    if not chosen.any():
        return texts
    return replaced(texts, chosen, edit(texts.filter(pa.array(chosen))))


def _with_edits(draft: Draft, new: Columns) -> tuple[Draft, Mask]:
    applied = np.zeros(draft.rows, np.bool_)
    for tag, texts in new.items():
        applied |= differs(draft.values[tag], texts)
    return draft.with_values(new), applied


def _all_caps(draft: Draft) -> Mask:
    """Rows whose names are in capitals; codes and numbers cannot tell."""
    lower_somewhere, some_name = np.zeros(draft.rows, np.bool_), np.zeros(draft.rows, np.bool_)
    for tag, texts in draft.values.items():
        lower_somewhere |= differs(texts, pc.utf8_upper(texts))
        some_name |= code_point_lengths(texts) > 3 if tag in CASED_TAGS["title"] else False
    return some_name & ~lower_somewhere


def _random_forms(table: Forms, rng: np.random.Generator) -> tuple[Ints, Ints]:
    drawn = []
    for _ in range(RANDOM_FORMS):
        blocks = [table.native[index] for index in rng.permutation(len(table.native))]
        turns = rng.random(len(blocks)) < TURNED_BLOCK_SHARE
        drawn.append(
            [
                table.turned.get(frozenset(block), block) if turn else block
                for block, turn in zip(blocks, turns, strict=True)
            ]
        )
    return np.array([form_order(form) for form in drawn]), np.array([form_block(form) for form in drawn])


def _joined_names(marks: npt.NDArray[np.int64], names: list[str]) -> pa.StringArray:
    distinct, index = np.unique(marks, return_inverse=True)
    texts = ["+".join(name for bit, name in enumerate(names) if mark >> bit & 1) or None for mark in distinct]
    return pa.array(texts, pa.string()).take(pa.array(index.ravel()))
