"""What an adapter read, portion by portion, cut into pieces: of one size, of one set of columns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus.cuts import cut_pieces, read_cuts, write_runs


def batch(first: int, rows: int, name: str = "n") -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(range(first, first + rows), pa.int64())})


def pieces_of(portions: Sequence[Sequence[pa.RecordBatch]], size: int) -> list[pa.RecordBatch]:
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            write_runs(lambda run, portion=portion: Path(folder, f"{portion}.{run}"), batches)  # type: ignore[misc]
            for portion, batches in enumerate(portions)
        ]
        return [read_cuts(lambda p, run: Path(folder, f"{p}.{run}"), cuts) for cuts in cut_pieces(runs, size)]


@given(
    sizes=st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=5),
    size=st.integers(1, 7),
)
def test_pieces_are_full_but_the_last_whatever_the_batches_and_portions(sizes: list[list[int]], size: int) -> None:
    total, portions = 0, []
    for of_portion in sizes:
        portions.append([batch(total + sum(of_portion[:place]), rows) for place, rows in enumerate(of_portion)])
        total += sum(of_portion)

    pieces = pieces_of(portions, size)

    assert [value for piece in pieces for value in piece["n"].to_pylist()] == list(range(total))
    assert all(piece.num_rows == size for piece in pieces[:-1])


def test_a_piece_ends_where_the_columns_change() -> None:
    portions = [[batch(0, 3), batch(3, 2, "m")], [batch(5, 4, "m"), batch(9, 1)], [batch(10, 2)]]

    pieces = [piece.to_pydict() for piece in pieces_of(portions, 4)]

    assert pieces == [{"n": [0, 1, 2]}, {"m": [3, 4, 5, 6]}, {"m": [7, 8]}, {"n": [9, 10, 11]}]
