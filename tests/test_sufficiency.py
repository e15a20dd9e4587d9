"""One rule says whether there is data enough, before a run and after it."""

from __future__ import annotations

from mw_pipeline.sufficiency import shortages


def test_thirty_pieces_a_label_and_four_passes_are_enough() -> None:
    assert shortages({"O": 500, "B-street": 30}, rows=100, samples=400, parameters=9, pieces=9) == ()


def test_each_shortage_is_named_with_its_numbers() -> None:
    """M27: twenty times more parameters than pieces."""
    found = shortages({"O": 500, "B-cedex": 29, "I-cedex": 0}, rows=100, samples=410, parameters=40_000, pieces=2000)

    assert found == (
        "fewer than 30 training pieces have the label B-cedex (29), I-cedex (0)",
        "each training row is seen 4.1 times: more rows teach more than more steps",
        "40,000 parameters learn from 2,000 pieces",
    )


def test_a_dataset_without_rows_is_named_and_not_divided_by() -> None:
    assert shortages({}, rows=0, samples=400) == ("there is no training row",)


def test_what_nobody_recorded_is_not_judged() -> None:
    assert shortages({}, rows=None, samples=400, parameters=9, pieces=None) == ()
