"""Blocks that Arrow parses: the same records as line by line, and only where nothing is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from source_files import drained

from mw_pipeline.records.tables import RawFile, Rejects
from mw_pipeline.sources import delimited, plain_blocks, reading
from mw_pipeline.sources.delimited import read_delimited
from mw_pipeline.sources.layout import Header, Layout
from mw_pipeline.sources.plain_blocks import plain_table
from mw_pipeline.sources.reading import TextBlock

CSV = Layout(title="a test CSV with A and B", delimiter=",", needed=("A", "B"), optional=("C",))
TSV = Layout(title="three tabs", delimiter="\t", needed=("A", "B"), names=("A", "x", "B"), quoted=False)
HEADER = Header({"B": 1, "A": 0, "C": None}, width=2, min_width=2)


def parsed(data: bytes, layout: Layout = CSV, encoding: str = "utf-8") -> list[dict[str, Any]] | None:
    table = plain_table(TextBlock(1, data, encoding), HEADER, layout)
    return None if table is None else table.to_pylist()


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (b"1,2\n3,4\n", {"B": "2", "A": "1", "C": None}),
        (b"1,2\r\n3,4", {"B": "2", "A": "1", "C": None}),
        ("é,ß\n".encode(), {"B": "ß", "A": "é", "C": None}),
        (b'"1","a, b"\n"",x\n', {"B": "a, b", "A": "1", "C": None}),
        (b'"""so"" they say",""\n', {"B": "", "A": '"so" they say', "C": None}),
        (b",\n", {"B": "", "A": "", "C": None}),
        (b"NULL,nan\n", {"B": "nan", "A": "NULL", "C": None}),
    ],
)
def test_ordinary_lines_are_parsed_whole(data: bytes, first: dict[str, Any]) -> None:
    found = parsed(data)

    assert found is not None
    assert found[0] == first
    assert len(found) == len(data.splitlines())


def test_another_encoding_is_read_as_such() -> None:
    assert parsed("é,ß\n".encode("latin-1"), encoding="latin-1") == [{"B": "ß", "A": "é", "C": None}]


@pytest.mark.parametrize(
    "data",
    [
        b"1,2\n\n3,4\n",
        b"1,2\n3\n",
        b"1,2,3\n",
        b"1,2\0\n",
        b"1,\xff\n",
        b"1,a\rb\n",
        b'1,"open\n2,3\n',
        b'1,"over\ntwo lines"\n',
        b'1,in"side"\n',
        b'1,"x"y\n',
        b"1," + b"x" * reading.MAX_LINE_BYTES + b"\n",
    ],
)
def test_a_block_with_anything_odd_in_it_is_left_alone(data: bytes) -> None:
    assert parsed(data) is None


def test_a_line_above_the_limit_is_seen_between_short_ones() -> None:
    long_line = b"1," + b"x" * reading.MAX_LINE_BYTES + b"\n"

    assert parsed(b"1,2\n" * 1000 + long_line + b"1,2\n" * 1000) is None
    assert parsed(b"1,2\n" * (reading.MAX_LINE_BYTES // 4 + 1000)) is not None


def test_a_quote_means_nothing_where_the_layout_has_none() -> None:
    found = plain_table(TextBlock(1, b'"1\tx\t2"\n', "utf-8"), Header({"A": 0, "B": 2}, 3, 3), TSV)

    assert found is not None
    assert found.to_pylist() == [{"A": '"1', "B": '2"'}]


def both_ways(path: Path, data: bytes, layout: Layout, block_bytes: int) -> list[tuple[list[Any], list[Any]]]:
    """Records and quarantine, parsed whole where that is possible, and line by line throughout."""
    path.write_bytes(data)
    found = []
    for parse in (plain_table, lambda *_: None):
        rejects = Rejects("test")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "BLOCK_BYTES", block_bytes)
            patch.setattr(delimited, "plain_table", parse)
            found.append((drained(read_delimited([RawFile(path, "f")], layout, rejects)), rejects.drain().to_pylist()))
    return found


@given(
    lines=st.lists(
        st.text(st.sampled_from('"",,,\nab\r\0é\t;'), max_size=12).map(str.encode) | st.just(b"a,b"), max_size=30
    ),
    block_bytes=st.integers(1, 60),
    layout=st.sampled_from([CSV, TSV]),
)
@example(lines=[b"a,b", b"c,\xff", b"d,e"], block_bytes=8, layout=CSV)
@example(lines=[b'x"y,"z', b'p,"q', b'r",s'], block_bytes=4, layout=CSV)
def test_whole_blocks_and_single_lines_give_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block_bytes: int, layout: Layout
) -> None:
    begin = b"A,B\n" if layout is CSV else b"1\t2\t3\n"
    whole, singly = both_ways(
        tmp_path_factory.mktemp("plain") / "f.csv", begin + b"\n".join(lines), layout, block_bytes
    )

    assert whole == singly


def test_most_blocks_of_an_ordinary_file_are_parsed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, blocks = tmp_path / "f.csv", []
    path.write_text("A,B\n" + '1,"Main St"\n' * 1000 + '2,12" St\n' + "3,Elm St\n" * 1000)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 256)
    monkeypatch.setattr(
        delimited, "plain_table", lambda *block: blocks.append(plain_blocks.plain_table(*block)) or blocks[-1]
    )

    rows = drained(read_delimited([RawFile(path, "f")], CSV, Rejects("test")))

    assert [row["line"] for row in rows] == list(range(2, 2003))
    assert sum(table is None for table in blocks) == 1
