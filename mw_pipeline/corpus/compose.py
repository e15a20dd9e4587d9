"""From component columns to address lines: text and spans by construction, whole batches at a time.

Letters: N rows, S positions of a form, T tags. A row's form says which tag stands at each position; an absent component
takes no text and no separator, so one form serves every pattern of present components. Spans are sums of lengths in
code points: nothing is searched for, and raw[start:end] is the component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.conventions import (
    LINE_TAGS,
    TAG_INDEX,
    Forms,
    crossings,
    forms,
    large_to_small,
    script_separators,
    separators,
)
from mw_pipeline.corpus.scripts import ARABIC, KOREAN, UNSPACED, UNSPACED_WHOLE, all_match, any_matches, in_other_script
from mw_pipeline.corpus.text import Mask, code_point_lengths, trimmed
from mw_pipeline.labels import STAGE3_TAGS

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Draft:
    """Addresses of one country before they are written out.

    values   tag -> (N,) text  the component as it will be written, "" where absent
    order    (N, S) int64      tag index at each position
    block    (N, S) int64      block number at each position
    between  (N,)   int64      index of the separator between blocks
    within   (N,)   int64      index of the separator inside a block
    crossing (N,)   int64      index of the separator between two crossing streets
    """

    country: str
    values: Mapping[str, pa.StringArray]
    order: Ints
    block: Ints
    between: Ints
    within: Ints
    crossing: Ints

    @property
    def rows(self) -> int:
        """N."""
        return len(self.between)

    def present(self) -> Mask:
        """(N, T): where a component has text."""
        mask = np.zeros((self.rows, len(STAGE3_TAGS)), np.bool_)
        for tag, texts in self.values.items():
            mask[:, TAG_INDEX[tag]] = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
        return mask

    def with_values(self, values: Mapping[str, pa.StringArray]) -> Draft:
        """The draft with some components written differently."""
        return replace(self, values={**self.values, **values})


@dataclass(frozen=True)
class Lines:
    """Written addresses: per row the tags, values, starts and ends of its spans, in code points, in text order."""

    raw: pa.StringArray
    tags: pa.ListArray
    texts: pa.ListArray
    starts: pa.ListArray
    ends: pa.ListArray

    def components(self) -> pa.MapArray:
        """tag -> written value per row, in the order of the spans."""
        return pa.MapArray.from_arrays(self.tags.offsets, self.tags.values, self.texts.values)


def native_draft(country: str, columns: Mapping[str, pa.StringArray], rng: np.random.Generator) -> Draft:
    """A draft in the country's own form with plain separators; columns may hold nulls, unplaced tags drop out."""
    table = forms(country)
    used = [tag for tag, texts in columns.items() if tag in LINE_TAGS and texts.null_count < len(texts)]
    values = {tag: pc.fill_null(columns[tag], "") for tag in used}
    rows = len(next(iter(columns.values())))
    zeros = np.zeros(rows, np.int64)
    draft = Draft(country, values, zeros[:, None], zeros[:, None], zeros, zeros, crossings(country).draw(rows, rng))
    return _in_script_manner(in_form(named_by_rank(draft), table, zeros), rng)


def drawn_separators(draft: Draft, rng: np.random.Generator) -> Ints:
    """(N,): one separator between blocks per row, by the habits of the script that the row is in."""
    texts = list(draft.values.values())
    other = in_other_script(texts)
    unspaced = any_matches(texts, UNSPACED, other)
    whole = all_match(texts, UNSPACED_WHOLE, unspaced)
    drawn = separators()[0].draw(draft.rows, rng)
    habits = {"mixed": unspaced & ~whole, "unspaced": whole, "arabic": any_matches(texts, ARABIC, other & ~unspaced)}
    for script, rows in habits.items():
        drawn[rows] = script_separators(script).draw(int(rows.sum()), rng)
    return drawn


def _in_script_manner(draft: Draft, rng: np.random.Generator) -> Draft:
    """The draft with rows of Chinese, Japanese, Korean and Arabic text in the order and separators of their scripts."""
    texts = list(draft.values.values())
    other = in_other_script(texts)
    if not other.any():
        return draft
    east = any_matches(texts, f"{UNSPACED}|{KOREAN}", other)
    share, order, block = large_to_small()
    turned = (east & (rng.random(draft.rows) < share))[:, None]
    own = any_matches(texts, f"{UNSPACED}|{ARABIC}", other)
    return replace(
        draft,
        order=np.where(turned, order, draft.order),
        block=np.where(turned, block, draft.block),
        between=np.where(own, drawn_separators(draft, rng), draft.between),
    )


def named_by_rank(draft: Draft) -> Draft:
    """The draft with the highest area that each row writes under the tag which the label conventions give it."""
    if forms(draft.country).lone_subregion == "subregion" or "subregion" not in draft.values:
        return draft
    lower = draft.values["subregion"]
    upper = draft.values.get("region", pa.array([""] * draft.rows, pa.string()))
    alone = pc.equal(upper, "")
    return draft.with_values({"region": pc.if_else(alone, lower, upper), "subregion": pc.if_else(alone, "", lower)})


def in_form(draft: Draft, table: Forms, form: Ints) -> Draft:
    """The draft with row i written in form[i] of the table."""
    return replace(draft, order=table.order[form], block=table.block[form])


def sequence(draft: Draft) -> Ints:
    """(N, S): what a row's form amounts to: present tags in order with their blocks renumbered, padded with -1.

    Two rows with equal values and separators read the same exactly when their sequences are equal.
    """
    present = np.take_along_axis(draft.present(), draft.order, axis=1)
    packed = np.argsort(~present, axis=1, kind="stable")
    block = np.take_along_axis(draft.block, packed, axis=1)
    opens = np.diff(block, axis=1, prepend=-1) != 0
    code = 2 * np.take_along_axis(draft.order, packed, axis=1) + opens
    return np.where(np.take_along_axis(present, packed, axis=1), code, -1)


def write_lines(draft: Draft) -> Lines:
    """The text of every row and the spans in it."""
    rows, positions = draft.order.shape
    columns = [draft.values.get(tag) for tag in STAGE3_TAGS]
    slots = np.array([-1 if texts is None else 0 for texts in columns])
    slots[slots == 0] = np.arange(int((slots == 0).sum()))
    pool = pa.concat_arrays([texts for texts in columns if texts is not None] or [pa.array([""] * rows)])
    slot = slots[draft.order]
    present = np.take_along_axis(draft.present(), draft.order, axis=1)
    source = np.where(present, slot * rows + np.arange(rows)[:, None], 0)
    separator_texts, separator_codes = _separators(draft, present)

    parts: list[pa.StringArray] = []
    for position in range(positions):
        if not present[:, position].any():
            continue
        shown = pa.array(source[:, position], mask=~present[:, position])
        parts += [separator_texts.take(pa.array(separator_codes[:, position])), pc.fill_null(pool.take(shown), "")]
    raw = pc.binary_join_element_wise(*parts, "") if parts else pa.array([""] * rows)

    lengths = np.where(present, code_point_lengths(pool)[source], 0)
    gaps = code_point_lengths(separator_texts)[separator_codes]
    ends = np.cumsum(lengths + gaps, axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(present.sum(axis=1))]), pa.int32())
    tag_texts = pa.array(STAGE3_TAGS).take(pa.array(draft.order[present]))
    return trimmed_lines(raw, offsets, tag_texts, pool.take(pa.array(source[present])), (ends - lengths)[present])


def trimmed_lines(
    raw: pa.StringArray, offsets: pa.Int32Array, tags: pa.StringArray, texts: pa.StringArray, starts: Ints
) -> Lines:
    """Lines whose spans begin and end with a letter or digit, as the label conventions ask: the rest stays in the text.

    offsets (N + 1,) cut tags, texts and starts, which run over all rows, into rows.
    """
    cores, left = trimmed(texts)
    first = starts + left
    last = first + code_point_lengths(cores)
    return Lines(
        raw=raw,
        tags=pa.ListArray.from_arrays(offsets, tags),
        texts=pa.ListArray.from_arrays(offsets, cores),
        starts=pa.ListArray.from_arrays(offsets, pa.array(first, pa.int32())),
        ends=pa.ListArray.from_arrays(offsets, pa.array(last, pa.int32())),
    )


def _separators(draft: Draft, present: Mask) -> tuple[pa.StringArray, Ints]:
    """The separator texts, and (N, S) which one stands before each position: 0, none, before the first and absent."""
    between, within = separators()
    crossing = crossings(draft.country)
    texts = pa.concat_arrays([pa.array([""]), between.texts, within.texts, crossing.texts])
    of_between = 1 + draft.between
    of_within = 1 + len(between.texts) + draft.within
    of_crossing = 1 + len(between.texts) + len(within.texts) + draft.crossing
    codes = np.zeros(draft.order.shape, np.int64)
    previous = np.full(draft.rows, -1)
    follows_street = np.zeros(draft.rows, np.bool_)
    for position in range(draft.order.shape[1]):
        here, block = present[:, position], draft.block[:, position]
        tag = draft.order[:, position]
        crosses = follows_street & (tag == TAG_INDEX["intersection_b"])
        inside = np.where(crosses, of_crossing, of_within)
        codes[:, position] = np.where(here & (previous >= 0), np.where(previous == block, inside, of_between), 0)
        previous = np.where(here, block, previous)
        follows_street = np.where(here, tag == TAG_INDEX["intersection_a"], follows_street)
    return texts, codes
