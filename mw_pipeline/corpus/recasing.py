"""Rows as the JavaScript client reads them: typed in capitals or small letters, and written anew by its rule.

The rule (`mw_pipeline.client.recasing`) is about the whole text, joints and separators included, so a row is marked
here and written anew when its parts lie end to end (`lines`). ASCII letters keep their place: no span moves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from mw_pipeline.client.recasing import LONGEST_IN_CAPITALS
from mw_pipeline.corpus.compose import Draft, Ints
from mw_pipeline.corpus.conventions import Weighted, crossing_joints, separators
from mw_pipeline.records.text import Bytes, Mask, any_byte, ascii_letter, differs, utf8_bytes

_CASE_BIT, _PAST_ASCII = np.uint8(0x20), 0x80


def recase(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows as the client writes them after someone typed them in one case. It leaves a text alone that is not ASCII."""
    target = asked & _in_ascii_separators(draft)
    for texts in draft.values.values():
        offsets, data = utf8_bytes(texts)
        target &= ~any_byte(data >= _PAST_ASCII, offsets)
    changed = np.zeros(draft.rows, np.bool_)
    each = np.ones(draft.rows, np.int64)
    for texts in draft.values.values():
        changed |= differs(texts, recased_rows(texts, each, target))
    return replace(draft, recased=draft.recased | changed), changed


def _in_ascii_separators(draft: Draft) -> Mask:
    between, _ = separators()
    plain = _ascii(between)
    areas = np.where(draft.areas < 0, draft.between, draft.areas)
    crossing = _ascii(crossing_joints(draft.country))[draft.crossing] | ~draft.writes("intersection_b")
    return np.asarray(plain[draft.between] & plain[areas] & crossing)


def _ascii(choices: Weighted) -> Mask:
    """(choices,): those of ASCII alone."""
    return np.array([text.isascii() for text in choices.texts.to_pylist()], np.bool_)


def recased_rows(parts: pa.StringArray, counts: Ints, rows: Mask) -> pa.StringArray:
    """The parts, of which each row has counts[row] that lie end to end, with the rows under the mask written anew.

    A run of letters may lie in several parts of a row. All text under the mask is of ASCII."""
    offsets, data = utf8_bytes(parts)
    ends = offsets[np.cumsum(counts)]
    begins = np.concatenate([[0], ends[:-1]])[rows]
    sizes = ends[rows] - begins
    opens = np.cumsum(sizes) - sizes
    place = np.arange(int(sizes.sum())) + np.repeat(begins - opens, sizes)
    written = data.copy()
    written[place] = _recased(data[place], opens[sizes > 0])
    whole = pa.py_buffer(offsets.astype(np.int32))
    return pa.StringArray.from_buffers(len(parts), whole, pa.py_buffer(written))


def _recased(data: Bytes, opens: Ints) -> Bytes:
    """ASCII text with short runs of letters in capitals, longer ones with a first capital; texts begin at `opens`."""
    letter = ascii_letter(data)
    first = letter.copy()
    first[1:] &= ~letter[:-1]
    first[opens] = letter[opens]
    run = np.cumsum(first) - 1
    sizes = np.bincount(run[letter], minlength=1)
    capital = first | (letter & (sizes[run] <= LONGEST_IN_CAPITALS))
    return np.asarray(np.where(letter, np.where(capital, data & ~_CASE_BIT, data | _CASE_BIT), data))
