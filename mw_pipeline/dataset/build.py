"""The tokenized dataset: aligned rows in, piece ids and labels out, as memory-mapped Arrow with nothing lost silently.

train.arrow  validation.arrow  test.arrow     TOKENIZED_SCHEMA, uncompressed, rows grouped by source
dataset.json                                  labels, hashes, row ranges, label counts, losses, survival
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mw_pipeline.corpus.exclusions import Excluded, nothing_excluded
from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.corpus.workers import Run, in_process, working_in
from mw_pipeline.dataset.cutting import AS_PARSED, Cutting
from mw_pipeline.dataset.pieces import Job, rows_of_piece, tokenize_piece
from mw_pipeline.dataset.summary import DATASET_JSON
from mw_pipeline.dataset.tokenized import SPLITS, SplitWriter
from mw_pipeline.dataset.tokenizing import Tally
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.labels import LabelSet
from mw_pipeline.tokenizer import Tokenizer


def build_dataset(
    row_files: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    label_set: LabelSet,
    max_length: int,
    out: Path,
    *,
    cutting: Cutting = AS_PARSED,
    excluded: Excluded = nothing_excluded,
    progress: Callable[[str], None] = lambda line: None,
    work: Path | None = None,
    request: str = "",
    run: Run = in_process,
) -> dict[str, JSON]:
    """Writes the three split files and dataset.json into `out`; returns what dataset.json holds.

    `row_files` maps every source, in the order it shall have, to its Parquet files of aligned rows, each of which is a
    piece of the work. `cutting` is that of training rows; rows that are `excluded` are dropped, and counted. `work`,
    `request` and `run` are those of `corpus.build.build_from`: what is done survives a kill, and the bytes are the same
    whoever does it. Memory does not grow with rows. Raises CorpusError when a file holds rows of another source or
    split, and when training or validation is left without rows.
    """
    job = Job(tokenizer.path, tokenizer.sha256, label_set, max_length, cutting, work or out / ".work", request)
    job.work.mkdir(parents=True, exist_ok=True)
    pieces = [(source, path) for source, paths in row_files.items() for path in paths]
    with working_in(job.work, passing=work is None):
        receipts = _receipts(job, pieces, excluded, progress, run)
        return _joined(job, row_files, receipts, tokenizer, out)


def _receipts(
    job: Job, pieces: Sequence[tuple[str, Path]], excluded: Excluded, progress: Callable[[str], None], run: Run
) -> Iterator[Receipt]:
    """The receipts of all pieces in their order, each as soon as it can be told; what is there already is not done
    again."""
    found = ((piece, job.receipt(piece)) for piece in range(len(pieces)))
    receipts = {piece: receipt for piece, receipt in found if receipt is not None}
    if receipts:
        progress(f"tokenizing: {len(receipts)} of {len(pieces)} pieces are there already")
    done, rows, told = set(receipts), 0, 0
    missing = (
        (job, piece, source, shard, excluded(source, shard))
        for piece, (source, shard) in enumerate(pieces)
        if piece not in done
    )
    for receipt in run(tokenize_piece, missing):
        receipts[receipt.piece] = receipt
        done.add(receipt.piece)
        rows += receipt.facts["rows"]
        progress(f"tokenized {rows:,} rows (piece {len(done)} of {len(pieces)})")
        while told in receipts:
            yield receipts.pop(told)
            told += 1
    yield from (receipts[piece] for piece in range(told, len(pieces)))


def _joined(
    job: Job, row_files: Mapping[str, Sequence[Path]], receipts: Iterator[Receipt], tokenizer: Tokenizer, out: Path
) -> dict[str, JSON]:
    """The pieces of each source, one behind the other, as the files of the dataset."""
    writers = {split: SplitWriter(out / f"{split}.arrow", len(job.label_set)) for split in SPLITS}
    tallies = {source: Tally() for source in row_files}
    for source, paths in row_files.items():
        for _ in paths:
            receipt = next(receipts)
            tallies[source].add(Tally.from_json(receipt.facts["tally"]))
            for split, rows in rows_of_piece(job, receipt.piece):
                writers[split].add(rows)
        for writer in writers.values():
            writer.end_source(source)
    for writer in writers.values():
        writer.close()
    _demand_rows(writers)
    summary = _summary(writers, tallies, tokenizer, job.label_set, job.max_length)
    write_json_atomically(out / DATASET_JSON, summary)
    return summary


def label_entropy(counts: Sequence[int]) -> float:
    """Entropy of a label distribution in nats per piece: the loss of the best constant predictor."""
    share = np.asarray(counts, dtype=np.float64) / max(1, sum(counts))
    share = share[share > 0]
    return float(-(share * np.log(share)).sum()) + 0.0


def _summary(
    writers: Mapping[str, SplitWriter],
    tallies: Mapping[str, Tally],
    tokenizer: Tokenizer,
    label_set: LabelSet,
    max_length: int,
) -> dict[str, JSON]:
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    by_source = {source: counts.tolist() for source, counts in writers["train"].label_counts.items()}
    counts = np.sum(list(writers["train"].label_counts.values()), axis=0).tolist()
    return {
        "labels": list(label_set.labels),
        "label_hash": label_set.hash,
        "tokenizer_sha256": tokenizer.sha256,
        "vocab_size": tokenizer.vocab_size,
        "max_length": max_length,
        "splits": {split: writer.as_json() for split, writer in writers.items()},
        "rows": sum(writer.rows for writer in writers.values()),
        "dropped": {source: dict(tally.dropped) for source, tally in tallies.items()},
        "survival": total.survival(),
        "label_counts": dict(zip(label_set.labels, counts, strict=True)),
        "label_counts_by_source": by_source,
        "label_entropy": label_entropy(counts),
    }


def _demand_rows(writers: Mapping[str, SplitWriter]) -> None:
    """An empty split passes every later check, so it must not get that far."""
    for split in ("train", "validation"):
        if not writers[split].rows:
            raise CorpusError(
                f"dataset: split {split!r} has no row after tokenizing, expected at least one. "
                "Look at the corpus' split counts, its shares and holdouts, and at what tokenizing dropped."
            )
