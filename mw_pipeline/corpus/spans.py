"""The round trip that every row must pass: its spans cut exactly its components out of its text, in code points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.records.text import Mask, code_point_lengths, differs, kept, trimmed, utf8_bytes

Ints = npt.NDArray[np.int64]


def unsound_rows(
    raw: pa.StringArray, components: pa.MapArray, tags: pa.ListArray, starts: pa.ListArray, ends: pa.ListArray
) -> Mask:
    """(N,): rows whose spans are unsorted, overlap, leave the text, repeat a tag or do not cut out their components.

    So are spans that begin or end with what is no letter or digit: the label conventions leave it outside.
    UTF-16 offsets fail here (M19). Whole columns at a time: every span is cut out of the text of the batch, and the
    pieces are compared with the components. No array may hold nulls.
    """
    counts = _counts(tags)
    unequal: Mask = (counts != _counts(starts)) | (counts != _counts(ends)) | (counts != _counts(components))
    if unequal.any():
        sound = np.flatnonzero(~unequal)
        whole = [column.take(pa.array(sound)) for column in (raw, components, tags, starts, ends)]
        unequal[sound] = unsound_rows(*whole)
        return unequal
    row = np.repeat(np.arange(len(raw)), counts)
    first, last = starts.flatten().to_numpy().astype(np.int64), ends.flatten().to_numpy().astype(np.int64)
    items = _items(components)
    bad_span = _out_of_place(row, first, last, code_point_lengths(raw)) | differs(tags.flatten(), _keys(components))
    bad_span |= (last - first) != code_point_lengths(items)
    bad_span |= differs(items, trimmed(items)[0])
    bad = np.zeros(len(raw), np.bool_)
    bad[row[bad_span]] = True
    bad[_repeats(row, tags.flatten())] = True
    fine = ~bad[row]
    if fine.any():
        bad[row[fine][differs(_cut_out(raw, row[fine], first[fine], last[fine]), kept(items, fine))]] = True
    return bad


def _out_of_place(row: Ints, first: Ints, last: Ints, lengths: Ints) -> Mask:
    """Spans that are empty, leave their text, or begin before the span in front of them has ended."""
    same_row = np.append(False, row[1:] == row[:-1])
    previous_end = np.where(same_row, np.append(0, last[:-1]), 0)
    return np.asarray((first < previous_end) | (last <= first) | (last > lengths[row]))


def _repeats(row: Ints, tags: pa.StringArray) -> Ints:
    """The rows in which some tag stands twice."""
    code = tags.dictionary_encode().indices.to_numpy().astype(np.int64)
    pairs, times = np.unique(row * (code.max(initial=0) + 1) + code, return_counts=True)
    return np.asarray(pairs[times > 1] // (code.max(initial=0) + 1))


def _cut_out(raw: pa.StringArray, row: Ints, first: Ints, last: Ints) -> pa.StringArray:
    """The text of every span; spans lie in their rows, in the order of the text, and none over another.

    What is cut and what lies between are laid over the bytes of the whole batch in turns, so that no text is copied.
    """
    _, data = utf8_bytes(raw)
    characters = np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))  # where each character begins
    lengths = code_point_lengths(raw)
    begin = (np.cumsum(lengths) - lengths)[row]
    turns = np.stack([characters[begin + first], characters[begin + last]], axis=1).astype(np.int32)
    cut_and_between = pa.StringArray.from_buffers(2 * len(row) - 1, pa.py_buffer(turns), pa.py_buffer(data))
    return cut_and_between.take(pa.array(np.arange(0, 2 * len(row), 2)))


def _counts(lists: pa.ListArray | pa.MapArray) -> Ints:
    counts: Ints = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    return counts


def _items(components: pa.MapArray) -> pa.StringArray:
    return _own_part(components, components.items)


def _keys(components: pa.MapArray) -> pa.StringArray:
    return _own_part(components, components.keys)


def _own_part(components: pa.MapArray, values: pa.StringArray) -> pa.StringArray:
    """The part of a map's values that its own offsets cover: a slice keeps the whole buffer."""
    first, last = components.offsets[0].as_py(), components.offsets[-1].as_py()
    return values.slice(first, last - first)
