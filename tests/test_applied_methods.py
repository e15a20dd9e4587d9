"""Augmentations that change no row of a whole country are named; habits of other countries are not missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from aligned_rows import aligned_row, shard

from mw_pipeline.corpus.applied_methods import applied_methods, methods_apply

DOSES = {"abbreviation": 0.2, "case": 0.3, "zip4": 0.2, "cedex": 0.2, "typos": 0.0}


def rows(country: str, number: int, *methods: str | None) -> list[dict]:
    """That many rows of a country, the methods in turn."""
    return [
        {
            **aligned_row(f"{country}{n}", [("locality", f"Town {n}")]),
            "country": country,
            "method": methods[n % len(methods)],
        }
        for n in range(number)
    ]


def found_in(folder: Path, *countries: list[dict]) -> list[str]:
    file = shard(folder / "rows.parquet", [row for part in countries for row in part])
    return methods_apply(applied_methods([file], DOSES))


AMERICAN = rows("US", 600, None, "abbreviation+case", "zip4")
FRENCH = rows("FR", 600, None, "abbreviation", "cedex+case")


def test_a_method_that_changed_no_row_of_a_country_is_named_with_the_rows_it_should_have_changed(
    tmp_path: Path,
) -> None:
    # M76
    assert found_in(tmp_path, AMERICAN, rows("FR", 600, None, "cedex+case")) == [
        "abbreviation: changed none of the 600 rows of FR, where its dose of 0.2 asks for 120"
    ]


def test_methods_that_change_rows_of_every_country_they_are_for_are_no_finding(tmp_path: Path) -> None:
    # No CEDEX in the United States, no ZIP+4 in France.
    assert found_in(tmp_path, AMERICAN, FRENCH) == []


def test_a_country_that_has_the_habit_is_asked_for_it(tmp_path: Path) -> None:
    assert found_in(tmp_path, AMERICAN, rows("FR", 600, "abbreviation+case")) == [
        "cedex: changed none of the 600 rows of FR, where its dose of 0.2 asks for 120"
    ]


@pytest.mark.parametrize(("number", "findings"), [(50, 0), (300, 2)])
def test_a_few_towns_of_a_country_are_there_for_their_names(tmp_path: Path, number: int, findings: int) -> None:
    # 50 of 1,250 rows are 4 %; of 300, the doses would change 60 and 90.
    assert len(found_in(tmp_path, AMERICAN, FRENCH, rows("JP", number, None))) == findings


def test_a_dose_that_may_have_met_no_row_by_chance_is_no_finding(tmp_path: Path) -> None:
    assert found_in(tmp_path, rows("US", 100, "zip4+case")) == []
