"""`corpus` on files that no adapter can use: one sentence, or quarantine with a reason, in flat memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from test_sources_fuzz import DOCUMENTS, SOUND

from mw_pipeline.cli import main
from mw_pipeline.sources.registry import ADAPTERS

READERS = sorted(name for name, adapter in ADAPTERS.items() if adapter.needs_input)
LONG_LINE_BYTES = 100 << 20
# what all readers together may add to the peak (60 measured, most of it the first whole build): less than the line
GROWTH_MIB = 90


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


OTHER = b"colour|taste\nred|sweet\n"
UNUSABLE = {
    "another format": ("fruit.csv", OTHER),
    "no text at all": ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0\1\2" * 99),
    "an empty file": ("empty.csv", b""),
    "UTF-16": ("wide.csv", OTHER.decode().encode("utf-16")),
    "Latin-1 of another format": ("latin.csv", "couleur|goût\nrouge|sucré\n".encode("latin-1")),
    "only NUL bytes": ("nul.csv", b"\0" * 4096),
    "a truncated gzip": ("cut.csv.gz", gzip.compress(OTHER * 99)[:-9]),
    "a truncated zstd": ("cut.csv.zst", zstandard.compress(bytes(range(256)) * 99)[:-9]),
    "a truncated zip": ("cut.zip", zipped("fruit.csv", OTHER * 99)[:-30]),
    "a zip of another format": ("fruit.zip", zipped("fruit.csv", OTHER)),
    "a name that lies": ("plain.csv.gz", OTHER),
}


def tarred(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


PACKED_TWICE = {
    "a gzip in a gzip": ("ban.csv.gz", lambda text: gzip.compress(gzip.compress(text)), "ban.csv.gz", "a gzip file"),
    "a zip in a gzip": ("ban.csv.gz", lambda text: gzip.compress(zipped("ban.csv", text)), "gz", "a zip archive"),
    "a zstd in a gzip": ("ban.csv.gz", lambda text: gzip.compress(zstandard.compress(text)), "gz", "a zstd file"),
    "a gzip in a zip": ("b.zip", lambda text: zipped("b.csv.gz", gzip.compress(text)), "b.zip/b.csv.gz", "a gzip file"),
    "a zip in a zip": ("b.zip", lambda text: zipped("c.zip", zipped("b.csv", text)), "b.zip/c.zip", "a zip archive"),
    "an xz in a tar": ("b.tar", lambda text: tarred("b.xz", lzma.compress(text)), "b.tar/b.xz", "an xz file"),
    "a tar that is not called one": (
        "ban.csv.gz",
        lambda text: gzip.compress(tarred("b.csv", text)),
        "gz",
        "a tar arch",
    ),
    "bzip2, which is not read": ("ban.csv.bz2", bz2.compress, "ban.csv.bz2", "a bzip2 file"),
}


@pytest.mark.parametrize("case", sorted(PACKED_TWICE))
def test_what_is_packed_in_what_was_unpacked_is_named_for_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    name, packed, label, kind = PACKED_TWICE[case]
    (tmp_path / name).write_bytes(packed(SOUND["ban"]))

    assert corpus("ban", tmp_path / name, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert f"{label}: what was to be read as text begins as {kind}" in said and "Unpack it first" in said


def country_of(adapter: str) -> str:
    return "FR" if adapter == "ban" else "US"


def corpus(adapter: str, path: Path, out: Path) -> int:
    return main(
        ["corpus", "--adapter", adapter, "--country", country_of(adapter), "--input", str(path), "--out", str(out)]
    )


@pytest.mark.parametrize("adapter", READERS)
@pytest.mark.parametrize("case", sorted(UNUSABLE))
def test_an_unusable_file_is_refused_in_one_sentence_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], adapter: str, case: str
) -> None:
    name, data = UNUSABLE[case]
    (tmp_path / name).write_bytes(data)

    assert corpus(adapter, tmp_path / name, tmp_path / "out") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert told.err.endswith(".\n")
    assert name in told.err
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("adapter", READERS)
def test_a_folder_without_a_file_of_the_format_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], adapter: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.odt").write_text("nothing")

    assert corpus(adapter, tmp_path / "in", tmp_path / "out") == 2
    assert "in: holds no" in capsys.readouterr().err


@pytest.mark.parametrize("adapter", sorted(SOUND))
def test_a_header_that_lacks_its_columns_is_refused_with_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], adapter: str
) -> None:
    (tmp_path / "a.csv").write_text("colour;taste\nred;sweet\n")

    assert corpus(adapter, tmp_path / "a.csv", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "'colour" in told and "xpected" in told


@pytest.mark.parametrize("adapter", sorted(SOUND | DOCUMENTS))
def test_a_byte_order_mark_is_no_part_of_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], adapter: str
) -> None:
    sound = (SOUND | DOCUMENTS)[adapter]
    kept = []
    for number, data in enumerate((sound, b"\xef\xbb\xbf" + sound)):
        (tmp_path / f"{number}.txt").write_bytes(data)
        assert corpus(adapter, tmp_path / f"{number}.txt", tmp_path / str(number)) == 0
        kept.append(json.loads(capsys.readouterr().out)["kept"])

    assert kept[0] == kept[1] > 0


PEAKS = """
import contextlib, io, json, re, sys
from pathlib import Path
from mw_pipeline.cli import main

def peak():  # of this process: getrusage begins with the peak of the process that started it
    return int(re.search("VmHWM: *([0-9]+) kB", Path("/proc/self/status").read_text().replace("\\t", " "))[1]) / 1024

found = {}
for adapter, country, path, small in json.loads(sys.argv[1]):
    for name in (small, path):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
            before = peak()
            arguments = ["--country", country, "--input", name, "--out", f"{name}.{adapter}.out"]
            code = main(["corpus", "--adapter", adapter, *arguments])
        found[f"{adapter} {name.rsplit('/', 1)[-1]}"] = [code, told.getvalue(), peak() - before]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_line_of_100_mib_is_refused_or_quarantined_in_flat_memory(tmp_path: Path) -> None:
    """One process reads a small file and then the long line with each adapter: the peak of memory hardly rises."""
    behind_sound = ("geonames", "openaddresses", "ban")
    (tmp_path / "small.csv").write_bytes(b"x")
    (tmp_path / "alone.csv").write_bytes(b"x" * LONG_LINE_BYTES)
    for adapter in behind_sound:
        sound = SOUND[adapter]
        (tmp_path / f"{adapter}.csv").write_bytes(sound + b"x" * LONG_LINE_BYTES + b"\n" + sound.splitlines()[-1])
    files = [(adapter, "alone") for adapter in READERS] + [(adapter, adapter) for adapter in behind_sound]
    tasks = [
        (adapter, country_of(adapter), str(tmp_path / f"{name}.csv"), str(tmp_path / "small.csv"))
        for adapter, name in files
    ]

    found = json.loads(
        subprocess.run(
            [sys.executable, "-c", PEAKS, json.dumps(tasks)], capture_output=True, text=True, check=True, timeout=300
        ).stdout
    )
    growth = sum(grown for name, (_, _, grown) in found.items() if not name.endswith("small.csv"))
    assert growth < GROWTH_MIB
    for name, (code, told, _) in found.items():
        refused = code == 2 and told.startswith("error: ") and told.count("\n") == 1 and len(told) < 800
        assert refused or code == 0, (name, code, told)
    for adapter in behind_sound:
        flow = json.loads((tmp_path / f"{adapter}.csv.{adapter}.out" / "waterfall.json").read_text())
        assert flow["quarantined"] == {"line_too_long": 1}
