"""Files in portions: small ones together, large ones in stretches that give the records and lines of the whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from source_files import drained

from mw_pipeline.records.adapter import ReadsPortions
from mw_pipeline.records.tables import PORTION_BYTES, RawFile, ReadRequest, Rejects
from mw_pipeline.sources import portions, quoting, reading
from mw_pipeline.sources.delimited import read_file, record_end
from mw_pipeline.sources.geonames_postal import GeonamesPostal
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.openaddresses import Openaddresses
from mw_pipeline.sources.portions import after_any_line, portions_of
from mw_pipeline.sources.registry import ADAPTERS

CSV = Layout(title="a test CSV with A and B", delimiter=",", needed=("A", "B"))
LATIN = Layout(title="a test CSV with A and B", delimiter=",", needed=("A", "B"), encoding="latin-1")
TSV = Layout(title="two tabs", delimiter="\t", needed=("x", "z"), names=("x", "y", "z"), quoted=False)


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Files read in blocks of so many bytes, the first of which no cut divides."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (reading, portions):
            patch.setattr(module, "BLOCK_BYTES", size)
        yield


def stretches_of(path: Path, layout: Layout, size: int) -> list[RawFile]:
    cut = portions_of([RawFile(path, "f")], size, partial(record_end, layout=layout))
    return [file for portion in cut for file in portion]


def read(files: list[RawFile], layout: Layout) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """Records, and line and reason of what was quarantined."""
    rejects = Rejects("test")
    rows = [row for file in files for row in drained(read_file(file, layout, rejects))]
    return rows, sorted((row["line"], row["reason"]) for row in rejects.drain().to_pylist())


def assert_they_cover(stretches: list[RawFile], path: Path) -> None:
    """One behind the other from the first byte to the last, each beginning where a line does."""
    data = path.read_bytes()
    assert stretches[0].begin == 0
    assert stretches[-1].end == len(data)
    assert all(one.end == other.begin for one, other in pairwise(stretches))
    for stretch in stretches[1:]:
        assert data[: stretch.begin].endswith(b"\n")
        assert stretch.first_line == 1 + data[: stretch.begin].count(b"\n")


LINES = st.lists(
    st.text(st.sampled_from('"",,,\nab\r\0é\t'), max_size=12).map(str.encode) | st.just(b"a,b"), max_size=30
)


@given(
    lines=LINES,
    block_bytes=st.integers(1, 60),
    size=st.integers(1, 80),
    layout=st.sampled_from([CSV, LATIN, TSV]),
    end=st.sampled_from([b"", b"\n", b"\r\n"]),
)
@example(lines=[b'x,"y', b'p,q",r', b'a,"b c"', b"d,e"], block_bytes=64, size=1, layout=CSV, end=b"")
@example(lines=[b'x,"y', b"a,b", b"a,b", b"a,b", b'c",d', b"e,f"], block_bytes=64, size=1, layout=CSV, end=b"")
def test_stretches_of_any_file_give_the_records_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    block_bytes: int,
    size: int,
    layout: Layout,
    end: bytes,
) -> None:
    path = tmp_path_factory.mktemp("whole") / "f.csv"
    path.write_bytes((b"1\t2\t3\n" if layout is TSV else b"A,B\n") + (end or b"\n").join(lines) + end)

    with blocks_of(block_bytes), pytest.MonkeyPatch.context() as patch:
        patch.setattr(quoting, "MAX_RECORD_LINES", 3)
        stretches = stretches_of(path, layout, size)
        found = read(stretches, layout)

        assert found == read([RawFile(path, "f")], layout)
    if len(stretches) > 1:
        assert_they_cover(stretches, path)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["line end at the end", "none at the end"])
def test_a_cut_within_a_letter_of_two_bytes_moves_behind_its_line(tmp_path: Path, line_end: bytes, last: bool) -> None:
    path = tmp_path / "f.csv"
    lines = ["A,B", *("é" * 40 + f",{n}" for n in range(1_000))]
    data = line_end.join(line.encode() for line in lines) + line_end * last
    path.write_bytes(data)
    size = data.index(b"\xa9", 9_000)  # the second byte of a letter

    with blocks_of(8_192):
        stretches = stretches_of(path, CSV, size)
        rows, rejected = read(stretches, CSV)

    assert_they_cover(stretches, path)
    assert len(stretches) > 3
    assert [(row["A"], row["B"], row["line"]) for row in rows] == [("é" * 40, str(n), n + 2) for n in range(1_000)]
    assert not rejected


def test_a_bad_line_in_the_middle_of_a_stretch_is_named_by_its_true_line(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    lines = [b"A,B", *(f"{n},Elm Street".encode() for n in range(2_000))]
    lines[700], lines[1_500], lines[1_900] = b"caf\xe9,x", b"too,many,fields", b'an,"open quote'
    path.write_bytes(b"\n".join(lines))

    with blocks_of(4_096):
        stretches = stretches_of(path, CSV, 2_000)
        rows, rejected = read(stretches, CSV)

    assert len(stretches) > 5
    assert rejected == [(701, "invalid_encoding"), (1_501, "ragged"), (1_901, "unclosed_quote")]
    assert [row["source_id"] for row in rows[-2:]] == ["f:2000", "f:2001"]


def test_no_cut_divides_a_record_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    records = [f'"{n}","Flat 1\nElm Street\n{"x" * (n % 50)}"' for n in range(400)]
    path.write_text("A,B\n" + "\n".join(records))

    with blocks_of(2_048):
        stretches = stretches_of(path, CSV, 1_000)
        rows, rejected = read(stretches, CSV)

    assert len(stretches) == 1, "no line tells here whether it is a record or the end of one"
    assert [row["A"] for row in rows] == [str(n) for n in range(400)] and not rejected


def test_a_line_that_cannot_go_on_a_quoted_field_lets_a_file_be_cut_between_records_of_several_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f.csv"
    records = [f'"{n}","Flat 1\nElm Street"' if n % 3 else f'"{n}","Elm Street"' for n in range(400)]
    path.write_text("A,B\n" + "\n".join(records))

    with blocks_of(2_048):
        stretches = stretches_of(path, CSV, 1_000)
        rows, rejected = read(stretches, CSV)

    assert len(stretches) > 5
    assert [row["A"] for row in rows] == [str(n) for n in range(400)] and not rejected


def test_what_may_be_a_record_or_the_middle_of_one_is_no_cut() -> None:
    assert quoting.behind_record(b'"",""\n' * 99, ",", "utf-8") is None
    assert quoting.behind_record(b'","\n' * 99, ",", "utf-8") is None
    assert quoting.behind_record(b"a,b\n" * 63, ",", "utf-8") is None
    assert quoting.behind_record(b"a,b\n" * 70, ",", "utf-8") == 4 * 64
    assert quoting.behind_record(b"a,b\n\n\xff\n" * 70, ",", "utf-8") == 7 * 63 + 4
    assert quoting.behind_record(b'a,b\n1,"c d"\n', ",", "utf-8") == 12


def test_small_files_are_read_together_and_a_large_packed_one_whole(tmp_path: Path) -> None:
    sizes = {"a.csv": 40, "b.csv": 50, "c.csv": 30, "e.csv": 10}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"A,B\n" + b"1,2\n" * (size // 4 - 1))
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(bytes(range(256)) * 9, compresslevel=0))
    files = [RawFile(path, path.name) for path in sorted(tmp_path.iterdir())]

    cut = list(portions_of(files, 100, partial(record_end, layout=CSV)))

    assert [[file.label for file in portion] for portion in cut] == [
        ["a.csv", "b.csv"],
        ["c.csv"],
        ["d.csv.gz"],
        ["e.csv"],
    ]
    assert all(file.end is None for portion in cut for file in portion)


def test_a_line_longer_than_a_block_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"a\n" * 50 + b"x" * 500 + b"\n" + b"b\n" * 100)

    with blocks_of(64):
        stretches = [file for (file,) in portions_of([RawFile(path, "f")], 50, lambda file: after_any_line)]

    assert_they_cover(stretches, path)
    assert not any(100 < stretch.begin < 601 for stretch in stretches)
    assert len(stretches) > 3


def feature(n: int) -> str:
    return json.dumps({"type": "Feature", "properties": {"number": str(n), "street": "Elm St", "city": "Reno"}})


@pytest.mark.parametrize("broken", [b'{"type": "Feature"', b'{"type": "Feat\xff"}'])
def test_stretches_of_features_name_the_true_line(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "us" / "nv" / "reno.geojson"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join(broken if n == 900 else feature(n).encode() for n in range(1_000)))
    request = ReadRequest((path,), "test", portion_bytes=10_000)

    with blocks_of(4_096):
        stretches = list(Openaddresses().portions(request))
        rejects = Rejects("test")
        rows = drained(Openaddresses().read(request, rejects))

    assert len(stretches) > 5
    assert [(row["line"], row["NUMBER"]) for row in rows] == [(n + 1, str(n)) for n in range(1_000) if n != 900]
    assert [row["line"] for row in rejects.drain().to_pylist()] == [901]


def test_a_portion_is_read_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "US.txt"
    path.write_text("".join(f"US\t{n:05d}\tAkutan" + "\t" * 9 + "\n" for n in range(3_000)))
    adapter, request = GeonamesPostal(), ReadRequest((path,), "test", portion_bytes=20_000)

    with blocks_of(8_192):
        whole = drained(adapter.read(request, Rejects("test")))
        asked = [ReadRequest((), "test", portion=portion) for portion in adapter.portions(request)]
        apart = [drained(adapter.read(each, Rejects("test"))) for each in reversed(asked)]

    assert len(asked) > 3
    assert [row for rows in reversed(apart) for row in rows] == whole
    assert len(whole) == 3_000


def test_a_file_is_cut_every_so_many_bytes_behind_the_next_sure_end(tmp_path: Path) -> None:
    path, size = tmp_path / "f.csv", 1 << 21
    path.write_bytes(b"A,B\n" + b"1,2\n" * 2_000_000)

    # of the line that a wanted byte begins nothing is sure, and 64 lines without a quote end every open record
    assert [stretch.begin for stretch in stretches_of(path, CSV, size)] == [n * (size + 4 * 65) for n in range(4)]
    assert len(stretches_of(path, CSV, PORTION_BYTES)) == 1


def test_most_adapters_read_portions() -> None:
    alone = {name for name, adapter in ADAPTERS.items() if not isinstance(adapter, ReadsPortions)}

    assert alone == {"builtin", "geonames", "usaddress-xml", "wof-admin", "wof-postalcode"}


def test_a_stretch_is_handed_out_before_its_lines_are_counted(tmp_path: Path) -> None:
    path, counted = tmp_path / "f.csv", list[int]()
    path.write_bytes(b"A,B\n" + b"1,2\n" * 30_000)

    with blocks_of(4_096), pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "_line_ends", lambda raw, begin, end: counted.append(begin) or 0)
        cut = portions_of([RawFile(path, "f")], 5_000, partial(record_end, layout=CSV))
        first, second = next(cut), counted.copy()
        next(cut)

    assert first[0].begin == 0 and not second
    assert counted == [0]
