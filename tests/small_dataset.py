"""Tokenizes many small shards, in a process of its own: what the tests start, and kill."""

from __future__ import annotations

import sys
from pathlib import Path

from aligned_rows import address, shard, small_tokenizer

from mw_pipeline.corpus.workers import Workers
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.labels import STAGE2
from mw_pipeline.tokenizer import Tokenizer

PIECES = {"tiger": 3, "ban": 9}
PIECE_ROWS = 300
SPLITS = {0: "validation", 1: "test"}


def prepare(folder: Path) -> None:
    """Shards of two sources and a tokenizer in `folder/raw`."""
    raw = folder / "raw"
    raw.mkdir()
    small_tokenizer(raw)
    for source, pieces in PIECES.items():
        for piece in range(pieces):
            numbers = range(piece * PIECE_ROWS, (piece + 1) * PIECE_ROWS)
            rows = [address(n, source=source, split=SPLITS.get(n % 10, "train")) for n in numbers]
            shard(raw / f"{source}-{piece}.parquet", rows)


def build(folder: Path, workers: str) -> None:
    """The dataset in `folder/out`, its work in progress in `folder/work`, its progress on stdout."""
    raw, out = folder / "raw", folder / "out"
    out.mkdir(exist_ok=True)
    files = {
        source: [raw / f"{source}-{piece}.parquet" for piece in range(pieces)] for source, pieces in PIECES.items()
    }
    with Workers.parsed(workers).started() as run:
        build_dataset(
            files,
            Tokenizer(raw / "tokenizer.model"),
            STAGE2,
            64,
            out,
            progress=lambda line: sys.stdout.write(f"{line}\n"),
            work=folder / "work",
            request="small",
            run=run,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
