"""Tokenizing piece by piece: one shard of aligned rows in, one file of tokenized rows and a receipt out.

A piece reads its shard and what it was told, nothing else: it can be done in any process, on any machine that sees the
work folder, once or again, and leaves the same bytes.

    00012.arrow .json      the rows of a shard, batch by batch and split by split, and what was lost of them
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.corpus.shards import Receipt, find_receipt, read_arrow, write_arrow, write_receipt
from mw_pipeline.dataset.cutting import AS_PARSED, Cutting
from mw_pipeline.dataset.tokenized import SPLITS, TOKENIZED_SCHEMA
from mw_pipeline.dataset.tokenizing import Tally, tokenize_rows
from mw_pipeline.errors import CorpusError
from mw_pipeline.labels import LabelSet
from mw_pipeline.tokenizer import Tokenizer

BATCH_ROWS = 16_384  # tokenized at once: twenty times their text is held meanwhile

_COLUMNS = ["row_id", "raw", "source", "place", "split", "span_tags", "span_starts", "span_ends"]
_PIECE_SCHEMA = TOKENIZED_SCHEMA.append(pa.field("split", pa.string(), nullable=False))


@dataclass(frozen=True)
class Job:
    """What every piece of a dataset has to know.

    cutting  that of training rows
    request  digest of its inputs, config and code
    """

    tokenizer_path: Path
    tokenizer_sha256: str
    label_set: LabelSet
    max_length: int
    cutting: Cutting
    work: Path
    request: str

    def path(self, piece: int, suffix: str) -> Path:
        """A file of a piece."""
        return self.work / f"{piece:05d}{suffix}"

    def receipt(self, piece: int) -> Receipt | None:
        """What was signed for a piece that is done and whole."""
        return find_receipt(self.path(piece, ".json"), request=self.request)


def tokenize_piece(job: Job, piece: int, source: str, shard: Path, excluded: pa.StringArray) -> Receipt:
    """The rows of a shard as pieces and labels, without those whose id is excluded; its facts are `rows`, those that
    were read, and `tally`. Raises CorpusError when the shard holds rows of another source or split."""
    tokenizer, tally, read = _tokenizer(job.tokenizer_path, job.tokenizer_sha256), Tally(), [0]

    def tokenized() -> Iterator[pa.Table]:
        for table in _batches_of(shard, source):
            read.append(table.num_rows)
            table = _without_excluded(table, excluded, tally)
            for split in SPLITS:
                of_split, cutting = _rows_of_split(table, split), job.cutting if split == "train" else AS_PARSED
                rows, lost = tokenize_rows(of_split, tokenizer, job.label_set, job.max_length, cutting)
                tally.add(lost)
                yield rows.append_column(_PIECE_SCHEMA.field("split"), pa.repeat(split, len(rows)))

    path = job.path(piece, ".arrow")
    write_arrow(path, tokenized(), _PIECE_SCHEMA)
    facts = {"rows": sum(read), "tally": tally.as_json()}
    return write_receipt(job.path(piece, ".json"), request=job.request, piece=piece, files=[path], facts=facts)


def rows_of_piece(job: Job, piece: int) -> Iterator[tuple[str, pa.Table]]:
    """(split, rows of TOKENIZED_SCHEMA) of a piece, in the order in which its shard has them."""
    for batch in read_arrow(job.path(piece, ".arrow")):
        if batch.num_rows:
            yield batch["split"][0].as_py(), pa.Table.from_batches([batch]).drop_columns(["split"])


@functools.lru_cache(maxsize=1)
def _tokenizer(path: Path, sha256: str) -> Tokenizer:
    """The tokenizer of a file with these bytes, loaded once in a process that does piece after piece."""
    tokenizer = Tokenizer(path)
    assert tokenizer.sha256 == sha256, "an artifact's file does not change"
    return tokenizer


def _batches_of(path: Path, source: str) -> Iterator[pa.Table]:
    """The rows of one Parquet file in tables of at most 16,384 rows, once they are known to be what they should be."""
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=_COLUMNS):
            table = pa.Table.from_batches([batch])
            _demand_values(table, "source", (source,), path)
            _demand_values(table, "split", SPLITS, path)
            yield table


def _demand_values(table: pa.Table, column: str, expected: Sequence[str], path: Path) -> None:
    unexpected = set(pc.unique(table.column(column)).to_pylist()) - set(expected)
    if unexpected:
        raise CorpusError(
            f"{path}: column {column} holds {sorted(map(str, unexpected))!r}, expected {' or '.join(expected)}. "
            "Rebuild the corpus shard."
        )


def _without_excluded(table: pa.Table, excluded: pa.StringArray, tally: Tally) -> pa.Table:
    kept = table.filter(pc.invert(pc.is_in(table.column("row_id"), value_set=excluded)))
    if kept.num_rows < table.num_rows:
        tally.dropped["excluded"] += table.num_rows - kept.num_rows
    return kept


def _rows_of_split(table: pa.Table, split: str) -> pa.Table:
    return table.filter(pc.equal(table.column("split"), split))
