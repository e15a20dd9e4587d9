"""Addresses on their way to text: components, the form each row is written in and its separators, in whole batches.

Letters: N rows, S positions of a form, T tags. A row's form says which tag stands at each position; an absent component
takes no text and no separator, so one form serves every pattern of present components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.conventions import LINE_TAGS, TAG_INDEX, crossing_joints, script_separators, separators
from mw_pipeline.corpus.orders import AREA_TAGS, Forms, forms, large_to_small
from mw_pipeline.corpus.scripts import OTHER, STYLE, any_matches, in_other_script, styles
from mw_pipeline.countries import country as country_file
from mw_pipeline.records.text import Mask, code_point_lengths, differs, filled

Ints = npt.NDArray[np.int64]

# What an envelope has on its city line; where two of these meet, an address on several lines does not break.
AREAS = [TAG_INDEX[tag] for tag in AREA_TAGS]

# What has words in it; codes and numbers have no case.
NAME_TAGS = ("venue", "street", "dependent_locality", "locality", "subregion", "region")


@dataclass(frozen=True)
class Draft:
    """Addresses that are written by one country's file, before they are written out.

    country  whose file it is; "default" for those without one
    codes    (N,) text  ISO code of each row's country
    values   tag -> (N,) text  the component as it will be written, "" where absent
    order    (N, S) int64      tag index at each position
    block    (N, S) int64      block number at each position
    between  (N,)   int64      index of the separator between blocks
    areas    (N,)   int64      index of the separator between two blocks of the city line; -1: as between all others
    within   (N,)   int64      index of the separator inside a block
    crossing (N,)   int64      index of the separator between two crossing streets
    foreign  (N,)   bool       False only where all text is Latin: such rows need no closer look
    recased  (N,)   bool       True where the client's rule of case is laid over the whole text (`recasing`)
    pool     (N,)   int64      rows of one pool may borrow each other's streets: a split never lends to another (M20)
    """

    country: str
    codes: pa.StringArray
    values: Mapping[str, pa.StringArray]
    order: Ints
    block: Ints
    between: Ints
    areas: Ints
    within: Ints
    crossing: Ints
    foreign: Mask
    recased: Mask
    pool: Ints

    @property
    def rows(self) -> int:
        """N."""
        return len(self.between)

    def present(self) -> Mask:
        """(N, T): where a component has text."""
        mask = np.zeros((self.rows, len(TAG_INDEX)), np.bool_)
        for tag, texts in self.values.items():
            mask[:, TAG_INDEX[tag]] = filled(texts)
        return mask

    def texts(self, tag: str) -> pa.StringArray:
        """(N,): one component, "" where it is absent."""
        return self.values[tag] if tag in self.values else pa.array([""]).take(pa.array(np.zeros(self.rows, np.int64)))

    def writes(self, tag: str) -> Mask:
        """(N,): where one component has text."""
        if tag not in self.values:
            return np.zeros(self.rows, np.bool_)
        return filled(self.values[tag])

    def all_caps(self, rows: Mask) -> Mask:
        """(n,), for the rows under the mask: those whose names are in capitals; codes and numbers cannot tell."""
        lower_somewhere, some_name = np.zeros((2, int(rows.sum())), np.bool_)
        look = pa.array(np.flatnonzero(rows))
        for tag, column in self.values.items():
            texts = column.take(look)
            lower_somewhere |= differs(texts, pc.utf8_upper(texts))
            some_name |= code_point_lengths(texts) > 3 if tag in NAME_TAGS else False
        return some_name & ~lower_somewhere

    def in_other_script(self, rows: Mask) -> Mask:
        """The rows, among those given, in which some text has a letter of another script than Latin."""
        return any_matches(self.values.values(), OTHER, rows & self.foreign)

    def with_values(self, values: Mapping[str, pa.StringArray]) -> Draft:
        """The draft with some components written differently."""
        return replace(self, values={**self.values, **values})


def native_draft(
    country: str,
    columns: Mapping[str, pa.StringArray],
    rng: np.random.Generator,
    pool: Ints | None = None,
    codes: pa.StringArray | None = None,
) -> Draft:
    """A draft in the country's own form with plain separators; columns may hold nulls, unplaced tags drop out.

    pool   (N,) int64  see Draft; all rows are of one pool where it is not given
    codes  (N,) text   see Draft; all rows are of `country` where it is not given
    """
    table = forms(country)
    used = [tag for tag, texts in columns.items() if tag in LINE_TAGS and texts.null_count < len(texts)]
    values = {tag: pc.fill_null(columns[tag], "") for tag in used}
    rows = len(next(iter(columns.values())))
    zeros = np.zeros(rows, np.int64)
    draft = Draft(
        country=country,
        codes=pa.array([country] * rows, pa.string()) if codes is None else codes,
        values=values,
        order=zeros[:, None],
        block=zeros[:, None],
        between=zeros,
        areas=zeros - 1,
        within=zeros,
        crossing=crossing_joints(country).draw(rows, rng),
        foreign=in_other_script(values.values()) if values else np.zeros(rows, np.bool_),
        recased=np.zeros(rows, np.bool_),
        pool=zeros if pool is None else pool,
    )
    return _in_script_style(in_form(named_by_rank(draft), table, zeros), rng)


def drawn_separators(draft: Draft, rows: Mask, rng: np.random.Generator) -> Ints:
    """(n,), for the rows under the mask: one separator between blocks each, by the habits of the script it is in."""
    return _separators_in(styles(draft.values.values(), rows & draft.foreign)[rows], rng)


def _separators_in(style: Ints, rng: np.random.Generator) -> Ints:
    drawn = separators()[0].draw(len(style), rng)
    for script in ("mixed", "numbered", "unspaced", "arabic"):
        rows = style == STYLE[script]
        drawn[rows] = script_separators(script).draw(int(rows.sum()), rng)
    return drawn


def _in_script_style(draft: Draft, rng: np.random.Generator) -> Draft:
    """The draft with rows of Chinese, Japanese, Korean and Arabic text in the order and separators of their scripts."""
    if not draft.foreign.any():
        return draft
    style = styles(draft.values.values(), draft.foreign)
    habit = large_to_small()
    east = np.isin(style, [STYLE[name] for name in ("unspaced", "numbered", "mixed", "korean")])
    turned = east & (rng.random(draft.rows) < habit.share)
    unseparated = turned & (style == STYLE["numbered"]) & (rng.random(draft.rows) < habit.unseparated_share)
    own = east & (style != STYLE["korean"]) | (style == STYLE["arabic"])
    block = np.where(turned[:, None], habit.block, draft.block)
    return replace(
        draft,
        order=np.where(turned[:, None], habit.order, draft.order),
        block=np.where(unseparated[:, None], habit.unseparated, block),
        between=np.where(own, _separators_in(style, rng), draft.between),
        within=np.where(unseparated, separators()[1].texts.index("").as_py(), draft.within),
    )


def named_by_rank(draft: Draft) -> Draft:
    """The draft with the highest area that each row writes under the tag which the label conventions give it."""
    if country_file(draft.country)["areas"]["lone_subregion"] == "subregion" or "subregion" not in draft.values:
        return draft
    lower = draft.values["subregion"]
    upper = draft.values.get("region", pa.array([""] * draft.rows, pa.string()))
    alone = pc.equal(upper, "")
    return draft.with_values({"region": pc.if_else(alone, lower, upper), "subregion": pc.if_else(alone, "", lower)})


def in_form(draft: Draft, table: Forms, form: Ints) -> Draft:
    """The draft with row i written in form[i] of the table."""
    return replace(draft, order=table.order[form], block=table.block[form])


def placed_in(draft: Draft, table: Forms, rows: Mask, rng: np.random.Generator) -> Draft:
    """The draft with the rows under the mask written in forms drawn from a table."""
    order, block = draft.order.copy(), draft.block.copy()
    form = table.draw(int(rows.sum()), rng)
    order[rows], block[rows] = table.order[form], table.block[form]
    return replace(draft, order=order, block=block)


def sequence(draft: Draft, rows: Mask | None = None) -> Ints:
    """(N, S): what a row's form amounts to: present tags in order with their blocks renumbered, padded with -1.

    Two rows with equal values and separators read the same exactly when their sequences are equal. With a mask of rows,
    N counts those alone.
    """
    chosen = slice(None) if rows is None else rows
    order, block = draft.order[chosen], draft.block[chosen]
    present = np.take_along_axis(draft.present()[chosen], order, axis=1)
    row, position = np.nonzero(present)
    here, tag = block[row, position], order[row, position]
    opens = np.ones(len(row), np.int64)
    opens[1:] = (row[1:] != row[:-1]) | (here[1:] != here[:-1])
    found = np.full(order.shape, -1, np.int64)
    found[row, (np.cumsum(present, axis=1) - 1)[row, position]] = 2 * tag + opens
    return found


def joints(draft: Draft, rows: Mask) -> tuple[Ints, Ints, Ints]:
    """(n,) each, for the rows under the mask: separators between blocks, between those of the city line, and within."""
    codes = sequence(draft, rows)
    later = codes[:, 1:]
    area = np.isin(codes >> 1, AREAS)
    opened = (later >= 0) & (later & 1 == 1)
    of_areas = opened & area[:, 1:] & area[:, :-1]
    continued = (later >= 0) & (later & 1 == 0)
    return (opened & ~of_areas).sum(axis=1), of_areas.sum(axis=1), continued.sum(axis=1)
