"""Methods that change where the parts of an address stand and what stands between them.

Each takes a draft, the rows asked and a generator, and returns the new draft and the rows that it really changed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mw_pipeline.corpus.compose import Draft, Ints, drawn_separators, joints, placed_in, sequence
from mw_pipeline.corpus.conventions import (
    Forms,
    form_block,
    form_order,
    forms,
    line_separators,
    placements,
    separators,
)
from mw_pipeline.corpus.text import Mask

RANDOM_FORMS = 16
TURNED_BLOCK_SHARE = 0.25


def reorder(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in another order: one of the country's other forms, or a random permutation of the native blocks."""
    table = forms(draft.country)
    order, block = _random_forms(table, rng)
    rows = int(asked.sum())
    known = np.searchsorted(table.shares, rng.random(rows), side="right")
    anything = len(table.order) + rng.integers(0, RANDOM_FORMS, rows)
    form = np.where(rng.random(rows) < table.random_share, anything, known)
    new_order, new_block = draft.order.copy(), draft.block.copy()
    new_order[asked] = np.concatenate([table.order, order])[form]
    new_block[asked] = np.concatenate([table.block, block])[form]
    moved = replace(draft, order=new_order, block=new_block)
    return moved, _moved(draft, moved, asked)


def run_on(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows whose street runs on into the city, or whose venue runs on into the street, with no more than a space."""
    target = asked & ~draft.in_other_script(asked)
    moved = placed_in(draft, placements(draft.country, "run_on"), target, rng)
    return moved, _moved(draft, moved, target)


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
