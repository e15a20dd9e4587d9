"""The report page: numbers as computed, directions as they are, nothing fetched, equal input equal bytes."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest
from html_page import Page, words
from report_inputs import dataset_summary, everything, log

from mw_pipeline.report import cells
from mw_pipeline.report.cells import Table
from mw_pipeline.report.evaluation import tables
from mw_pipeline.report.evaluation.charts import calibration_svg
from mw_pipeline.report.evaluation.page import render_report
from mw_pipeline.report.runs import charts
from mw_pipeline.report.runs.tables import run_table, verdict_table
from mw_pipeline.verdict.runlog import RunLog


@pytest.fixture(scope="module")
def inputs():
    return everything()


@pytest.fixture(scope="module")
def page(inputs, tmp_path_factory):
    return Page(render_report(tmp_path_factory.mktemp("report") / "report.html", **inputs).read_text("utf-8"))


def test_the_page_needs_no_network_and_its_ids_are_its_own(page):
    assert len(page.ids) == len(set(page.ids)), "pictures must not share ids"
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)


def test_equal_input_gives_equal_bytes(inputs, tmp_path):
    first = render_report(tmp_path / "first.html", **inputs).read_bytes()
    with mpl.rc_context({"font.size": 20, "axes.grid": False}):
        second = render_report(tmp_path / "second.html", **inputs).read_bytes()

    assert first == second


def test_the_headline_is_the_scores_own(page, inputs):
    scores = inputs["scores"]
    low, high = scores["intervals"]["core_macro_f1"]

    assert f"core macro-F1 {scores['core_macro_f1']:.3f} 95 %: {low:.3f} … {high:.3f}" in words(page)
    assert f"{scores['rows']:,} gold rows of {scores['families']:,} families" in words(page)


def test_the_first_sentence_says_what_was_trained_on_what(page, inputs):
    assert (
        "An address parser of 1,622,243 parameters, trained on 400,000 rows of ban, tiger in 1,500 steps of 300 rows; "
        f"scored on {inputs['scores']['rows']} gold rows."
    ) in words(page)


def test_every_section_that_has_data_is_there(page):
    for title in ("Scores", "Tags", "Calibration", "Misses by bucket", "Against the baseline", "Training", "Verdict"):
        assert title in words(page)
    assert "campaigns/us_fr/wider" in words(page)
    assert 'loss.class_weights {"B-venue": 2.0}' in words(page)
    assert "ab" * 32 in words(page)


def test_a_passing_smoke_is_said_to_have_passed(page):
    assert "The smoke run passed: no failure rule fired over 800 near-peak steps (306 required)" in words(page)


def test_a_collapse_is_said_and_drawn(tmp_path):
    inputs = everything(collapse_at=600)
    page = Page(render_report(tmp_path / "report.html", **inputs).read_text("utf-8"))

    verdict = inputs["verdict"]
    assert verdict["outcome"] == "fail"
    assert f"The smoke run failed: {verdict['rule']} at step {verdict['step']}" in words(page)
    assert f"{verdict['rule']} at {verdict['step']}" in words(page)


def test_scores_alone_make_a_page(inputs, tmp_path):
    recipe = {**inputs["recipe"], "changes": {}}
    page = Page(render_report(tmp_path / "r.html", recipe=recipe, scores=inputs["scores"]).read_text("utf-8"))

    assert "No verdict was given for this run." in words(page)
    for title in ("Misses by bucket", "Training", "Data"):
        assert title not in words(page)


def test_predictions_without_confidences_have_no_calibration_plot(inputs, tmp_path):
    scores = {**inputs["scores"], "calibration": {"ece": None, "spans": 0, "buckets": []}}
    page = Page(render_report(tmp_path / "r.html", recipe=inputs["recipe"], scores=scores).read_text("utf-8"))

    assert "These predictions carry no confidences." in words(page)


def test_texts_from_addresses_are_escaped(inputs, tmp_path):
    diagnosis = {**inputs["diagnosis"]}
    miss = {"where": "x:1", "raw": "<script>alert(1)</script> & rue", "tag": "street", "gold": "<b>", "predicted": ""}
    diagnosis["examples"] = {"other": [miss]}
    path = render_report(tmp_path / "r.html", recipe=inputs["recipe"], scores=inputs["scores"], diagnosis=diagnosis)

    source = path.read_text("utf-8")
    assert "<script>" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; rue" in source


def test_held_out_rows_stand_beside_gold(inputs, tmp_path):
    held_out = {**inputs["scores"], "core_macro_f1": 0.98765, "rows": 2000}
    path = render_report(tmp_path / "r.html", recipe=inputs["recipe"], scores=inputs["scores"], held_out=held_out)

    text = words(Page(path.read_text("utf-8")))
    assert "2,000 rows of" in text
    assert "core macro-F1 0.9877" in text


def test_further_gold_sets_stand_below_the_own_one_with_what_was_not_there(inputs, tmp_path):
    real = {**inputs["scores"], "core_macro_f1": 0.54321, "rows": 700}
    path = render_report(
        tmp_path / "r.html",
        recipe=inputs["recipe"],
        scores=inputs["scores"],
        golden_sets={"real-us": real, "towns": {**real, "tags": ["locality"]}},
        gated=["real-us"],
        skipped=["more is not scored: 'x' matches no file"],
    )

    text = words(Page(path.read_text("utf-8")))
    own, _, further = text.partition("real-us 700")
    assert "project" in own
    assert "0.5432" in further
    assert "of the further sets real-us gate it too" in text
    assert "towns: 700 rows, scored tags: locality" in text
    assert "More is not scored: 'x' matches no file." in text


def test_small_slices_are_named_and_not_shown(page):
    shown, _, rest = words(page).partition("Not shown, with fewer than 5 rows each: ")

    assert rest.startswith("country AM")
    assert "country AM" not in shown


def test_the_worst_country_stands_first(inputs):
    table, _ = tables.slice_table(inputs["scores"], least_rows=5)
    scored = [float(row[2]) for row in table.rows if row[0].startswith("country ")]

    assert scored == sorted(scored)
    assert len(scored) > 1


def evals(*values):
    return tuple({"step": 100 * (i + 1), "val_macro_f1": f1, "val_loss": loss} for i, (f1, loss) in enumerate(values))


def test_best_and_last_are_both_shown_with_the_distance_computed():
    """M56: a report once printed only the final value, and an arrow that pointed the wrong way."""
    run = RunLog((), evals((0.40, 0.9), (0.50, 0.6), (0.45, 0.7)), {"label_entropy": 2.0})
    facts = dict(run_table({"full": run}).rows)

    assert facts["best validation macro-F1"] == "0.5000 at step 200"
    assert facts["last validation macro-F1"] == "0.4500 at step 300, 0.0500 below the best"
    assert facts["best validation loss"] == "0.6000 nats at step 200, 30.0 % of a constant guess"
    assert facts["last validation loss"] == "0.7000 nats at step 300"


def test_a_last_evaluation_that_is_the_best_is_said_to_be():
    facts = dict(run_table({"full": RunLog((), evals((0.4, 0.9), (0.5, 0.6)), {})}).rows)

    assert facts["last validation macro-F1"] == "0.5000 at step 200, the best"
    assert facts["best validation loss"] == "0.6000 nats at step 200"


def test_a_run_says_when_it_started_and_how_long_it_took():
    times = {"started_at": "2026-11-20T09:00:00Z", "ended_at": "2026-11-20T10:04:10+00:00"}
    facts = dict(run_table({"full": RunLog((), (), times)}).rows)

    assert facts["started"] == "2026-11-20 09:00:00 UTC"
    assert facts["took"] == "1 h 4 min 10 s"
    assert cells.duration("2026-11-20T09:00:00Z", None) == "–"


def test_evidence_that_the_log_could_not_give_is_left_out():
    verdict = {"exposure_ratio": None, "evidence": {"peak_f1": 0.91234, "learning_rate": None}}

    assert verdict_table(verdict).rows == (("peak f1", "0.9123", "best validation macro-F1"),)


def test_a_run_without_finite_evaluations_shows_dashes():
    facts = dict(run_table({"full": RunLog((), evals((float("nan"), None)), {})}).rows)

    assert facts["best validation macro-F1"] == facts["last validation loss"] == "–"


@pytest.mark.parametrize(
    ("difference", "shown"), [(0.0123, "+0.0123"), (-0.0123, "−0.0123"), (-0.00001, "+0.0000"), (None, "–")]
)
def test_a_change_has_the_sign_that_it_has(difference, shown):
    assert cells.change(difference) == shown


def test_directions_come_from_the_two_values(inputs):
    table = tables.difference_table(inputs["axes"]["en-us"]["regression"])

    for _, baseline, now, change, _, _ in table.rows:
        assert (float(now) > float(baseline)) == change.startswith("+") or now == baseline
        assert abs(float(now) - float(baseline)) == pytest.approx(float(change.strip("+−")), abs=1.01e-4)


def test_bucket_shares_are_of_their_own_side():
    diagnosis = {
        "order": ["other", "case_only"],
        "totals": {"fn": 4, "fp": 0},
        "buckets": {"case_only": {"fn": 1, "fp": 0}, "other": {"fn": 3, "fp": 0}},
        "meanings": {"case_only": "case", "other": "rest"},
    }

    assert tables.bucket_table(diagnosis).rows == (
        ("other", "3", "75.0 %", "0", "–", "rest"),
        ("case only", "1", "25.0 %", "0", "–", "case"),
    )


def test_a_tag_that_nobody_mentions_is_left_out(inputs):
    silent = {"support": 0, "tp": 0, "fp": 0, "fn": 0, "precision": None, "recall": None, "f1": None, "interval": None}
    scores = {
        **inputs["scores"],
        "per_tag": {**inputs["scores"]["per_tag"], "silent": silent, "noise": silent | {"fp": 2}},
    }
    scores["ceiling"] = {**scores["ceiling"], "per_tag": {}}
    tags = {row[0]: row for row in tables.tag_table(scores).rows}

    assert "silent" not in tags
    assert tags["noise"] == ("noise", "0", "0", "2", "0", "–", "–", "–", "–", "–")


def test_tables_read_as_markdown():
    table = Table(("tag", "F1"), (("a|b", "0.5"), ("c", "–")))

    assert table.as_markdown() == "| tag | F1 |\n| --- | --: |\n| a\\|b | 0.5 |\n| c | – |"


def test_survival_and_splits_are_counted():
    summary = dataset_summary()

    assert tables.survival_table(summary).rows[1] == ("street", "390,000", "10", "100.0 %")
    assert tables.split_table(summary).rows[1] == ("validation", "4,000", "52,000", "61", "v" * 12)


def test_a_picture_says_what_it_shows_and_scales():
    svg = charts.curves_svg({"full": log(steps=200, schedule="cosine")})

    assert svg.startswith("<svg ")
    assert 'role="img"' in svg
    assert "<title>Training curves of the full run: loss, validation macro-F1 and learning rate.</title>" in svg
    assert "viewBox" in svg
    assert not re.search(r'<svg [^>]*\b(width|height)="', svg)
    assert "<metadata>" not in svg


def test_values_that_are_not_finite_leave_a_gap():
    rows = tuple({"step": s, "loss": v, "lr": 1e-3} for s, v in ((1, 2.0), (2, float("nan")), (3, float("inf"))))

    assert charts.curves_svg({"smoke": RunLog(rows, (), {})}).count("nan") == 0


def test_an_empty_log_is_an_empty_picture():
    assert charts.curves_svg({"smoke": RunLog((), (), {})}).startswith("<svg ")


def test_the_running_median_is_of_the_last_five():
    assert charts._running_median([5, 1, 3, 9, 7, 0]) == [5, 3, 3, 4, 5, 3]


def test_a_long_run_is_thinned_without_losing_a_spike():
    steps = [float(step) for step in range(50_000)]
    values = [1.0] * 50_000
    values[31_415] = 9.0
    kept_steps, kept = charts._thinned(steps, values)

    assert len(kept) <= 2000
    assert kept[kept_steps.index(31_415.0)] == 9.0
    assert kept_steps == sorted(kept_steps)
    assert charts._thinned([1.0, 2.0], [5.0, 4.0]) == ([1.0, 2.0], [5.0, 4.0])


def test_drawing_leaves_the_callers_style_alone():
    before = dict(mpl.rcParams)
    calibration_svg([])

    assert dict(mpl.rcParams) == before


def test_the_template_ships_with_the_package():
    import mw_pipeline

    assert (Path(mw_pipeline.__file__).parent / "report" / "templates" / "evaluation.html.jinja").is_file()
