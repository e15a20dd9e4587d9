from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.errors import CorpusError, GateError
from mw_pipeline.metrics.scores import Scored, ceiling, compare, demand_comparable, outcomes, scores

TAGS = ("locality", "postcode", "street", "cedex")
HASHES = {"gold": "g", "labels": "l", "policy": "p", "decoder": "d"}

# Four rows. locality: right, wrong, missing, right. postcode: right, absent, spurious, absent. street: never in gold,
# predicted once. cedex: on neither side.
GOLD = [{"locality": "Paris", "postcode": "75001"}, {"locality": "Lyon"}, {"locality": "Nice"}, {"locality": "Metz"}]
FOUND = [
    {"locality": "Paris", "postcode": "75001"},
    {"locality": "lyon"},
    {"postcode": "06000", "street": "rue Haute"},
    {"locality": " Metz "},
]


def scored(gold, predicted, *, tags=TAGS, policy="strict", families=None, hashes=HASHES):
    return Scored(outcomes(gold, predicted, tags=tags, policy=policy, families=families), hashes)


def test_the_scores_of_four_rows_are_those_computed_by_hand():
    found = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="strict"))

    locality, postcode, street = (found["per_tag"][tag] for tag in ("locality", "postcode", "street"))
    assert [locality[key] for key in ("tp", "fp", "fn", "support")] == [2, 1, 2, 4]
    assert (locality["precision"], locality["recall"], locality["f1"]) == (2 / 3, 1 / 2, 4 / 7)
    assert (postcode["tp"], postcode["fp"], postcode["fn"], postcode["f1"]) == (1, 1, 0, 2 / 3)
    assert (street["fp"], street["support"], street["recall"], street["f1"]) == (1, 0, None, 0.0)
    assert found["macro_f1"] == pytest.approx((4 / 7 + 2 / 3) / 2)
    assert found["micro_f1"] == 2 * 3 / (2 * 3 + 3 + 2)
    assert found["exact_match"] == 2 / 4


def test_every_macro_names_the_tags_that_it_is_over():  # M45
    found = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="strict"))

    assert found["denominators"] == {
        "macro_f1": ["locality", "postcode"],
        "core_macro_f1": ["locality", "postcode"],
        "coarse_f1": ["locality", "postcode"],
        "fine_f1": [],
    }
    assert found["without_support"] == ["street", "cedex"]
    assert found["fine_f1"] is None
    assert found["intervals"]["fine_f1"] is None


def test_a_tag_without_gold_support_does_not_change_the_macro():  # M45
    base = scores(outcomes(GOLD, FOUND, tags=TAGS[:2], policy="strict"))
    wider = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="strict"))

    assert wider["macro_f1"] == base["macro_f1"]


def test_the_policy_decides_whether_a_change_of_case_is_a_miss():
    found = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="normalised"))

    assert found["per_tag"]["locality"]["tp"] == 3


def test_a_tag_on_neither_side_has_no_scores_at_all():
    facts = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="strict"))["per_tag"]["cedex"]

    assert facts == {
        "tp": 0,
        "fp": 0,
        "fn": 0,
        "support": 0,
        "precision": None,
        "recall": None,
        "f1": None,
        "interval": None,
    }


def test_no_rows_have_no_scores():
    found = scores(outcomes([], [], tags=TAGS, policy="strict"))

    assert (found["rows"], found["families"], found["macro_f1"], found["exact_match"]) == (0, 0, None, None)


def test_another_number_of_predictions_is_refused():
    with pytest.raises(CorpusError, match="1 predictions for 4 gold rows"):
        outcomes(GOLD, FOUND[:1], tags=TAGS, policy="strict")


def test_the_ceiling_counts_values_that_are_no_substring_as_missed():  # M48
    gold = [{"locality": "Paris"}, {"locality": "LYON"}, {"locality": "Nice"}, {"locality": "Roma"}]
    raws = ["75001 Paris", "69001 Lyon", "06000 Nice", "Rome"]

    strictly = ceiling(gold, raws, tags=("locality",), policy="strict")
    folded = ceiling(gold, raws, tags=("locality",), policy="normalised")

    assert strictly["per_tag"]["locality"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert (strictly["exact_match"], strictly["unreachable"]) == (0.5, {"locality": 2})
    assert folded["per_tag"]["locality"] == pytest.approx(2 * 3 / (2 * 3 + 1))


def test_an_interval_holds_the_score_and_is_the_same_for_the_same_seed():
    gold = [{"locality": str(i)} for i in range(60)]
    found = [{"locality": str(i)} if i % 3 else {} for i in range(60)]
    table = outcomes(gold, found, tags=TAGS, policy="strict")

    first, again = (scores(table, seed=1)["intervals"]["exact_match"] for _ in range(2))

    assert first == again
    assert first[0] < 2 / 3 < first[1]
    # A share of 40 in 60 independent rows has a standard error of 0.061: the interval is near ±1.96 of them.
    assert first[1] - first[0] == pytest.approx(2 * 1.96 * 0.0609, rel=0.15)


def test_rows_of_one_family_are_drawn_together_and_widen_the_interval():  # M49
    gold = [{"locality": "x"}] * 60
    found = [{"locality": "x"} if i < 40 else {} for i in range(60)]
    families = [str(i // 10) for i in range(60)]

    alone = scores(outcomes(gold, found, tags=TAGS, policy="strict"))["intervals"]["exact_match"]
    together = scores(outcomes(gold, found, tags=TAGS, policy="strict", families=families))["intervals"]["exact_match"]

    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_one_family_has_no_interval():
    found = scores(outcomes(GOLD, FOUND, tags=TAGS, policy="strict", families=["a"] * 4))

    assert found["families"] == 1
    assert found["intervals"]["macro_f1"] is None


@pytest.mark.parametrize("name", ["gold", "labels", "policy", "decoder"])
def test_scores_with_another_hash_are_not_compared(name):  # M44
    with pytest.raises(GateError, match=f"not comparable: {name} hash is 'other' for the candidate"):
        compare(scored(GOLD, FOUND, hashes={**HASHES, name: "other"}), scored(GOLD, FOUND))


def test_a_missing_hash_is_not_an_equal_one():  # M44
    with pytest.raises(GateError, match="gold hash is missing for the candidate and missing"):
        demand_comparable({}, {})


def test_a_score_is_no_different_from_itself():
    found = compare(scored(GOLD, FOUND), scored(GOLD, FOUND))

    assert found["macro_f1"]["interval"] == [0.0, 0.0]
    assert {facts["verdict"] for facts in found["per_tag"].values()} == {"no difference"}


def test_a_large_difference_is_better_one_way_and_worse_the_other():
    gold = [{"locality": str(i)} for i in range(100)]
    good = [{"locality": str(i)} for i in range(100)]
    bad = [{"locality": str(i) if i % 2 else "x"} for i in range(100)]

    up = compare(scored(gold, good), scored(gold, bad))["macro_f1"]
    down = compare(scored(gold, bad), scored(gold, good))["macro_f1"]

    assert (up["candidate"], up["baseline"], up["difference"], up["verdict"]) == (1.0, 0.5, 0.5, "better")
    assert down["verdict"] == "worse"
    assert down["interval"] == pytest.approx([-up["interval"][1], -up["interval"][0]])


def test_one_changed_row_in_fifty_is_no_difference():
    gold = [{"locality": str(i)} for i in range(50)]
    nearly = [{}, *gold[1:]]

    found = compare(scored(gold, gold), scored(gold, nearly))["macro_f1"]

    assert found["difference"] > 0
    assert (found["interval"][0], found["verdict"]) == (0.0, "no difference")


VALUES = st.dictionaries(st.sampled_from(TAGS), st.sampled_from(["a", "A", "b", " "]), max_size=4)
PAIRS = st.lists(st.tuples(VALUES, VALUES), max_size=6)


@given(PAIRS)
def test_swapping_gold_and_prediction_swaps_precision_and_recall(pairs):
    gold, found = [g for g, _ in pairs], [f for _, f in pairs]
    forth = scores(outcomes(gold, found, tags=TAGS, policy="strict"), resamples=0)["per_tag"]
    back = scores(outcomes(found, gold, tags=TAGS, policy="strict"), resamples=0)["per_tag"]

    for tag in TAGS:
        assert (forth[tag]["precision"], forth[tag]["f1"]) == (back[tag]["recall"], back[tag]["f1"])


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_score(pairs, random):
    shuffled = random.sample(pairs, len(pairs))

    first, second = (
        scores(outcomes([g for g, _ in p], [f for _, f in p], tags=TAGS, policy="strict"), resamples=0)
        for p in (pairs, shuffled)
    )

    assert first == second


@given(PAIRS)
def test_nothing_is_right_more_often_when_case_counts(pairs):
    gold, found = [g for g, _ in pairs], [f for _, f in pairs]
    strict, folded = (outcomes(gold, found, tags=TAGS, policy=policy) for policy in ("strict", "normalised"))

    assert not np.any(strict.tp & ~folded.tp)
