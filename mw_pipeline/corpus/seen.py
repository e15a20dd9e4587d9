"""Which hashes of a source stood before, whatever their number: spilled piece by piece, joined partition by partition.

Every piece of a build leaves one hash file. When all are there, `mark_repeats` sorts them together, one range of hashes
at a time, so that memory is bounded by the range and not by the corpus. Two different texts are taken for one with a
probability of about n² / 2^65: one in 3,700 builds of a hundred million rows loses a row, counted as a duplicate.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mw_pipeline.records.text import Hashes, Mask

PARTITION_HASHES = 500_000

_ENTRY = np.dtype([("hash", "<u8"), ("row", "<u4")])
_ROW = np.dtype("<u4")

Entries = npt.NDArray[np.void]


def write_hashes(path: Path, hashes: Hashes) -> None:
    """Writes the hash and row of every row of a piece, in the order of the hashes; equal ones stay in their order."""
    order = np.argsort(hashes, kind="stable")
    entries = np.empty(len(hashes), _ENTRY)
    entries["hash"], entries["row"] = hashes[order], order
    entries.tofile(path)


def rows_hashed(path: Path) -> int:
    """How many rows a hash file has."""
    return path.stat().st_size // _ENTRY.itemsize


def mark_repeats(files: Sequence[Path], folder: Path) -> None:
    """Writes to `folder` which rows of each hash file repeat a row of an earlier file, or an earlier row of their own.

    The folder holds one file per hash file that has such rows, and is there when all are.
    """
    draft = folder.with_name(f".{folder.name}")
    for leftover in (draft, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir()
    bounds = _bounds(files)
    for number in range(bounds.shape[1] - 1):
        ranges = [_entries(path, *bounds[index, number : number + 2]) for index, path in enumerate(files)]
        for index, rows in _repeated(ranges):
            with (draft / files[index].stem).open("ab") as stream:
                rows.tofile(stream)
    draft.rename(folder)


def first_seen(folder: Path, name: str, rows: int) -> Mask:
    """(rows,): where a row of the piece of that name was met for the first time, read from what was marked."""
    mask = np.ones(rows, np.bool_)
    path = folder / name
    if path.exists():
        mask[np.fromfile(path, _ROW)] = False
    return mask


def _bounds(files: Sequence[Path]) -> npt.NDArray[np.int64]:
    """(files, partitions + 1): where each range of hashes begins in each file. Ranges are alike in width."""
    sizes = [rows_hashed(path) for path in files]
    partitions = max(1, -(-sum(sizes) // PARTITION_HASHES))
    edges = np.array([(2**64 * number) // partitions for number in range(1, partitions)], np.uint64)
    bounds = np.zeros((len(files), partitions + 1), np.int64)
    bounds[:, -1] = sizes
    if partitions > 1:
        for index, path in enumerate(files):
            bounds[index, 1:-1] = np.searchsorted(np.fromfile(path, _ENTRY)["hash"], edges)
    return bounds


def _entries(path: Path, first: int, end: int) -> Entries:
    return np.fromfile(path, _ENTRY, count=end - first, offset=first * _ENTRY.itemsize)


def _repeated(ranges: Sequence[Entries]) -> list[tuple[int, npt.NDArray[np.uint32]]]:
    """(file, its rows) for every file in which a hash of this range stands that stood before."""
    owner = np.repeat(np.arange(len(ranges), dtype=np.uint32), [len(entries) for entries in ranges])
    joined = np.concatenate([*ranges, np.empty(0, _ENTRY)])
    order = np.argsort(joined["hash"], kind="stable")
    ordered = joined["hash"][order]
    repeats = np.sort(order[1:][ordered[1:] == ordered[:-1]])
    owners, starts = np.unique(owner[repeats], return_index=True)
    parts = np.split(joined["row"][repeats], starts[1:])
    return [(int(index), rows) for index, rows in zip(owners, parts, strict=False)]
