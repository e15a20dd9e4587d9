from __future__ import annotations

from collections import Counter

from mw_pipeline.corpus.augment import Tally
from mw_pipeline.corpus.waterfall import Flow, MethodFlow, Waterfall, quarantine_within_budget, rows_are_conserved
from mw_pipeline.recipe import Budgets

BUDGETS = Budgets(quarantine_share=0.05, reason_share=0.03, method_share=0.02)


def sound() -> Waterfall:
    """1,000 records read and 1,800 rows composed, with nothing lost silently."""
    return Waterfall(
        source="ban",
        adapter="ban",
        variants=2,
        records=Flow(1_000, 900, Counter(no_street=30, no_city=20), Counter(country_not_in_corpus=40), 10),
        rows=Flow(1_800, 1_780, Counter(spans_do_not_fit=10), Counter(), 10),
        methods={"order": MethodFlow(600, 500, 10)},
        holdout_records=7,
    )


def test_a_sound_waterfall_adds_up_and_stays_within_budget():
    assert rows_are_conserved(sound()) == []
    assert quarantine_within_budget(sound(), BUDGETS) == []


def test_a_lost_record_is_found():
    waterfall = sound()
    waterfall.records.read += 1

    assert rows_are_conserved(waterfall) == [
        "ban: 1001 records read but 1000 accounted for: 900 kept, 50 quarantined, 40 filtered, 10 deduplicated"
    ]


def test_a_lost_row_is_found():
    waterfall = sound()
    waterfall.rows.kept -= 5

    (finding,) = rows_are_conserved(waterfall)
    assert "1800 rows read but 1795 accounted for" in finding


def test_a_record_that_was_not_composed_is_found():
    waterfall = sound()
    waterfall.variants = 3

    assert rows_are_conserved(waterfall) == ["ban: 1800 rows composed, but 900 kept records times 3 variants are 2700"]


def test_quarantine_above_the_budget_of_the_source_is_found():
    waterfall = sound()
    waterfall.records.quarantined["no_house"] = 25

    assert quarantine_within_budget(waterfall, BUDGETS) == [
        "ban: quarantined records: 75 of 1000 (7.5%) where 5.0% is allowed"
    ]


def test_one_absent_field_above_its_budget_is_found():
    waterfall = sound()
    waterfall.records.quarantined = Counter(no_street=40)

    assert quarantine_within_budget(waterfall, BUDGETS) == [
        "ban: records quarantined as 'no_street': 40 of 1000 (4.0%) where 3.0% is allowed"
    ]


def test_one_augmentation_that_breaks_rows_is_found_though_the_source_is_within_budget():
    waterfall = sound()
    waterfall.methods["order"].quarantined = 11

    assert quarantine_within_budget(waterfall, BUDGETS) == [
        "ban: rows quarantined after augmentation 'order': 11 of 500 (2.2%) where 2.0% is allowed"
    ]


def test_a_budget_of_its_own_holds_for_one_augmentation_and_leaves_the_others():
    waterfall = sound()
    waterfall.methods = {"order": MethodFlow(600, 500, 20), "typos": MethodFlow(600, 500, 20)}
    budgets = BUDGETS.model_copy(update={"methods": {"order": 0.04}})

    assert quarantine_within_budget(waterfall, budgets) == [
        "ban: rows quarantined after augmentation 'typos': 20 of 500 (4.0%) where 2.0% is allowed"
    ]


def test_a_filter_that_drops_most_of_a_source_is_found():
    waterfall = sound()
    waterfall.records.filtered = Counter(country_not_in_corpus=940)

    assert quarantine_within_budget(waterfall, BUDGETS) == [
        "ban: records dropped by 'country_not_in_corpus': 940 of 1000 (94.0%) where 50.0% is allowed"
    ]


def test_an_empty_source_is_within_any_budget():
    assert quarantine_within_budget(Waterfall("none", "ban", 2), BUDGETS) == []


def test_a_waterfall_is_read_back_as_it_was_written():
    value = sound().as_json()

    assert Waterfall.from_json(value) == sound()
    assert value["quarantined"] == {"no_city": 20, "no_street": 30}
    assert value["rows"]["kept"] == 1_780
    assert value["methods"]["order"] == {"asked": 600, "applied": 500, "failed": 100, "quarantined": 10}


def test_tallies_of_batches_add_up():
    flow = MethodFlow()
    for tally in (Tally(10, 4), Tally(5, 5)):
        flow += tally

    assert flow.as_json() == {"asked": 15, "applied": 9, "failed": 6, "quarantined": 0}


def test_the_line_for_a_waiting_person_has_the_counts():
    assert sound().one_line() == "ban: 1,000 records read, 900 kept, 1,780 rows"
