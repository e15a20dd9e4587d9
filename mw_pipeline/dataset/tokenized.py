"""The file format of tokenized rows: one uncompressed Arrow IPC file per split, read through a memory map.

Shape letters: R rows asked for, N pieces of all of them together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.places import Places
from mw_pipeline.records.text import utf8_bytes

SPLITS = ("train", "validation", "test")
BATCH_ROWS = 65_536

TOKENIZED_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("words", pa.uint8(), nullable=False),
        pa.field("input_ids", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
        pa.field("labels", pa.list_(pa.field("item", pa.uint8(), nullable=False)), nullable=False),
        pa.field("kinds", pa.list_(pa.field("item", pa.uint8(), nullable=False)), nullable=False),
    ]
)

TOKENIZED_MEANINGS = {
    "row_id": "of the row in the corpus",
    "source": "name in the corpus spec",
    "place": "hash of the town that the row's record lies in; 0 where it names none",
    "words": "words that its pieces make for the network: rows with as many are batched together",
    "input_ids": "id of each piece in the recipe's tokenizer",
    "labels": "index of each piece's label in the recipe's label set",
    "kinds": "what each piece is to its word: 0 goes on with it, 1 begins it, 2 no span begins with it",
}
"""What the columns of TOKENIZED_SCHEMA hold."""


@dataclass(frozen=True)
class TokenRows:
    """Rows gathered from a split, flat: row r is `offsets[r]:offsets[r + 1]`.

    ids      (N,)    int32   piece ids
    labels   (N,)    uint8   label ids
    kinds    (N,)    uint8   what each piece is to its word, by mw_pipeline.words
    words    (R,)    uint8   words of each row
    offsets  (R+1,)  int64   row boundaries
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    words: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


class TokenizedDataset:
    """One split of a tokenized dataset, memory-mapped: opening costs no memory per row.

    Rows are numbered 0 … len − 1 in file order, those of one source side by side (`source_ranges`).
    """

    def __init__(self, path: Path, split: str) -> None:
        """`path` is the folder that holds `SPLIT.arrow`. Raises ArtifactError when that is missing or damaged."""
        self.path = Path(path) / f"{split}.arrow"
        self.split = split
        self._buffer, self._reader = _opened(self.path)
        self._batches = [self._reader.get_batch(i) for i in range(self._reader.num_record_batches)]
        self._first_rows = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self._bounds = self._addresses("input_ids", 0, 4)
        self._ids = self._addresses("input_ids", 1, 4)
        self._labels = self._addresses("labels", 1, 1)
        self._kinds = self._addresses("kinds", 1, 1)
        self._words = self._addresses("words", 1, 1)
        file_bytes = np.frombuffer(self._buffer, dtype=np.uint8)
        self._as_bytes = file_bytes
        self._as_int32 = file_bytes[: len(file_bytes) // 4 * 4].view(np.int32)

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    @cached_property
    def source_ranges(self) -> dict[str, tuple[int, int]]:
        """Source → [first row, one past the last row), in file order."""
        ranges: dict[str, tuple[int, int]] = {}
        for batch, begin in zip(self._batches, self._first_rows[:-1].tolist(), strict=True):
            source = batch.column("source")[0].as_py()
            ranges[source] = (ranges.get(source, (begin, begin))[0], begin + batch.num_rows)
        return ranges

    @property
    def rows_per_source(self) -> dict[str, int]:
        """Source → rows, in file order: what a sampler draws from."""
        return {source: stop - start for source, (start, stop) in self.source_ranges.items()}

    def places_of(self, source: str) -> Places:
        """The places of a source's rows, which are numbered from its first: eight bytes a row while they are used."""
        named = [
            batch.column("place").to_numpy() for batch in self._batches if batch.column("source")[0].as_py() == source
        ]
        return Places.of(np.concatenate(named))

    def lengths_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """(R,) pieces of each of these rows."""
        _, first, end = self._places(indices)
        return end - first

    def words_of(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(R,) words of each of these rows."""
        batch = np.searchsorted(self._first_rows, indices, side="right") - 1
        words: NDArray[np.uint8] = self._as_bytes[self._words[batch] + indices - self._first_rows[batch]]
        return words

    def by_size(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """(R,) the order in which rows side by side have about as many words, and then pieces.

        Pieces rise where words are odd and fall where they are even: a batch that holds the end of one number of words
        and the start of the next is no wider than either."""
        words, lengths = self.words_of(indices).astype(np.int64), self.lengths_of(indices)
        return np.lexsort((np.where(words % 2, lengths, -lengths), words))

    def rows(self, indices: NDArray[np.int64]) -> TokenRows:
        """The rows with these numbers (R,), in this order, repeats allowed."""
        batch, first, end = self._places(indices)
        lengths = end - first
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        ids = self._as_int32[np.repeat(self._ids[batch] + first, lengths) + within]
        labels, kinds = (
            self._as_bytes[np.repeat(column[batch] + first, lengths) + within] for column in (self._labels, self._kinds)
        )
        return TokenRows(ids=ids, labels=labels, kinds=kinds, words=self.words_of(indices), offsets=offsets)

    def row_ids(self, indices: NDArray[np.int64]) -> list[str]:
        """The row ids of the rows with these numbers."""
        batch = np.searchsorted(self._first_rows, indices, side="right") - 1
        return [
            self._batches[b].column("row_id")[int(i - self._first_rows[b])].as_py()
            for b, i in zip(batch, indices, strict=True)
        ]

    def record_batches(self) -> Iterator[pa.RecordBatch]:
        """The file's record batches, in order, without copying."""
        yield from self._batches

    def digest(self) -> str:
        """The digest of the stored rows; equal to the split's digest in dataset.json unless someone touched them."""
        digest = RowDigest()
        for batch in self._batches:
            digest.update(batch)
        return digest.hexdigest()

    def _places(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """(R,) record batch, first piece and one past the last piece in that batch's values, of each row."""
        batch = np.searchsorted(self._first_rows, indices, side="right") - 1
        slot = self._bounds[batch] + indices - self._first_rows[batch]
        return batch, self._as_int32[slot].astype(np.int64), self._as_int32[slot + 1].astype(np.int64)

    def _addresses(self, column: str, buffer: int, width: int) -> NDArray[np.int64]:
        """Where a column's offsets (buffer 0) or values (1) begin in the file, per record batch, in units of width."""
        found = []
        for batch in self._batches:
            array = batch.column(column)
            values = array.values if pa.types.is_list(array.type) else array
            part = array.buffers()[1] if buffer == 0 else values.buffers()[1]
            found.append((part.address - self._buffer.address) // width)
        return np.asarray(found, dtype=np.int64)


class SplitWriter:
    """Writes one split in record batches of at most 65,536 rows, each of one source, and digests what it writes."""

    def __init__(self, path: Path, label_count: int) -> None:
        self.path = path
        self.rows = 0
        self.ranges: dict[str, tuple[int, int]] = {}
        self.label_counts: dict[str, NDArray[np.int64]] = {}
        self.longest = 0
        self._digest = RowDigest()
        self._counts = np.zeros(label_count, dtype=np.int64)
        self._pending: list[pa.Table] = []
        self._sink = pa.ipc.new_file(path, TOKENIZED_SCHEMA)

    def add(self, table: pa.Table) -> None:
        """Takes rows of the current source."""
        self._pending.append(table)
        if sum(part.num_rows for part in self._pending) >= BATCH_ROWS:
            self._flush(keep=BATCH_ROWS)

    def end_source(self, source: str) -> None:
        """Closes the row range of a source; the rows added since the last call are its rows."""
        self._flush(keep=1)
        begin = max((stop for _, stop in self.ranges.values()), default=0)
        self.ranges[source] = (begin, self.rows)
        self.label_counts[source] = self._counts.copy()
        self._counts[:] = 0

    def close(self) -> None:
        """Finishes the file."""
        self._sink.close()

    def as_json(self) -> JSON:
        """Rows, pieces, digest and the row range of every source."""
        return {
            "rows": self.rows,
            "pieces": int(sum(counts.sum() for counts in self.label_counts.values())),
            "longest": self.longest,
            "digest": self._digest.hexdigest(),
            "sources": {source: list(bounds) for source, bounds in self.ranges.items()},
        }

    def _flush(self, *, keep: int) -> None:
        """Writes whole batches while at least `keep` rows wait."""
        if not self._pending:
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        while table.num_rows >= keep:
            (batch,) = table.slice(0, BATCH_ROWS).combine_chunks().to_batches()
            self._write(batch)
            table = table.slice(BATCH_ROWS)
        self._pending = [table] if table.num_rows else []

    def _write(self, batch: pa.RecordBatch) -> None:
        self._sink.write_batch(batch)
        self._digest.update(batch)
        labels = batch.column("labels").flatten().to_numpy()
        self._counts += np.bincount(labels, minlength=len(self._counts))
        self.longest = max(self.longest, pc.max(pc.list_value_length(batch.column("input_ids"))).as_py())
        self.rows += batch.num_rows


class RowDigest:
    """SHA-256 over ids, places, words, pieces, labels and kinds of rows in order; batching does not matter (M23)."""

    def __init__(self) -> None:
        names = ("row_id", "place", "words", "lengths", "input_ids", "labels", "kinds")
        self._parts = {name: hashlib.sha256() for name in names}

    def update(self, batch: pa.RecordBatch) -> None:
        """Takes the next rows, as TOKENIZED_SCHEMA."""
        lines = pc.binary_join_element_wise(batch.column("row_id"), "", "\n")
        self._parts["row_id"].update(utf8_bytes(lines)[1].tobytes())
        self._parts["place"].update(batch.column("place").to_numpy().astype("<u8").tobytes())
        self._parts["words"].update(batch.column("words").to_numpy().tobytes())
        lengths = pc.list_value_length(batch.column("input_ids")).to_numpy()
        self._parts["lengths"].update(lengths.astype("<i4").tobytes())
        self._parts["input_ids"].update(batch.column("input_ids").flatten().to_numpy().astype("<i4").tobytes())
        for name in ("labels", "kinds"):
            self._parts[name].update(batch.column(name).flatten().to_numpy().tobytes())

    def hexdigest(self) -> str:
        """64 hex digits."""
        joined = "".join(part.hexdigest() for part in self._parts.values())
        return hashlib.sha256(joined.encode()).hexdigest()


def _opened(path: Path) -> tuple[pa.Buffer, pa.ipc.RecordBatchFileReader]:
    try:
        buffer = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(pa.BufferReader(buffer))
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(
            f"{path}: no readable split of a tokenized dataset ({error}). Point at the folder that build_dataset wrote."
        ) from None
    if not reader.schema.equals(TOKENIZED_SCHEMA):
        raise ArtifactError(
            f"{path}: its columns are {reader.schema.names!r}, expected row_id, source, place, words, input_ids, "
            "labels and kinds with their types. Rebuild the dataset."
        )
    return buffer, reader
