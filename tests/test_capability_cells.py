"""The score of a cell, its interval and its verdict, on numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
from matrix_inputs import VERMONT, small_matrix

from mw_pipeline.capability.cells import Cell, CellKey, MatrixRow, cell_of, score_cells, wilson
from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.errors import ArtifactError, CorpusError
from mw_pipeline.stages.checks.capability import lacking_cells, of_other_rows, told_apart

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
        assert Cell.from_json(cell.as_json(), min_cell=0.8) == cell


def test_a_verdict_that_was_written_by_hand_is_taken_from_the_counts_again() -> None:
    # M65: the counts of Vermont say 0 of 40, whatever stands beside them.
    true = small_matrix()
    forged = true.as_json()
    forged |= {"min_cell": 0.0, "blind": 0}
    forged["matrix"] = [{**cell, "verdict": "seen", "low": 0.9, "high": 1.0} for cell in forged["matrix"]]

    found = CapabilityMatrix.from_json(forged, min_cell=0.8)

    assert [cell.key for cell in found.blind] == [VERMONT]
    assert found == true


@pytest.mark.parametrize("counts", [{"right": 41}, {"right": -1}, {"rows": -1, "right": -1}])
def test_counts_that_no_rows_have_are_refused(counts: dict[str, int]) -> None:
    value = cell_of(KEY, right=40, rows=40, min_cell=0.8).as_json()
    assert Cell.from_json(value, min_cell=0.8).right == 40

    with pytest.raises(ArtifactError, match=r"cell 'region name: Vermont' of a capability matrix: right on -?\d+ of "):
        Cell.from_json({**value, **counts}, min_cell=0.8)


def test_a_matrix_that_lacks_a_cell_or_has_none_is_a_finding_by_its_names() -> None:
    whole = small_matrix()
    asked = [cell.key for cell in whole.cells]
    without = dataclasses.replace(whole, cells=tuple(cell for cell in whole.cells if cell.key != VERMONT))

    assert lacking_cells(whole, asked) == []
    assert lacking_cells(without, asked) == [
        "en-us: the matrix lacks 1 of 6 cells, region name: Vermont: "
        "materialize capability_matrix and packaged_weights again"
    ]
    (nothing,) = lacking_cells(dataclasses.replace(whole, cells=()), asked)
    assert nothing.startswith("en-us: the matrix lacks 6 of 6 cells, region name: Vermont; region name: Ohio; ")


def test_a_matrix_of_other_bytes_places_or_training_rows_is_a_finding() -> None:
    matrix = dataclasses.replace(small_matrix(), compared="c" * 64)

    def findings_of(changed: CapabilityMatrix) -> list[str]:
        return of_other_rows(changed, locale="en-us", network="a" * 64, corpus="c" * 64)

    assert findings_of(matrix) == []
    for name, value in {"locale": "fr-fr", "seed": 7, "policy": "strict", "compared": ""}.items():
        (finding,) = findings_of(dataclasses.replace(matrix, **{name: value}))
        assert finding.startswith(f"en-us: the matrix has {name} = {value!r}, expected ")
    assert findings_of(dataclasses.replace(matrix, measured_on="b" * 64))[0].startswith(
        "en-us: the matrix was measured on other"
    )


def test_blind_cells_of_families_that_the_recipe_knows_of_refuse_nothing_and_all_others_do():
    vermont = ("en-us", cell_of(CellKey("region name", ("Vermont",)), right=0, rows=40, min_cell=0.8))
    latvia = ("en-us", cell_of(CellKey("country abroad", ("Latvia",)), right=1, rows=40, min_cell=0.8))

    assert told_apart([vermont, latvia], ("country abroad",)) == ([latvia], [vermont])
    assert told_apart([vermont, latvia], ()) == ([], [vermont, latvia])
