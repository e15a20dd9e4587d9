"""Builds one source in many small pieces, in a process of its own: what the tests start, and kill."""

from __future__ import annotations

import sys
from pathlib import Path

from corpus_sources import HandMade, address, spec_of

from mw_pipeline.corpus import pieces
from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.workers import Workers

PIECES = 12
PIECE_RECORDS = 500


def build(folder: Path, workers: str) -> None:
    """The source in `folder/out`, its work in progress in `folder/work`, its progress on stdout."""
    pieces.MAX_PIECE_RECORDS = PIECE_RECORDS
    records = [address(number % 5_000) for number in range(PIECES * PIECE_RECORDS)]  # the last two pieces repeat
    adapter = HandMade([records[:1_300], records[1_300:]], unreadable=3)
    with Workers.parsed(workers).started() as run:
        build_from(
            spec_of(),
            "made",
            adapter,
            (),
            folder / "out",
            lambda line: sys.stdout.write(f"{line}\n"),
            work=folder / "work",
            request="small",
            run=run,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
