"""Raw files as blocks of numbered text lines: compressed or not, in flat memory, with bad lines quarantined.

Every reader of this folder starts here. A file is opened by its first bytes rather than by its name, so that a gzip
that lost its suffix still reads; what the name promises and the bytes deny is an error.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RawFile, Rejects
from mw_pipeline.sources.streams import ByteStream, Stretch, Unpacked, check_start

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
MAX_BLOCK_LINES = 32_768

_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06")
# zipfile answers a method of compression that it does not know with the last of these
_UNPACKING_ERRORS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, NotImplementedError)
_PACKED_SUFFIXES = {".gz": _GZIP, ".zst": _ZSTD, ".zip": b"PK"}
_ENCRYPTED = 0x1  # flag bit 0 of a zip member, APPNOTE 4.4.4
_NOT_DATA = (".doc", ".docx", ".htm", ".html", ".ini", ".md", ".meta", ".pdf", ".vrt", ".xls", ".xlsx")
_UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextBlock:
    """Bytes as the file has them, cut at a line end, and the number (from 1) of their first line in it."""

    first: int
    data: bytes
    encoding: str

    @property
    def end(self) -> int:
        """The number of the first line behind it."""
        return self.first + self.data.count(b"\n")


@dataclass(frozen=True)
class LineBlock:
    """Decoded lines without their line ends, and the number (from 1) of each in its file."""

    numbers: list[int]
    lines: list[str]


def raw_files(paths: Iterable[Path], *, suffixes: tuple[str, ...]) -> list[RawFile]:
    """The files to read, in a stable order: paths as given, and below each folder those with one of the suffixes.

    A suffix counts with or without a packing one (".csv" finds "a.csv", "a.csv.gz", "a.zip"). Raises CorpusError for a
    path that is not there and for a folder without such a file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise CorpusError(f"{path}: there is no such file or folder. Check the input of the source.")
        found += _files_below(path, suffixes) if path.is_dir() else [path]
    if not found:
        raise CorpusError("input: nothing is given, and this adapter reads files. Give the source an input.")
    root = Path(os.path.commonpath([p.resolve().parent for p in found]))
    return [RawFile(path, written_name(path.resolve().relative_to(root))) for path in found]


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, folder by folder and by name; nothing waits for a list of them all.

    Raises CorpusError for a folder that may not be read: what lies in it would be lost without a word."""

    def refuse(error: OSError) -> None:
        raise CorpusError(f"{error.filename}: the folder cannot be read: {error.strerror}. Check who may read it.")

    for where, below, names in os.walk(folder, onerror=refuse):
        below.sort()
        yield from (path for name in sorted(names) if (path := Path(where, name)).is_file())


def written_name(path: Path) -> str:
    """The path as text that any file can hold, with forward slashes; a byte that is no UTF-8 stands as "caf\\xe9"."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    below = sorted(path for path in files_below(folder) if _has_suffix(path, suffixes))
    if not below:
        raise CorpusError(f"{folder}: holds no {' or '.join(suffixes)} file. Check the input of the source.")
    return below


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    name = path.name.lower()
    bare = name.removesuffix(".gz").removesuffix(".zst")
    return bare.endswith(suffixes) or name.endswith(".zip")


@contextmanager
def open_members(file: RawFile) -> Iterator[Iterator[tuple[str, ByteStream]]]:
    """The text members of a file as (label, stream): one for a plain or packed file, one per data file of an archive.

    Raises CorpusError for an empty file, a truncated or damaged archive, bytes that deny the file's suffix, and when a
    member is read that is packed itself.
    """
    with errors_with_file(file), file.path.open("rb") as raw:
        start = raw.read(4)
        _check_promise(file, start)
        raw.seek(file.begin)
        if file.end is None:
            yield ((label, Unpacked(stream, label)) for label, stream in _members(file, raw, start))
        else:
            yield iter([(file.label, Stretch(raw, file.end - file.begin))])


def is_plain(file: RawFile) -> bool:
    """Whether a file is text as it lies there, neither packed nor an archive."""
    with errors_with_file(file), file.path.open("rb") as raw:
        return not raw.read(4).startswith((_GZIP, _ZSTD, *_ZIP)) and not _is_tar(file)


@contextmanager
def errors_with_file(file: RawFile) -> Iterator[None]:
    """Turns what the unpackers raise into one sentence that names the file."""
    try:
        yield
    except (OSError, EOFError, *_UNPACKING_ERRORS) as error:  # pyarrow raises OSError for a broken stream
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorpusError(f"{file.path}: not readable to its end: {reason}. Fetch the file again.") from error


def _check_promise(file: RawFile, start: bytes) -> None:
    if not start:
        raise CorpusError(f"{file.path}: the file is empty (0 bytes). Fetch the file again.")
    expected = _PACKED_SUFFIXES.get(file.path.suffix.lower())
    if expected is not None and not start.startswith(expected):
        raise CorpusError(
            f"{file.path}: starts with {start!r}, expected a {file.path.suffix} file ({expected!r}). Fetch it again."
        )


def _members(file: RawFile, raw: IO[bytes], start: bytes) -> Iterator[tuple[str, ByteStream]]:
    if start.startswith(_ZIP):
        yield from _zip_members(file, raw)
        return
    stream: ByteStream = raw
    if start.startswith(_GZIP):
        stream = pa.CompressedInputStream(raw, "gzip")
    elif start.startswith(_ZSTD):
        stream = pa.CompressedInputStream(raw, "zstd")
    if _is_tar(file):
        yield from _tar_members(file, stream)
    else:
        yield file.label, stream


def _is_tar(file: RawFile) -> bool:
    return ".tar" in file.path.suffixes or file.path.suffix == ".tgz"


def _zip_members(file: RawFile, raw: IO[bytes]) -> Iterator[tuple[str, ByteStream]]:
    with zipfile.ZipFile(raw) as archive:
        members = [info for info in archive.infolist() if not info.is_dir() and _is_data(info.filename)]
        if not members:
            raise CorpusError(f"{file.path}: the archive holds no data file. Fetch the file again.")
        for info in members:
            if info.flag_bits & _ENCRYPTED:
                raise CorpusError(f"{file.path}: {info.filename!r} is encrypted, expected plain text. Unpack it first.")
            with archive.open(info) as member:
                yield f"{file.label}/{info.filename}", member


def _tar_members(file: RawFile, stream: ByteStream) -> Iterator[tuple[str, ByteStream]]:
    empty = True
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # only read() is used
        for info in archive:
            if info.isfile() and _is_data(info.name):
                member = archive.extractfile(info)
                assert member is not None, "a regular file has contents"
                yield f"{file.label}/{written_name(Path(info.name))}", member
                empty = False
    if empty:
        raise CorpusError(f"{file.path}: the archive holds no data file. Fetch the file again.")


def _is_data(name: str) -> bool:
    """Archives carry papers beside the data (readme.txt, schema.ini, a PDF), those made on a Mac a __MACOSX folder."""
    last = name.rsplit("/", 1)[-1].lower()
    paper = last.startswith((".", "readme", "license")) or last.endswith(_NOT_DATA)
    return not (paper or name.startswith("__MACOSX/"))


def line_blocks(
    stream: ByteStream, *, label: str, encoding: str, rejects: Rejects, first_line: int = 1
) -> Iterator[LineBlock]:
    """Every line of a stream, as `lines_of` has them. Raises CorpusError as `text_blocks` does."""
    for block in text_blocks(stream, label=label, encoding=encoding, first_line=first_line):
        yield from lines_of(block, label=label, rejects=rejects)


def text_blocks(stream: ByteStream, *, label: str, encoding: str, first_line: int = 1) -> Iterator[TextBlock]:
    """A stream in blocks of whole lines, about 1 MiB each, in `encoding`; it begins at that line of its file.

    A byte order mark is removed, and a UTF-8 one overrules the encoding. Raises CorpusError for UTF-16, with its mark
    or without, and for lines that end in a carriage return alone."""
    number = first_line
    for data in _line_aligned(stream):
        if number == 1:
            check_start(data, label, encoding)
            if data.startswith(_UTF8_BOM):
                data, encoding = data[len(_UTF8_BOM) :], "utf-8"
        block = TextBlock(number, data, encoding)
        yield block
        number = block.end


def lines_of(block: TextBlock, *, label: str, rejects: Rejects) -> Iterator[LineBlock]:
    """Every line that is text, in blocks of at most 32,768; blank lines are skipped and not counted.

    Quarantined: `line_too_long` (1 MiB), `nul_byte`, `invalid_encoding`.
    """
    lines = _decoded_whole(block.data, block.encoding)
    if lines is None:
        numbers, lines = _decoded_singly(block, label, rejects)
    else:
        numbers = [n for n, line in enumerate(lines, block.first) if line]
        lines = [line for line in lines if line]
    for start in range(0, len(lines), MAX_BLOCK_LINES):
        part = slice(start, start + MAX_BLOCK_LINES)
        yield LineBlock(numbers[part], lines[part])


def _line_aligned(stream: ByteStream) -> Iterator[bytes]:
    """Blocks of bytes that end with a line end, except perhaps the last.

    Of a line longer than twice the limit only the first MAX_LINE_BYTES + 1 bytes are kept, so that memory stays flat
    and the line is still seen to be too long.
    """
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        elif len(rest) <= MAX_LINE_BYTES:
            rest += block
        else:
            rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest


def _decoded_whole(block: bytes, encoding: str) -> list[str] | None:
    """The lines of a block in which every line is text of a sane length; None where some line is not."""
    if b"\0" in block or (len(block) > MAX_LINE_BYTES and max(map(len, block.split(b"\n"))) > MAX_LINE_BYTES):
        return None
    try:
        text = block.decode(encoding)
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines


def _decoded_singly(block: TextBlock, label: str, rejects: Rejects) -> tuple[list[int], list[str]]:
    numbers, lines = [], []
    for number, line in enumerate(block.data.split(b"\n"), block.first):
        reason, text = text_of(line.rstrip(b"\r"), block.encoding)
        if reason:
            rejects.add(number, f"{label}:{number}", reason, repr(line[:80]))
        elif text:
            numbers.append(number)
            lines.append(text)
    return numbers, lines


def text_of(line: bytes, encoding: str) -> tuple[str, str]:
    """(reason, "") for a line that cannot be used, ("", text) for one that can."""
    if len(line) > MAX_LINE_BYTES:
        return "line_too_long", ""
    if b"\0" in line:
        return "nul_byte", ""
    try:
        return "", line.decode(encoding)
    except UnicodeDecodeError:
        return "invalid_encoding", ""
