"""Which hashes of a source stood before, whatever their number: spilled by range of hashes, compared range by range.

Every piece of a build leaves one file of hashes. When all are there, `mark_repeats` reads each once, sorts what it
holds into ranges and compares the hashes of a range: memory is bounded by the range and not by the corpus, work by the
rows and not by their product with the files. Two different texts are taken for one with a probability of about
n² / 2^65: one in 3,700 builds of a hundred million rows loses a row, counted as a duplicate.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mw_pipeline.records.text import Hashes, Mask

PARTITION_HASHES = 500_000
SPILLED_AT_ONCE = 500_000
_MAX_BITS = 9  # 512 ranges: more would be opened more often than they are filled

_HASH, _ROW = np.dtype("<u8"), np.dtype("<u4")
_ENTRY = np.dtype([("hash", _HASH), ("piece", "<u4"), ("row", _ROW)])

Entries = npt.NDArray[np.void]
Numbers = npt.NDArray[np.int64]


def write_hashes(path: Path, hashes: Hashes) -> None:
    """Writes the hash of every row of a piece, in the order of the rows."""
    hashes.astype(_HASH).tofile(path)


def rows_hashed(path: Path) -> int:
    """How many rows a hash file has."""
    return path.stat().st_size // _HASH.itemsize


def mark_repeats(files: Sequence[Path], folder: Path) -> None:
    """Writes to `folder` which rows of each hash file repeat a row of an earlier file, or an earlier row of their own.

    The folder holds one file per hash file that has such rows, and is there when all are.
    """
    draft = folder.with_name(f".{folder.name}")
    for leftover in (draft, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir()
    bits = _bits(sum(map(rows_hashed, files)))
    by_hash, by_piece = _Spill(draft / "by_hash", 1 << bits), _Spill(draft / "by_piece", 1 << bits)
    for piece, path in enumerate(files):
        entries = _entries(path, piece)
        by_hash.add(entries, (entries["hash"] >> np.uint64(64 - bits)).astype(np.int64))
    for entries in by_hash:
        repeated = _repeated(entries)
        by_piece.add(repeated, (repeated["piece"].astype(np.int64) << bits) // len(files))
    for entries in by_piece:
        for piece, rows in _by_piece(entries):
            rows.tofile(draft / files[piece].stem)
    draft.rename(folder)


def first_seen(folder: Path, name: str, rows: int) -> Mask:
    """(rows,): where a row of the piece of that name was met for the first time, read from what was marked."""
    mask = np.ones(rows, np.bool_)
    path = folder / name
    if path.exists():
        mask[np.fromfile(path, _ROW)] = False
    return mask


def _bits(rows: int) -> int:
    """Leading bits of a hash that tell its range."""
    return min(_MAX_BITS, max(1, (rows // PARTITION_HASHES).bit_length()))


def _entries(path: Path, piece: int) -> Entries:
    hashes = np.fromfile(path, _HASH)
    entries = np.empty(len(hashes), _ENTRY)
    entries["hash"], entries["piece"], entries["row"] = hashes, piece, np.arange(len(hashes))
    return entries


def _repeated(entries: Entries) -> Entries:
    """Those whose hash an earlier one has."""
    order = np.argsort(entries["hash"], kind="stable")
    ordered = entries["hash"][order]
    repeated: Entries = entries[order[1:][ordered[1:] == ordered[:-1]]]
    return repeated


def _by_piece(entries: Entries) -> Iterator[tuple[int, npt.NDArray[np.uint32]]]:
    ordered = entries[np.argsort(entries["piece"], kind="stable")]
    pieces, starts = np.unique(ordered["piece"], return_index=True)
    yield from zip(pieces.tolist(), np.split(ordered["row"], starts[1:]), strict=False)


class _Spill:
    """Entries on disk, in files by their number; within a file those that were added first come first."""

    def __init__(self, folder: Path, files: int) -> None:
        self._folder, self._files = folder, files
        self._waiting: list[tuple[Entries, Numbers]] = []
        folder.mkdir()

    def add(self, entries: Entries, numbers: Numbers) -> None:
        """Takes entries, each with the number of its file."""
        self._waiting.append((entries, numbers))
        if sum(len(waiting) for waiting, _ in self._waiting) >= SPILLED_AT_ONCE:
            self._spill()

    def __iter__(self) -> Iterator[Entries]:
        """The entries of each file that has any, file by file. Nothing is left of them."""
        self._spill()
        for path in sorted(self._folder.iterdir()):
            yield np.fromfile(path, _ENTRY)
            path.unlink()
        self._folder.rmdir()

    def _spill(self) -> None:
        if not self._waiting:
            return
        entries, numbers = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting = []
        ends = np.cumsum(np.bincount(numbers, minlength=self._files))
        parts = np.split(entries[np.argsort(numbers, kind="stable")], ends[:-1])
        for number, part in enumerate(parts):
            if len(part):
                with (self._folder / f"{number:03d}").open("ab") as stream:
                    part.tofile(stream)
