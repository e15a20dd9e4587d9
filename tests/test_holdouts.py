from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from aligned_rows import keys_beside
from test_rows_schema import row

from mw_pipeline.corpus.holdouts import held_out_places_stay_out, holdout_coverage, holdout_is_covered
from mw_pipeline.corpus.leaks import write_exclusions
from mw_pipeline.corpus.places import place_keys
from mw_pipeline.corpus.splits import TEST, TRAIN, VALIDATION, place_fold

SHARE = 0.3


def town_of(fold: int) -> str:
    """The first made-up town of the United States that falls into a fold."""
    towns = [f"Town {number}" for number in range(100)]
    return towns[place_fold(pa.array(["US"] * 100), pa.array(towns), SHARE).tolist().index(fold)]


def lying_in(number: int, town: str, split: str = "train", **changes: Any) -> dict[str, Any]:
    """A row whose record lies in a town, written out where nothing else is said."""
    (key,) = place_keys(pa.array(["US"]), pa.array([""]), pa.array([town])).to_pylist()
    spans = {"components": [("locality", town)], "span_tags": ["locality"], "span_starts": [0]}
    written = {"country": "US", "place": key, "raw": town, "span_ends": [len(town)]}
    return row(number, split=split, base_id=f"family {number}", **(spans | written | changes))


def test_rows_of_held_out_places_in_the_splits_kept_for_them_are_no_finding(shards: Any):
    files = shards(
        [lying_in(1, town_of(TRAIN)), lying_in(2, town_of(VALIDATION), "validation")],
        [lying_in(3, town_of(TEST), "test"), lying_in(4, town_of(VALIDATION), "test"), row(5, split="train")],
    )

    assert held_out_places_stay_out(files, SHARE) == []


def test_a_row_of_a_held_out_place_that_trains_is_found_even_where_it_does_not_write_the_town(shards: Any):
    partial = {"components": [], "span_tags": [], "span_starts": [], "span_ends": [], "raw": "CO", "method": "partial"}
    town = town_of(TEST)

    found = held_out_places_stay_out(shards([lying_in(1, town, **partial), lying_in(2, town, "validation")]), SHARE)

    assert found == [
        f"1 rows of held-out places are in train: 'made:1:0' in {town.lower()!r}",
        f"1 rows of held-out places are in validation: 'made:2:0' in {town!r}",
    ]


def test_a_training_row_that_writes_a_held_out_town_is_found_whatever_its_record_says(shards: Any):
    town = town_of(VALIDATION)
    files = shards([lying_in(1, town.upper(), place=""), lying_in(2, town, place="US:ohio:elsewhere")])

    assert len(held_out_places_stay_out(files, SHARE)) == 1
    assert held_out_places_stay_out(files, SHARE)[0].startswith("2 rows of held-out places are in train")
    assert held_out_places_stay_out(files, 0.0) == []


def test_excluded_rows_of_held_out_places_are_left_aside(shards: Any, tmp_path: Path):
    town = town_of(TEST)
    files = shards([lying_in(1, town), lying_in(2, town, "test")])
    assert len(held_out_places_stay_out(files, SHARE)) == 1

    assert write_exclusions(keys_beside(files), tmp_path / "x.parquet") == {"text_held_out": 1}

    assert held_out_places_stay_out(files, SHARE, tmp_path / "x.parquet") == []


def test_a_source_without_regions_escapes_the_holdout_and_is_named(shards: Any):
    files = shards([row(1, region_key="FR:bretagne"), row(2)], [row(3, source="bare")])

    regions = ("FR:bretagne",)

    assert holdout_is_covered(holdout_coverage(files, holdout_regions=regions), holdout_regions=regions) == [
        "bare: none of its 1 rows has a region, so FR:bretagne cannot be held out of it"
    ]
    assert holdout_is_covered(holdout_coverage(files)) == []


def test_sources_with_regions_cover_the_holdout_whether_they_touch_it_or_not(shards: Any):
    files = shards(
        [row(1, region_key="FR:bretagne"), row(2, region_key="FR:corse"), row(3)],
        [row(4, source="south", region_key="FR:Corse")],
    )

    coverage = holdout_coverage(files, holdout_regions=("FR:corse",))

    facts = [(c.source, c.rows, c.with_region, len(c.regions), c.held_out) for c in coverage]
    assert facts == [("made", 3, 2, 2, 1), ("south", 1, 1, 1, 1)]
    assert holdout_is_covered(coverage, holdout_regions=("FR:corse",)) == []


def test_a_region_in_which_no_row_lies_holds_nothing_out_and_is_named(shards: Any):
    files = shards([row(1, region_key="DE:bayern")], [row(2, source="north", region_key="DE:Sachsen")])
    named = ("DE:bayren", "DE:sachsen")

    (found,) = holdout_is_covered(holdout_coverage(files, holdout_regions=named), holdout_regions=named)

    assert found.startswith("holdout_regions: no row of any source lies in 'DE:bayren', so it holds nothing out")


def test_a_source_without_places_escapes_the_holdout_of_places_and_is_named(shards: Any):
    files = shards(
        [lying_in(1, town_of(TEST), "test"), lying_in(2, town_of(TEST), "test"), lying_in(3, town_of(TRAIN))],
        [row(4, source="bare")],
    )

    coverage = holdout_coverage(files, places_share=SHARE)

    facts = {c.source: (c.rows, c.with_place, c.places, c.places_held_out, c.held_out) for c in coverage}
    assert facts == {"made": (3, 3, 2, 1, 2), "bare": (1, 0, 0, 0, 0)}
    assert holdout_is_covered(coverage, places_share=SHARE) == [
        "bare: none of its 1 rows has a place, so no place can be held out of it"
    ]
    assert holdout_is_covered(coverage) == []
