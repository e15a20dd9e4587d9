"""What a report does with little: one family of gold, addresses on several lines, runs that logged different things."""

from __future__ import annotations

import json

import pytest
from report_inputs import RECIPE, golden, log, noisy

from mw_pipeline.evaluate.buckets import BUCKETS
from mw_pipeline.evaluate.diagnose import diagnose
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.report import cells
from mw_pipeline.report.cells import Table
from mw_pipeline.report.evaluation import charts, tables
from mw_pipeline.report.evaluation.page import render_report
from mw_pipeline.report.runs.tables import run_table


def test_gold_of_one_family_has_no_intervals_and_still_a_page(tmp_path):
    gold = GoldenSet(golden().rows[:1])
    scores = evaluate(gold, noisy(gold, seed=0, mistakes=0.0), decoder=CONSTRAINED_DECODER).report

    page = render_report(tmp_path / "report.html", recipe=RECIPE, scores=scores).read_text(encoding="utf-8")

    assert "<title>F1 of each tag" in page


def test_tags_and_buckets_stand_in_their_own_order_when_read_from_a_file():
    gold = golden()
    predictions = noisy(gold, seed=1, mistakes=0.3)
    scores = evaluate(gold, predictions, decoder=CONSTRAINED_DECODER, resamples=10).report
    misses = diagnose(gold, predictions, decoder=CONSTRAINED_DECODER, resamples=10)
    written = [json.loads(json.dumps(value, sort_keys=True)) for value in (scores, misses)]

    assert tables.tag_table(written[0]) == tables.tag_table(scores)
    assert charts.tag_scores_svg(written[0]["per_tag"], {}) == charts.tag_scores_svg(scores["per_tag"], {})
    assert tables.bucket_table(written[1]) == tables.bucket_table(misses)
    assert [row[0].replace(" ", "_") for row in tables.bucket_table(misses).rows] == list(BUCKETS)


def test_an_address_on_several_lines_stays_in_its_cell():
    table = Table(("text", "rows"), (("12 Oak St\nTroy, NY|12180", "3"),))

    assert table.as_markdown().splitlines()[2] == "| 12 Oak St ⏎ Troy, NY\\|12180 | 3 |"


def test_a_fact_that_one_of_two_runs_has_stands_in_the_table():
    smoke, full = log(steps=200, schedule="constant"), log(steps=400, schedule="cosine")
    for row in full.steps:
        row.update(ce=0.5, crf=0.5, sigmas={"ce": 0.7, "crf": 0.7})
    shown = {name: values for name, *values in run_table({"smoke": smoke, "full": full}).rows}

    of_smoke, of_full = shown["learned weights"]
    assert of_smoke == cells.NOTHING
    assert of_full.startswith("learned task weights (ce 50.00%, crf 50.00%)")


@pytest.mark.parametrize("text", ["2026-11-20T09:30:00", "2026-11-20T09:30:00+00:00", "2026-11-20T11:30:00+02:00"])
def test_times_are_shown_in_utc(text: str):
    assert cells.moment(text) == "2026-11-20 09:30:00 UTC"
