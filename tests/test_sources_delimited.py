"""Delimited text: headers by name, ragged and badly quoted records, and nothing lost."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_files import drained

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RawFile, Rejects
from mw_pipeline.sources import quoting, reading
from mw_pipeline.sources.delimited import read_delimited
from mw_pipeline.sources.layout import Layout

CSV = Layout(title="a test CSV with A and B", delimiter=",", needed=("A", "B"), optional=("C",))
TSV = Layout(title="two tabs", delimiter="\t", needed=("x", "z"), names=("x", "y", "z"), quoted=False)


def read(path: Path, data: bytes | str, layout: Layout = CSV) -> tuple[list[dict[str, Any]], Rejects]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    rejects = Rejects(source="test")
    return drained(read_delimited([RawFile(path, "f")], layout, rejects)), rejects


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.csv"


def test_columns_are_found_by_name_in_any_order_case_and_company(path: Path) -> None:
    rows, _ = read(path, "\ufeffd, b ,A\n4,2,1\n")

    assert rows == [{"source_id": "f:2", "line": 2, "A": "1", "B": "2", "C": None}]


def test_a_missing_needed_column_is_named_with_what_was_found(path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"^f: the header has no B: found 'A', 'C'\. Expected a test CSV with A and B\.$"
    ):
        read(path, "A,C\n1,2\n")


@pytest.mark.parametrize("header", ["A,B,A", "a,B, A "])
def test_a_wanted_column_that_stands_twice_is_refused_with_its_places(path: Path, header: str) -> None:
    with pytest.raises(
        CorpusError, match=r"^f: the header has A 2 times, in columns 1 and 3, expected it once\. Rename"
    ):
        read(path, f"{header}\n1,2,3\n")


def test_a_column_that_nobody_wants_may_stand_twice(path: Path) -> None:
    assert read(path, "x,A,B,x\n9,1,2,9\n")[0] == [{"source_id": "f:2", "line": 2, "A": "1", "B": "2", "C": None}]


def test_a_long_header_is_quoted_in_part(path: Path) -> None:
    with pytest.raises(CorpusError, match=r"found 'c0', .*'c11' and 8 more"):
        read(path, ",".join(f"c{n}" for n in range(20)) + "\n")


def test_one_column_of_a_choice_must_be_there(path: Path) -> None:
    layout = Layout(title="numbers or streets", delimiter=",", needed=(), needed_one_of=("N", "S"))

    assert read(path, "S,x\na,1\n", layout)[0] == [{"source_id": "f:2", "line": 2, "N": None, "S": "a"}]
    with pytest.raises(CorpusError, match="the header has no N or S: found 'x', 'y'"):
        read(path, "x,y\n1,2\n", layout)


def test_the_wrong_delimiter_is_named(path: Path) -> None:
    with pytest.raises(CorpusError, match=r"split by semicolons; this format splits by commas"):
        read(path, "A;B\n1;2\n")


def test_a_file_of_blank_lines_is_refused(path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no line of text of at most 1 MiB, expected a test CSV"):
        read(path, "\n\r\n\n")


def test_bytes_that_are_no_text_are_refused_as_a_header(path: Path) -> None:
    with pytest.raises(CorpusError):
        read(path, b"\x89PNG\r\n\x1a\n\0\0\0")


def test_every_file_is_checked_before_the_first_batch(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("A,B\n1,2\n")
    bad.write_text("A,Q\n1,2\n")
    batches = read_delimited([RawFile(good, "good"), RawFile(bad, "bad")], CSV, Rejects(source="test"))

    with pytest.raises(CorpusError, match="bad: the header has no B"):
        next(batches)


def test_a_file_without_a_header_is_known_by_its_field_count(path: Path) -> None:
    rows, rejects = read(path, "broken line\n1\t2\t3\n", TSV)

    assert rows == [{"source_id": "f:2", "line": 2, "x": "1", "z": "3"}]
    assert rejects.counts == {"ragged": 1}
    with pytest.raises(CorpusError, match=r"the first line has 1 fields split by tabs \('a,b,c'\), expected two tabs"):
        read(path, "a,b,c\nd,e,f\n", TSV)


def test_ragged_records_are_quarantined_with_both_counts(path: Path) -> None:
    rows, rejects = read(path, "A,B\n1,2\n1\n1,2,3\n\n4,5,,\n")

    assert [row["line"] for row in rows] == [2, 6]
    assert [(row["line"], row["detail"]) for row in rejects.drain().to_pylist()] == [
        (3, "1 fields, the header has 2"),
        (4, "3 fields, the header has 2"),
    ]


def test_a_header_that_ends_in_a_stray_comma_fits_records_without_one(path: Path) -> None:
    rows, rejects = read(path, "A,B,\n1,2\n3,4,\n5\n")

    assert [(row["A"], row["B"]) for row in rows] == [("1", "2"), ("3", "4")]
    assert rejects.counts == {"ragged": 1}


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(path: Path) -> None:
    rows, _ = read(path, 'A,B\n"1,1","say ""hi"""\n"two\r\nlines",x\ny,z\n')

    assert [(row["line"], row["A"], row["B"]) for row in rows] == [
        (2, "1,1", 'say "hi"'),
        (3, "two\nlines", "x"),
        (5, "y", "z"),
    ]


def test_a_quote_inside_a_field_is_text(path: Path) -> None:
    rows, rejects = read(path, 'A,B\n5" pipe,x\n1,2\n')

    assert [(row["A"], row["B"]) for row in rows] == [('5" pipe', "x"), ("1", "2")]
    assert not rejects.counts


@pytest.mark.parametrize(("bad", "reason"), [('"open,x', "unclosed_quote"), ('"a"b,x', "bad_quoting")])
@pytest.mark.parametrize("following", [0, 3, 200])
def test_a_bad_quote_costs_its_own_record_only(path: Path, bad: str, reason: str, following: int) -> None:
    after = "".join(f"{n},y\n" for n in range(following))
    rows, rejects = read(path, f"A,B\n1,2\n{bad}\n{after}")

    assert [row["A"] for row in rows] == ["1", *map(str, range(following))]
    assert rejects.counts == {reason: 1}
    assert rejects.drain().to_pylist()[0]["line"] == 3


def test_a_record_may_cross_the_end_of_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 16)
    rows, rejects = read(path, "A,B\n" + '"two\nlines",x\nplain,y\n' * 40)

    assert [row["A"] for row in rows] == ["two\nlines", "plain"] * 40
    assert [row["line"] for row in rows] == [line for n in range(40) for line in (2 + 3 * n, 4 + 3 * n)]
    assert not rejects.counts


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(rows=st.lists(st.tuples(FIELD, FIELD), max_size=12), block_bytes=st.integers(8, 200))
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], block_bytes: int
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("A", "B"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block_bytes)
        found, rejects = read(tmp_path_factory.mktemp("csv") / "f.csv", buffer.getvalue())

    # a blank line inside a field is dropped with all other blank lines
    expected = [tuple("\n".join(filter(None, value.split("\n"))) for value in row) for row in rows]
    assert [tuple("\n".join(filter(None, row[n].split("\n"))) for n in "AB") for row in found] == expected
    assert not rejects.counts


@given(data=st.text(st.sampled_from('",\nab;'), max_size=60), block_bytes=st.integers(1, 40))
def test_any_text_below_a_header_is_read_or_quarantined_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, data: str, block_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block_bytes)
        patch.setattr(quoting, "MAX_RECORD_LINES", 3)
        rows, rejects = read(tmp_path_factory.mktemp("csv") / "f.csv", "A,B\n" + data)

    seen = sorted([row["line"] for row in rows] + [row["line"] for row in rejects.drain().to_pylist()])
    lines = data.split("\n")
    assert len(seen) == len(set(seen))
    assert set(seen) <= {n for n, line in enumerate(lines, 2) if line}
    plain = {n for n, line in enumerate(lines, 2) if line and '"' not in data}
    assert plain <= set(seen)


def test_a_line_without_a_quote_is_read_alike_whatever_stands_near_it(path: Path) -> None:
    line = "a\rb," + "c" * 200_000

    alone, _ = read(path, f"A,B\n{line}\n")
    beside, rejects = read(path, f'A,B\n{line}\n"1","2"\n')

    assert beside[:1] == alone == [{"source_id": "f:2", "line": 2, "A": "a\rb", "B": "c" * 200_000, "C": None}]
    assert not rejects.counts
