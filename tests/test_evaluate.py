from __future__ import annotations

import dataclasses
import json

import pytest
from gold_rows import golden_of

from mw_pipeline.errors import CorpusError
from mw_pipeline.evaluate.evaluation import as_table, evaluate
from mw_pipeline.evaluate.predictions import Prediction
from mw_pipeline.labels import STAGE2, STAGE3

ROWS = [
    {"raw": "Paris, France", "components": {"locality": "Paris", "country": "France"}, "country": "FR", "base_id": "p"},
    {
        "raw": "PARIS",
        "components": {"locality": "PARIS"},
        "country": "FR",
        "base_id": "p",
        "stratum": "adversarial/upper",
    },
    {"raw": "Austin, TX", "components": {"locality": "Austin", "region": "TX"}, "country": "US"},
    {"raw": "Apt 4, Reno", "components": {"locality": "Reno", "unit": "Apt 4"}, "country": "US"},
]
GOLDEN = golden_of(ROWS, name="mine")
FOUND = [
    Prediction({"locality": "Paris", "country": "France"}, {"locality": 0.95, "country": 0.85}),
    Prediction({"locality": "Paris"}, {"locality": 0.45}),
    Prediction({"locality": "Austin", "region": "TX"}, {"locality": 0.95}),
    Prediction({"po_box": "4"}, {"po_box": 0.5}),
]


UNITS = ("unit", "po_box", "intersection_a", "intersection_b")


def report_of(golden=GOLDEN, predictions=FOUND, **options):
    return evaluate(golden, predictions, **{"decoder": "test", "resamples": 50, **options}).report


def test_a_report_holds_scores_denominators_ceilings_and_both_policies():
    report = report_of()

    assert (report["rows"], report["families"], report["exact_match"]) == (4, 3, 0.5)
    assert report["per_tag"]["locality"]["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert report["denominators"]["macro_f1"] == ["country", "region", "locality", "unit"]
    assert report["ceiling"]["macro_f1"] == 1.0
    assert report["policies"]["strict"]["exact_match"] == 0.5
    assert report["policies"]["normalised"]["exact_match"] == 0.75
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_tags_outside_the_label_set_are_counted_and_not_scored():
    two, three = report_of(labels=STAGE2), report_of(labels=STAGE3)

    assert two["not_scored"] == {"gold": {"unit": 1}, "predicted": {"po_box": 1}}
    assert three["not_scored"] == {"gold": {}, "predicted": {}}
    assert three["per_tag"]["unit"]["fn"] == three["per_tag"]["po_box"]["fp"] == 1


def test_a_row_with_a_value_that_the_labels_cannot_say_is_no_exact_match_however_well_the_rest_is_read():
    rows = [
        {"raw": "Apt 4", "components": {"unit": "Apt 4"}, "country": "US"},
        {"raw": "Apt 5, Austin", "components": {"unit": "Apt 5", "locality": "Austin"}, "country": "US"},
        {"raw": "Austin", "components": {"locality": "Austin"}, "country": "US"},
    ]
    golden = golden_of(rows, name="g")
    found = [Prediction({}), Prediction({"locality": "Austin"}), Prediction({"locality": "Austin"})]

    report = report_of(golden, found, labels=STAGE2)

    assert (report["exact_match"], report["micro_f1"]) == (pytest.approx(1 / 3), 1.0)
    assert report["beyond_labels"] == {"tags": ["street_prefix", "street_suffix", *UNITS], "rows": 2}
    assert report["ceiling"]["exact_match"] == report["policies"]["strict"]["exact_match"] == pytest.approx(1 / 3)
    assert report["slices"]["country"]["US"]["exact_match"] == pytest.approx(1 / 3)


def test_rows_whose_values_the_labels_can_say_or_that_are_labelled_for_some_tags_alone_may_all_be_exact():
    rows = [{"raw": "Apt 4, Austin", "components": {"unit": "Apt 4", "locality": "Austin"}, "country": "US"}]
    golden = golden_of(rows, name="g")
    whole, part = [Prediction({"unit": "Apt 4", "locality": "Austin"})], [Prediction({"locality": "Austin"})]

    complete = report_of(golden, whole, labels=STAGE3)
    for_some = report_of(dataclasses.replace(golden, tags=("locality",)), part, labels=STAGE2)

    assert complete["exact_match"] == for_some["exact_match"] == 1.0
    assert complete["beyond_labels"] == for_some["beyond_labels"] == {"tags": [], "rows": 0}


def test_a_set_that_is_complete_for_some_tags_is_scored_on_these_alone():
    some = dataclasses.replace(GOLDEN, tags=("locality", "region"))
    found = [dataclasses.replace(p, components={**p.components, "venue": "x"}) for p in FOUND]

    report, everything = report_of(some, found), report_of(GOLDEN, found)

    assert report["tags"] == ["region", "locality"]
    assert report["denominators"]["macro_f1"] == ["region", "locality"]
    assert (report["exact_match"], everything["exact_match"]) == (0.5, 0.0)
    assert report["not_scored"]["predicted"] == {"country": 1, "po_box": 1, "venue": 4}
    assert report["hashes"]["gold"] != everything["hashes"]["gold"]


def test_slices_are_scored_alone_and_empty_ones_are_absent():
    slices = report_of()["slices"]

    assert (slices["adversarial"]["rows"], slices["adversarial"]["exact_match"]) == (1, 0.0)
    assert slices["without_adversarial"]["rows"] == 3
    assert {code: part["exact_match"] for code, part in slices["country"].items()} == {"FR": 0.5, "US": 0.5}
    assert list(slices["stratum"]) == ["adversarial/upper", "mine"]
    assert "adversarial" not in report_of(golden_of(ROWS[2:], name="g"), FOUND[2:])["slices"]


def test_calibration_covers_the_scored_values_whose_confidence_is_known():
    calibration = report_of()["calibration"]

    # 0.95 twice and 0.85 are right, 0.45 and the po_box of 0.5 are wrong.
    assert calibration["spans"] == 5
    assert calibration["ece"] == pytest.approx((2 * 0.05 + 0.15 + 0.45 + 0.5) / 5)
    assert report_of(labels=STAGE2)["calibration"]["spans"] == 4


def test_the_hashes_change_with_gold_labels_policy_and_decoder():
    base = report_of()["hashes"]
    others = {
        "gold": report_of(golden_of(ROWS[:2], name="g"), FOUND[:2]),
        "labels": report_of(labels=STAGE2),
        "policy": report_of(policy="normalised"),
        "decoder": report_of(decoder="argmax"),
    }

    for name, report in others.items():
        assert [key for key in base if report["hashes"][key] != base[key]] == [name]


def test_an_unlisted_policy_is_refused():
    with pytest.raises(CorpusError, match="match policy 'loose' is not known"):
        report_of(policy="loose")


def test_the_table_shows_a_ceiling_beside_every_score():  # M48
    lines = as_table(report_of()).splitlines()

    assert lines[2].startswith("| macro_f1 | 0.6429")  # (1 + 4/7 + 1 + 0) / 4
    assert all(line.count("|") == 6 for line in lines)
    assert "| exact_match | 0.5000 |" in "\n".join(lines)
    assert any(line.startswith("| cedex | – | – | – | 0 |") for line in lines)
