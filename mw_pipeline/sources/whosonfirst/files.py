"""The records of a Who's On First input, one after the other, however many files it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RawFile
from mw_pipeline.sources.reading import files_below, open_members, written_name
from mw_pipeline.sources.streams import ByteStream

MAGIC = b"SQLite format 3\0"

_RECORDS = (".geojson", ".json", ".db", ".sqlite", ".sqlite3")
_ARCHIVES = (".tar", ".tgz", ".zip")


def contents(paths: Iterable[Path], *, limit: int, scratch: Path) -> Iterator[tuple[str, bytes | Path]]:
    """(label, contents) of every record file and database, packed or not; a tree is walked without a list of its files.

    Of a record the first `limit` bytes are read; a database is unpacked into the scratch folder, over the one before.
    Raises CorpusError as `open_members` does, for a path that is not there, and for a folder or archive without such a
    file.
    """
    given = False
    for path in paths:
        given = True
        if not path.exists():
            raise CorpusError(f"{path}: there is no such file or folder. Check the input of the source.")
        empty = True
        for file in _files(path):
            for found in _of_file(file, limit, scratch):
                yield found
                empty = False
        if empty:
            raise CorpusError(f"{path}: holds no {' or '.join(_RECORDS)} file. Check the input of the source.")
    if not given:
        raise CorpusError("input: nothing is given, and this adapter reads files. Give the source an input.")


def _files(path: Path) -> Iterator[RawFile]:
    if path.is_file():
        yield RawFile(path, written_name(Path(path.name)))
        return
    for file in files_below(path):
        if _bare(file.name).endswith((*_RECORDS, *_ARCHIVES)):
            yield RawFile(file, written_name(file.relative_to(path)))


def _of_file(file: RawFile, limit: int, scratch: Path) -> Iterator[tuple[str, bytes | Path]]:
    """A file that was named is taken whatever it is called; an archive holds papers beside its records."""
    with open_members(file) as found:
        for label, stream in found:
            if label == file.label or _bare(label).endswith(_RECORDS):
                start = stream.read(len(MAGIC))
                is_database = start == MAGIC
                yield label, _unpacked(start, stream, scratch) if is_database else start + stream.read(limit)


def _unpacked(start: bytes, stream: ByteStream, scratch: Path) -> Path:
    """A copy of the database: SQLite opens files only."""
    path = scratch / "distribution.db"
    with path.open("wb") as copy:
        copy.write(start)
        while block := stream.read(1 << 20):
            try:
                copy.write(block)
            except OSError as error:
                raise CorpusError(
                    f"{scratch}: {error.strerror}: the database is unpacked there. Set TMPDIR to a folder with room."
                ) from error
    return path


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz").removesuffix(".zst")
