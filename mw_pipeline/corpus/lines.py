"""From drafts to address lines: text and spans by construction, whole batches at a time.

Spans are sums of lengths in code points: nothing is searched for, and raw[start:end] is the component. Letters as in
`compose`: N rows, S positions of a form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mw_pipeline.corpus.compose import AREAS, Draft, Ints
from mw_pipeline.corpus.conventions import LEAD, TAG_INDEX, crossing_joints, separators
from mw_pipeline.corpus.recasing import recased_rows
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.records.text import Mask, code_point_lengths, trimmed


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


def write_lines(draft: Draft) -> Lines:
    """The text of every row and the spans in it; what leads to a crossing has none."""
    rows = draft.rows
    used = [tag for tag in TAG_INDEX if tag in draft.values]
    slots = np.zeros(len(TAG_INDEX), np.int64)
    slots[[TAG_INDEX[tag] for tag in used]] = np.arange(len(used))
    pool = pa.concat_arrays([*(draft.values[tag] for tag in used), pa.array([""])])
    present = np.take_along_axis(draft.present(), draft.order, axis=1)
    source = np.where(present, slots[draft.order] * rows + np.arange(rows)[:, None], len(pool) - 1)
    separator_texts, separator_codes = _separators(draft, present)

    in_order = np.stack([len(pool) + separator_codes, source], axis=2)[present].ravel()
    parts = pa.concat_arrays([pool, separator_texts]).take(pa.array(in_order))
    counts = 2 * present.sum(axis=1)
    if draft.recased.any():
        parts = recased_rows(parts, counts, draft.recased)
    raw = _concatenated(parts, counts)

    lengths = code_point_lengths(pool)[source]
    gaps = code_point_lengths(separator_texts)[separator_codes]
    starts = np.cumsum(lengths + gaps, axis=1) - lengths
    labelled = present & (draft.order != TAG_INDEX[LEAD])
    offsets = pa.array(np.concatenate([[0], np.cumsum(labelled.sum(axis=1))]), pa.int32())
    tag_texts = pa.array(STAGE3_TAGS).take(pa.array(draft.order[labelled]))
    texts = parts.take(pa.array(1 + 2 * np.flatnonzero(labelled[present])))
    return trimmed_lines(raw, offsets, tag_texts, texts, starts[labelled])


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


def _concatenated(parts: pa.StringArray, counts: Ints) -> pa.StringArray:
    """The parts of each row as one text: they lie end to end already, and only the offsets between rows are kept."""
    ends = np.concatenate([[0], np.cumsum(counts)])
    offsets = np.frombuffer(parts.buffers()[1], np.int32, len(parts) + 1)[ends] if len(parts) else ends.astype(np.int32)
    return pa.StringArray.from_buffers(len(counts), pa.py_buffer(offsets), parts.buffers()[2])


def _separators(draft: Draft, present: Mask) -> tuple[pa.StringArray, Ints]:
    """The separator texts, and (N, S) which one stands before each position: 0, none, before the first and absent."""
    between, within = separators()
    crossing = crossing_joints(draft.country)
    texts = pa.concat_arrays([pa.array([""]), between.texts, within.texts, crossing.texts])
    of_between = 1 + draft.between
    of_areas = np.where(draft.areas < 0, of_between, 1 + draft.areas)
    of_within = 1 + len(between.texts) + draft.within
    of_crossing = 1 + len(between.texts) + len(within.texts) + draft.crossing
    codes = np.zeros(draft.order.shape, np.int64)
    before = np.full(draft.rows, -1)
    tag_before = np.full(draft.rows, -1)
    is_area = np.isin(np.arange(-1, len(TAG_INDEX)), AREAS)
    for position in range(draft.order.shape[1]):
        here, block, tag = present[:, position], draft.block[:, position], draft.order[:, position]
        if not here.any():
            continue
        crosses = (tag_before == TAG_INDEX["intersection_a"]) & (tag == TAG_INDEX["intersection_b"])
        inside = np.where(crosses, of_crossing, of_within)
        outside = np.where(is_area[1 + tag_before] & is_area[1 + tag], of_areas, of_between)
        codes[:, position] = np.where(here & (before >= 0), np.where(before == block, inside, outside), 0)
        before, tag_before = np.where(here, block, before), np.where(here, tag, tag_before)
    return texts, codes
