"""The records of a Who's On First input, one after the other, however many files it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.reading import ByteStream, RawFile, opened

_RECORDS = (".geojson", ".json", ".db", ".sqlite", ".sqlite3")
_ARCHIVES = (".tar", ".tgz", ".zip")


def members(paths: Iterable[Path]) -> Iterator[tuple[str, ByteStream]]:
    """(label, stream) of every record file and database, packed or not; a tree is walked without a list of its files.

    Raises CorpusError for a path that is not there, for a folder or archive without such a file, and as `opened` does.
    """
    given = False
    for path in paths:
        given = True
        if not path.exists():
            raise CorpusError(f"{path}: there is no such file or folder. Check the input of the source.")
        empty = True
        for file in _files(path):
            for label, stream in _streams(file):
                yield label, stream
                empty = False
        if empty:
            raise CorpusError(f"{path}: holds no {' or '.join(_RECORDS)} file. Check the input of the source.")
    if not given:
        raise CorpusError("input: nothing is given, and this adapter reads files. Give the source an input.")


def _files(path: Path) -> Iterator[RawFile]:
    if path.is_file():
        yield RawFile(path, path.name)
        return
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            if _bare(name).endswith((*_RECORDS, *_ARCHIVES)):
                file = Path(folder, name)
                yield RawFile(file, file.relative_to(path).as_posix())


def _streams(file: RawFile) -> Iterator[tuple[str, ByteStream]]:
    """A file that was named is taken whatever it is called; an archive holds papers beside its records."""
    with opened(file) as found:
        for label, stream in found:
            if label == file.label or _bare(label).endswith(_RECORDS):
                yield label, stream


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz").removesuffix(".zst")
