"""Methods that change where the parts of an address stand and what stands between them.

Each takes a draft, the rows asked and a generator, and returns the new draft and the rows that it really changed.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mw_pipeline.corpus.compose import Draft, drawn_separators, joints, placed_in, sequence
from mw_pipeline.corpus.conventions import TAG_INDEX, line_separators, separators
from mw_pipeline.corpus.orders import forms, postcode_first_forms
from mw_pipeline.countries import country
from mw_pipeline.draws import cumulated
from mw_pipeline.records.text import Mask

# A block number that no form has: what runs on together takes it.
_RUN_ON = 99


def reorder(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in another order, drawn by the habits of the country's file.

    A street without a number is as often led by its postcode as the file says: taught beside house numbers of as many
    digits, such rows show that the places around a number tell what it is (M66). With no place around, nothing does,
    and the row stays as it is."""
    numberless = draft.writes("street") & draft.writes("postcode") & ~draft.writes("house_number")
    placed = draft.present()[:, [TAG_INDEX[tag] for tag in ("locality", "subregion", "region")]].any(axis=1)
    led = asked & numberless & placed & (rng.random(draft.rows) < country(draft.country)["order"]["postcode_leads"])
    moved = placed_in(draft, forms(draft.country), asked & ~led & (placed | ~numberless), rng)
    moved = placed_in(moved, postcode_first_forms(draft.country), led, rng)
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
