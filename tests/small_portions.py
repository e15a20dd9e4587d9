"""Builds one source of several raw files in many small portions, in a process of its own: what the tests start, and
kill."""

from __future__ import annotations

import sys
from pathlib import Path

from corpus_sources import spec_of

from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.workers import Workers
from mw_pipeline.recipe import SourceSpec
from mw_pipeline.sources.openaddresses import Openaddresses

SPEC = spec_of(sources={"made": SourceSpec(adapter="openaddresses", country="US", licence="CC0-1.0")})
RECORDS = 9_000
PORTION_BYTES = 200_000
BAD_LINES = (5_000, 7_500)
"""Lines of the largest file, from 1, that no reader takes."""

_HEADER = "NUMBER,STREET,CITY,POSTCODE,NOTE"
_NOTE = "not read " * 20  # so that few records fill many portions


def write_raw(folder: Path) -> list[Path]:
    """A large file without a line end at its end, one of lines that end as on Windows, and a dozen small ones."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_HEADER, *(_line(n) for n in range(RECORDS))]
    lines[BAD_LINES[0] - 1] = "1,Elm Street"
    lines[BAD_LINES[1] - 1] = '2,an "open" quote,",x'
    files = {"a.csv": "\n".join(lines), "b.csv": "\r\n".join([_HEADER, *(_line(n) for n in range(8_800, RECORDS))])}
    files |= {f"c{n:02d}.csv": f"{_HEADER}\n{_line(RECORDS + n)}\n" for n in range(12)}
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return sorted(folder.iterdir())


def _line(n: int) -> str:
    town = f'"Ville-sur-Été, {n % 40}"' if n % 3 else f"Town {n % 40}"
    return f"{n % 999 + 1},{n // 9} Oak Street,{town},{80_000 + n % 900},{_NOTE}"


def build(folder: Path, workers: str) -> None:
    """The source in `folder/out`, its work in progress in `folder/work`, its progress on stdout."""
    with Workers.parsed(workers).started() as run:
        build_from(
            SPEC,
            "made",
            Openaddresses(),
            write_raw(folder / "raw"),
            folder / "out",
            lambda line: sys.stdout.write(f"{line}\n"),
            work=folder / "work",
            request="small",
            run=run,
            portion_bytes=PORTION_BYTES,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
