"""Raw files as numbered lines: packing, damage, encodings and flat memory."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RawFile, Rejects
from mw_pipeline.sources import reading
from mw_pipeline.sources.reading import MAX_LINE_BYTES, line_blocks, open_members, raw_files

TEXT = b"one\ntwo\nthree\n"


def lines_of(data: bytes, *, encoding: str = "utf-8") -> tuple[list[tuple[int, str]], Rejects]:
    rejects = Rejects(source="test")
    blocks = line_blocks(io.BytesIO(data), label="f", encoding=encoding, rejects=rejects)
    return [pair for block in blocks for pair in zip(block.numbers, block.lines, strict=True)], rejects


def contents(path: Path) -> dict[str, bytes]:
    with open_members(RawFile(path, path.name)) as members:
        return {label: b"".join(iter(partial(stream.read, 4), b"")) for label, stream in members}


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", TEXT),
        ("a.txt.gz", gzip.compress(TEXT, mtime=0)),
        ("a.txt.gz", gzip.compress(TEXT[:4], mtime=0) + gzip.compress(TEXT[4:], mtime=0)),
        ("a.txt.zst", zstandard.compress(TEXT)),
        ("lost-its-suffix", gzip.compress(TEXT, mtime=0)),
    ],
)
def test_a_file_reads_the_same_however_it_is_packed(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)

    assert contents(tmp_path / name) == {name: TEXT}


def test_a_zip_gives_its_data_files_and_neither_its_papers_nor_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "US.zip"
    path.write_bytes(
        zipped(**{"readme.txt": b"hi", "schema.ini": b"x", "data/US.txt": TEXT, "__MACOSX/US.txt": b"x", "data/": b""})
    )

    assert contents(path) == {"US.zip/data/US.txt": TEXT}


def test_a_packed_tar_gives_each_regular_file(tmp_path: Path) -> None:
    path = tmp_path / "all.tar.zst"
    path.write_bytes(zstandard.compress(tarred(**{"a/1.csv": TEXT, "a/2.csv": b"x", ".hidden": b"y"})))

    assert contents(path) == {"all.tar.zst/a/1.csv": TEXT, "all.tar.zst/a/2.csv": b"x"}


@pytest.mark.parametrize("name", ["a.gz", "a.zst", "a.zip", "a.tar.gz"])
def test_a_truncated_archive_is_one_sentence_that_names_the_file(tmp_path: Path, name: str) -> None:
    noise = bytes(range(256)) * 64
    whole = {
        "a.gz": gzip.compress(noise, mtime=0),
        "a.zst": zstandard.compress(noise),
        "a.zip": zipped(x=noise),
        "a.tar.gz": gzip.compress(tarred(x=noise), mtime=0),
    }[name]
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(CorpusError, match=rf"{name}: not readable to its end: .*\. Fetch the file again\."):
        contents(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_an_archive_without_data_files_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((zipped if name == "a.zip" else tarred)(**{"readme.txt": b"hello"}))

    with pytest.raises(CorpusError, match="the archive holds no data file"):
        contents(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    data = bytearray(zipped(x=TEXT))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)

    with pytest.raises(CorpusError, match="'x' is encrypted, expected plain text"):
        contents(path)


PACKED = {
    "a.gz": gzip.compress(TEXT * 9, mtime=0),
    "a.zst": zstandard.compress(TEXT * 9),
    "a.zip": zipped(x=TEXT * 9, y=TEXT),
    "a.tar": tarred(x=TEXT * 9, y=TEXT),
    "a.tar.zst": zstandard.compress(tarred(x=TEXT * 9)),
}


@given(name=st.sampled_from(sorted(PACKED)), at=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=20))
def test_a_damaged_archive_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: float, junk: bytes
) -> None:
    whole = PACKED[name]
    start = int(at * len(whole))
    path = tmp_path_factory.mktemp("packed") / name
    path.write_bytes(whole[:start] + junk + whole[start + len(junk) :])

    try:
        found = contents(path)
    except CorpusError as error:
        assert name in str(error)
    else:
        assert all(label.startswith(name) for label in found)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")

    with pytest.raises(CorpusError, match=r"a\.csv: the file is empty \(0 bytes\)"):
        contents(tmp_path / "a.csv")


def test_a_suffix_that_the_bytes_deny_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"<html>not found</html>")

    with pytest.raises(CorpusError, match=r"starts with b'<htm', expected a \.gz file"):
        contents(tmp_path / "a.gz")


def test_a_folder_gives_its_files_of_the_format_in_order_with_labels_below_it(tmp_path: Path) -> None:
    for name in ("us/ca/b.csv.gz", "us/a.CSV", "us/notes.md", "fr/c.zip", "fr/c.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = raw_files([tmp_path], suffixes=(".csv",))

    assert [file.label for file in found] == ["fr/c.zip", "us/a.CSV", "us/ca/b.csv.gz"]


def test_a_name_that_is_not_utf8_has_its_bytes_written_out(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    path.write_text("a")

    assert [file.label for file in raw_files([tmp_path], suffixes=(".csv",))] == ["caf\\xe9.csv"]


def test_a_folder_that_may_not_be_read_is_refused_and_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.csv").write_text("a")
    plain = os.scandir

    def as_a_stranger(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", as_a_stranger)
    with pytest.raises(CorpusError, match=r"closed: the folder cannot be read: Permission denied\. Check who may"):
        raw_files([tmp_path], suffixes=(".csv",))


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone\.csv: there is no such file or folder"):
        raw_files([tmp_path / "gone.csv"], suffixes=(".csv",))


def test_a_folder_without_files_of_the_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no \.csv or \.geojson file"):
        raw_files([tmp_path], suffixes=(".csv", ".geojson"))


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(CorpusError, match="nothing is given, and this adapter reads files"):
        raw_files([], suffixes=(".csv",))


def test_lines_keep_their_numbers_past_blank_and_bad_ones() -> None:
    lines, rejects = lines_of(b"\xef\xbb\xbfone\r\n\r\nnul\0\nd\xe9j\xe0\nfive\n\nlast")

    assert lines == [(1, "one"), (5, "five"), (7, "last")]
    assert rejects.counts == {"nul_byte": 1, "invalid_encoding": 1}
    assert [(row["line"], row["source_id"]) for row in rejects.drain().to_pylist()] == [(3, "f:3"), (4, "f:4")]


def test_windows_1252_reads_its_letters_and_refuses_its_unassigned_bytes() -> None:
    lines, rejects = lines_of(b"C\xc9SAR \x96 CH\xc1VEZ\nbad \x81\n", encoding="cp1252")

    assert lines == [(1, "CÉSAR – CHÁVEZ")]
    assert rejects.counts == {"invalid_encoding": 1}


def test_a_utf8_mark_overrules_the_encoding_of_the_format() -> None:
    lines, _ = lines_of("\ufeffCÉSAR\n".encode(), encoding="cp1252")

    assert lines == [(1, "CÉSAR")]


def test_utf16_is_refused_with_what_to_do() -> None:
    with pytest.raises(CorpusError, match=r"UTF-16 byte order mark, expected utf-8\. Convert it"):
        lines_of("a\n".encode("utf-16"))


def test_lines_end_at_newlines_only() -> None:
    lines, _ = lines_of("a\u2028b\x0bc\x85d\n".encode())

    assert lines == [(1, "a\u2028b\x0bc\x85d")]


@pytest.mark.parametrize("size", [MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES, 5 * MAX_LINE_BYTES + 7])
def test_an_overlong_line_is_quarantined_and_what_follows_is_read(size: int) -> None:
    lines, rejects = lines_of(b"one\n" + b"x" * size + b"\nthree\n")

    assert lines == [(1, "one"), (3, "three")]
    assert rejects.counts == {"line_too_long": 1}


def test_a_line_of_the_largest_size_is_read() -> None:
    lines, rejects = lines_of(b"x" * MAX_LINE_BYTES + b"\nb")

    assert [len(line) for _, line in lines] == [MAX_LINE_BYTES, 1]
    assert not rejects.counts


def test_a_file_that_is_one_endless_line_takes_little_memory() -> None:
    class Zeros:
        left = 64 << 20

        def read(self, size: int) -> bytes:
            self.left -= size
            return b"a" * size if self.left >= 0 else b""

    rejects = Rejects(source="test")
    tracemalloc.start()
    assert list(line_blocks(Zeros(), label="f", encoding="utf-8", rejects=rejects)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 12 << 20
    assert rejects.counts == {"line_too_long": 1}


@given(data=st.binary(max_size=200), block_bytes=st.integers(1, 40))
def test_any_bytes_give_each_line_once_whatever_the_block_size(data: bytes, block_bytes: int) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")) or _is_of_no_known_lines(data):
        return
    expected = [(n, line.rstrip(b"\r")) for n, line in enumerate(data.split(b"\n"), 1) if line.rstrip(b"\r")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block_bytes)
        lines, rejects = lines_of(data)

    bad = {row["line"] for row in rejects.drain().to_pylist()}
    assert [(n, line.encode()) for n, line in lines] == [(n, line) for n, line in expected if n not in bad]
    assert bad == {n for n, line in expected if b"\0" in line or not _is_utf8(line)}


def _is_of_no_known_lines(data: bytes) -> bool:
    """Whether the whole is refused: UTF-16, or carriage returns and no line feed."""
    return data.count(b"\0") > 5 or (b"\n" not in data and b"\r" in data.rstrip(b"\r"))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
