"""Methods that change where the parts of an address stand and what stands between them.

Each takes a draft, the rows asked and a generator, and returns the new draft and the rows that it really changed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.compose import Draft, drawn_separators, joints, placed_in, sequence
from mw_pipeline.corpus.conventions import TAG_INDEX, line_separators, separators
from mw_pipeline.corpus.orders import city_first_forms, forms, postcode_first_forms
from mw_pipeline.countries import country
from mw_pipeline.draws import cumulated
from mw_pipeline.records.text import Mask

# A block number that no form has: what runs on together takes it.
_RUN_ON = 99


def reorder(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in another order, drawn by the habits of the country's file.

    A street without a number is as often led by its postcode as the file says: taught beside house numbers of as many
    digits, such rows show that the places around a number tell what it is (M66). With no place around, nothing does,
    and the row stays as it is. A street with neither is led by its town: a lone name in front is no venue for that."""
    habits, drawn = country(draft.country)["order"], rng.random(draft.rows)
    numberless, coded = draft.writes("street") & ~draft.writes("house_number"), draft.writes("postcode")
    placed = draft.present()[:, [TAG_INDEX[tag] for tag in ("locality", "subregion", "region")]].any(axis=1)
    by_code = asked & numberless & coded & placed & (drawn < habits["postcode_leads"])
    by_city = asked & numberless & ~coded & draft.writes("locality") & (drawn < habits["city_leads"])
    free = asked & ~by_code & ~by_city & (placed | ~(numberless & coded))
    moved = placed_in(draft, forms(draft.country), free, rng)
    moved = placed_in(moved, postcode_first_forms(draft.country), by_code, rng)
    moved = placed_in(moved, city_first_forms(draft.country), by_city, rng)
    return moved, _moved(draft, moved, asked)


def run_on(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows whose street runs on into the city, or whose venue runs on into the street, with no more than a space."""
    target = asked & ~draft.in_other_script(asked)
    shares, joining = _run_on_tags(draft.country)
    kind = np.searchsorted(shares, rng.random(draft.rows), side="right")
    joined = joining[kind[:, None], draft.order] & target[:, None]
    moved = replace(draft, block=np.where(joined, _RUN_ON, draft.block))
    return moved, _moved(draft, moved, target)


@functools.cache
def _run_on_tags(code: str) -> tuple[npt.NDArray[np.float64], Mask]:
    """Cumulative shares of the R ways to run on, and (R, T): the tags that each way sets side by side."""
    ways = country(code)["run_on"].values()
    joining = np.zeros((len(ways), len(TAG_INDEX)), np.bool_)
    for row, way in zip(joining, ways, strict=True):
        row[[TAG_INDEX[tag] for tag in way["tags"].split()]] = True
    return cumulated(np.array([way["weight"] for way in ways], np.float64)), joining


def bracket(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with one part in brackets behind another: `Reno, NV (Zoo)`, `Nice (France)`.

    A venue goes behind the street or behind all the rest; other parts stay where they are."""
    habit, every = country(draft.country)["brackets"], np.arange(draft.rows)
    present = np.take_along_axis(draft.present(), draft.order, axis=1)
    place = _bracketed(draft, present, habit["weights"], rng)
    applied, tags = asked & (place >= 0), draft.order[every, place]
    street = present & (draft.order == TAG_INDEX["street"])
    of_street = draft.block == draft.block[every, street.argmax(axis=1)][:, None]
    behind = street.any(axis=1) & (rng.random(draft.rows) < habit["behind_street"])
    positions = np.arange(draft.order.shape[1])
    goal = np.where(behind, np.where(of_street, positions, -1).max(axis=1) + 0.5, len(positions))
    ranks = np.tile(positions.astype(np.float64), (draft.rows, 1))
    ranks[every, place] = np.where(applied & (tags == TAG_INDEX["venue"]), goal, ranks[every, place])
    turn = ranks.argsort(axis=1)
    order, block = np.take_along_axis(draft.order, turn, axis=1), np.take_along_axis(draft.block, turn, axis=1)
    at = (turn == place[:, None]).argmax(axis=1)
    ahead = np.take_along_axis(present, turn, axis=1) & (positions < at[:, None])
    before = np.where(ahead, positions, 0).max(axis=1)
    block[every, at] = np.where(applied, block[every, before], block[every, at])
    values = {tag: _enclosed(draft.values[tag], applied & (tags == TAG_INDEX[tag])) for tag in draft.values}
    return replace(draft, order=order, block=block, values=values), applied


def _bracketed(
    draft: Draft, present: Mask, weights: Mapping[str, float], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """(N,) the position of the part that a row would have in brackets, drawn by weight; -1 where it has none.

    No row begins with brackets: the first part of one takes none, unless it is a venue, which goes behind the rest."""
    chances = np.zeros(len(TAG_INDEX))
    chances[[TAG_INDEX[tag] for tag in weights]] = list(weights.values())
    first, alone = np.cumsum(present, axis=1) == 1, present.sum(axis=1)[:, None] == 1
    barred = np.where(draft.order == TAG_INDEX["venue"], alone, first)
    drawn = np.cumsum(np.where(present & ~barred, chances[draft.order], 0.0), axis=1)
    place = (drawn > rng.random((draft.rows, 1)) * drawn[:, -1:]).argmax(axis=1)
    return np.where(drawn[:, -1] > 0, place, -1)


def _enclosed(texts: pa.StringArray, rows: Mask) -> pa.StringArray:
    return pc.if_else(pa.array(rows), pc.binary_join_element_wise("(", texts, ")", ""), texts)


def separate(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with something else than a comma between their parts: lines, spaces alone, dashes, no space, two spaces."""
    drawn = drawn_separators(draft, asked, rng)
    within = separators()[1].draw(len(drawn), rng)
    outer, areas, inner = joints(draft, asked)
    changed = ((outer + areas > 0) & (drawn != draft.between[asked])) | ((inner > 0) & (within > 0))
    applied = asked.copy()
    applied[asked] = changed
    new_between, new_within = draft.between.copy(), draft.within.copy()
    new_between[applied], new_within[applied] = drawn[changed], within[changed]
    return replace(draft, between=new_between, within=new_within), applied


def break_lines(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows as on an envelope: a line for each part, and the city with its codes and areas together on one."""
    ends, city = line_separators()
    between, areas = ends.draw(draft.rows, rng), city.draw(draft.rows, rng)
    areas = np.where(draft.foreign, draft.between, areas)
    outer, of_city, _ = joints(draft, asked)
    before = np.where(draft.areas < 0, draft.between, draft.areas)
    changed = ((between != draft.between)[asked] | ((areas != before)[asked] & (of_city > 0))) & (outer > 0)
    applied = asked.copy()
    applied[asked] = changed
    between, areas = np.where(applied, between, draft.between), np.where(applied, areas, draft.areas)
    return replace(draft, between=between, areas=areas), applied


def _moved(before: Draft, after: Draft, rows: Mask) -> Mask:
    """The rows under the mask that read otherwise than before, but for their separators."""
    moved = rows.copy()
    moved[rows] = (sequence(after, rows) != sequence(before, rows)).any(axis=1)
    return moved
