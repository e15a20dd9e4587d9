"""What an adapter read, cut into pieces: of one size, of one set of columns, with what was turned away."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus.intake import cut_pieces
from mw_pipeline.records.tables import Rejects


def batch(first: int, rows: int, name: str = "n") -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(range(first, first + rows), pa.int64())})


@given(sizes=st.lists(st.integers(0, 9), max_size=12), size=st.integers(1, 7))
def test_pieces_are_full_but_the_last_whatever_the_batches(sizes: list[int], size: int) -> None:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    pieces = [piece for piece, _ in cut_pieces(map(batch, starts, sizes), Rejects("test"), size)]

    assert [value for piece in pieces for value in piece["n"].to_pylist()] == list(range(sum(sizes)))
    assert all(piece.num_rows == size for piece in pieces[:-1])


def test_a_piece_ends_where_the_columns_change() -> None:
    batches = [batch(0, 3), batch(3, 2, "m"), batch(5, 4, "m")]

    pieces = [piece.to_pydict() for piece, _ in cut_pieces(batches, Rejects("test"), 4)]

    assert pieces == [{"n": [0, 1, 2]}, {"m": [3, 4, 5, 6]}, {"m": [7, 8]}]


@pytest.mark.parametrize("batches", [[], [batch(0, 0)]])
def test_what_was_turned_away_makes_a_piece_of_its_own_where_nothing_was_read(batches: list[pa.RecordBatch]) -> None:
    rejects = Rejects("test")
    rejects.add(1, "f:1", "ragged")

    ((piece, turned_away),) = cut_pieces(batches, rejects, 4)

    assert (piece.num_rows, turned_away.counts) == (0, {"ragged": 1})
    assert not rejects.counts
