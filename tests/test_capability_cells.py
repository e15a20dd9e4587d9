"""The score of a cell, its interval and its verdict, on numbers worked out by hand."""

from __future__ import annotations

import pytest

from mw_pipeline.capability.cells import Cell, CellKey, MatrixRow, cell_of, score_cells, wilson
from mw_pipeline.errors import CorpusError
from mw_pipeline.stages.checks.release import told_apart

KEY = CellKey("region name", ("Vermont",))
OTHER = CellKey("subset × order", ("street + region", "native"))


@pytest.mark.parametrize(
    ("right", "low", "high", "verdict"),
    [(40, 0.912, 1.0, "seen"), (30, 0.598, 0.858, "seen"), (24, 0.446, 0.737, "blind")],
)
def test_the_interval_and_verdict_of_a_cell_are_those_of_the_vectors(
    right: int, low: float, high: float, verdict: str
) -> None:
    cell = cell_of(KEY, right=right, rows=40, min_cell=0.80)

    assert cell.low == pytest.approx(low, abs=5e-4)
    assert cell.high == pytest.approx(high, abs=5e-4)
    assert cell.verdict == verdict


def test_the_interval_never_leaves_zero_to_one() -> None:
    assert wilson(0, 40)[0] == 0.0
    assert wilson(40, 40)[1] == 1.0
    assert wilson(0, 40)[1] == pytest.approx(1 - wilson(40, 40)[0])


def test_a_cell_of_fewer_than_forty_rows_says_so_however_wrong_it_is() -> None:
    assert cell_of(KEY, right=0, rows=39, min_cell=0.80).verdict == "too few"
    assert cell_of(KEY, right=0, rows=40, min_cell=0.80).verdict == "blind"
    assert cell_of(KEY, right=0, rows=0, min_cell=0.80).sentence() == "region name: Vermont has no row"


def test_a_floor_of_zero_lets_every_cell_pass() -> None:
    assert cell_of(KEY, right=0, rows=4000, min_cell=0.0).verdict == "seen"


ROWS = [
    MatrixRow("Elm St, Vermont", {"street": "Elm St", "region": "Vermont"}, (KEY, OTHER)),
    MatrixRow("Oak St, Vermont", {"street": "Oak St", "region": "Vermont"}, (KEY,)),
]


def scored(*read: dict[str, str], tags: tuple[str, ...] = ("street", "region")) -> dict[CellKey, Cell]:
    return {cell.key: cell for cell in score_cells(ROWS, read, tags=tags, min_cell=0.8, policy="normalised")}


def test_a_row_is_right_when_all_of_its_components_are_under_the_policy() -> None:
    found = scored({"street": "ELM ST.", "region": "vermont"}, {"street": "Oak St", "region": ""})

    assert (found[KEY].right, found[KEY].rows) == (1, 2)
    assert (found[OTHER].right, found[OTHER].rows) == (1, 1)
    assert found[KEY].miss is not None
    assert found[KEY].miss.raw == "Oak St, Vermont"
    assert found[OTHER].miss is None


def test_a_component_too_many_makes_a_row_wrong_and_one_without_a_label_does_not() -> None:
    right = {"street": "Elm St", "region": "Vermont"}

    assert scored({**right, "locality": "Elm"}, right, tags=("street", "region", "locality"))[OTHER].right == 0
    assert scored({**right, "locality": "Elm"}, right)[OTHER].right == 1


def test_a_cell_that_lost_all_of_its_rows_is_still_there() -> None:
    lost = CellKey("region code", ("VT",))
    cells = score_cells(ROWS, [{}, {}], tags=("street",), min_cell=0.8, policy="strict", keys=[lost])

    assert [(cell.key, cell.verdict) for cell in cells if cell.key == lost] == [(lost, "too few")]


def test_an_answer_for_each_row_is_demanded() -> None:
    with pytest.raises(CorpusError, match="1 answers to 2 rows: expected one for each"):
        score_cells(ROWS, [{}], tags=("street",), min_cell=0.8, policy="strict")


def test_a_cell_comes_back_from_its_json() -> None:
    for cell in scored({"street": "Elm St"}, {}).values():
        assert Cell.from_json(cell.as_json()) == cell


def test_blind_cells_of_families_that_the_recipe_knows_of_refuse_nothing_and_all_others_do():
    vermont = ("en-us", cell_of(CellKey("region name", ("Vermont",)), right=0, rows=40, min_cell=0.8))
    latvia = ("en-us", cell_of(CellKey("country abroad", ("Latvia",)), right=1, rows=40, min_cell=0.8))

    assert told_apart([vermont, latvia], ("country abroad",)) == ([latvia], [vermont])
    assert told_apart([vermont, latvia], ()) == ([], [vermont, latvia])
