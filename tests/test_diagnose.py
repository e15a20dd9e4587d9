from __future__ import annotations

import shlex

import pytest
from gold_rows import golden_of

from mw_pipeline.errors import GateError
from mw_pipeline.evaluate.buckets import BUCKETS
from mw_pipeline.evaluate.diagnose import as_table, ask_why, diagnose, misses_of, regression
from mw_pipeline.evaluate.evaluation import evaluate
from mw_pipeline.evaluate.predictions import Prediction

# The published table: postcode misses under the rule that any character above U+007F is not Latin.
PUBLISHED = {"empty_pred": 789, "non_latin": 213, "num_confused": 136, "bio_slip": 73, "other": 6}
SHAPES = {  # raw, gold, predicted
    "empty_pred": ("{n} Main St 20500", "20500", None),
    "non_latin": ("{n} rue de l'Église 75001", "75001", None),
    "num_confused": ("{n} Oak St 10118", "10118", "10119"),
    "bio_slip": ("{n} Elm St 02116", "02116", "MA 02116"),
    "other": ("{n} Hill Rd 94043", "94043", "Hill"),
}


def published_rows():
    rows, found = [], []
    for bucket, count in PUBLISHED.items():
        raw, gold, predicted = SHAPES[bucket]
        for number in range(count):
            rows.append({"raw": raw.format(n=number), "components": {"postcode": gold}})
            found.append(Prediction({"postcode": predicted} if predicted else {}))
    return golden_of(rows, name="published"), found


def test_the_old_rule_reproduces_the_published_table():  # M47
    golden, found = published_rows()

    postcode = diagnose(golden, found, decoder="test", compat=True, resamples=1)["per_tag"]["postcode"]

    assert postcode["fn"] == 1217
    assert {bucket: counts["fn"] for bucket, counts in postcode["buckets"].items() if counts["fn"]} == PUBLISHED
    shares = [
        round(100 * PUBLISHED[bucket] / 1217) for bucket in ("empty_pred", "non_latin", "num_confused", "bio_slip")
    ]
    assert shares == [65, 18, 11, 6]


def test_the_new_rule_moves_accents_to_where_they_belong():  # M47
    golden, found = published_rows()

    buckets = diagnose(golden, found, decoder="test", resamples=1)["per_tag"]["postcode"]["buckets"]

    assert buckets["non_latin"]["fn"] == 0
    assert buckets["empty_pred"]["fn"] == 789 + 213


ROWS = [
    {"raw": "Paris 75001", "components": {"locality": "Paris", "postcode": "75001"}},
    {"raw": "Lyon 69001", "components": {"locality": "Lyon", "postcode": "69001"}},
    {"raw": "Nice", "components": {"locality": "Nice"}},
    {"raw": "Metz", "components": {"locality": "Metz"}},
]
GOLDEN = golden_of(ROWS, name="g")
BEFORE = [
    Prediction({"locality": "PARIS", "postcode": "75001"}),
    Prediction({"locality": "Lyon"}),
    Prediction({"locality": "Nice"}),
    Prediction({"locality": "Metz", "street": "Metz"}),
]
NOW = [
    Prediction({"locality": "Paris", "postcode": "75001"}),
    Prediction({"locality": "Lyon", "postcode": "69002"}),
    Prediction({}),
    Prediction({"locality": "Metz"}),
]


def test_a_wrong_value_counts_on_both_sides_and_a_spurious_one_on_one():
    report = diagnose(GOLDEN, BEFORE, decoder="test", resamples=10)

    assert report["totals"] == {"fn": 2, "fp": 2}
    assert report["buckets"]["case_only"] == {"fn": 1, "fp": 1}
    assert report["buckets"]["empty_pred"] == {"fn": 1, "fp": 0}
    assert report["buckets"]["other"] == {"fn": 0, "fp": 1}
    assert report["per_tag"]["street"]["spurious"] == 1


def test_each_bucket_has_examples_that_say_where_they_are():
    report = diagnose(GOLDEN, BEFORE, decoder="test", resamples=10)

    assert list(report["examples"]) == list(BUCKETS)
    assert report["examples"]["case_only"] == [
        {"where": "g:1", "raw": "Paris 75001", "tag": "locality", "gold": "Paris", "predicted": "PARIS"}
    ]


def test_failure_modes_come_with_the_share_of_gold_that_they_cost():
    modes = diagnose(GOLDEN, BEFORE, decoder="test", resamples=10)["failure_modes"]

    assert {(m["tag"], m["bucket"]): m["share_of_gold"] for m in modes} == {
        ("locality", "case_only"): 1 / 4,
        ("postcode", "empty_pred"): 1 / 2,
    }


def test_a_difference_stands_beside_the_values_fixed_and_broken_and_their_buckets():  # M46
    report = diagnose(GOLDEN, NOW, decoder="test", baseline=BEFORE)["regression"]

    assert report["fixed"] == {"total": 2, **dict.fromkeys(BUCKETS, 0), "case_only": 1, "other": 1}
    assert report["broken"] == {"total": 1, **dict.fromkeys(BUCKETS, 0), "empty_pred": 1}
    assert report["still_wrong"]["num_confused"] == report["still_wrong"]["total"] == 1
    locality = report["per_tag"]["locality"]
    assert (locality["fixed"]["case_only"], locality["broken"]["empty_pred"]) == (1, 1)
    assert locality["f1"]["verdict"] == "no difference"
    assert locality["f1"]["interval"][0] < 0 < locality["f1"]["interval"][1]
    assert {"macro_f1", "core_macro_f1", "exact_match"} <= report["differences"].keys()
    assert report["examples"]["broken"][0]["raw"] == "Nice"


def test_the_table_ends_with_what_changed_since_the_baseline():
    since = diagnose(GOLDEN, NOW, decoder="test", baseline=BEFORE, resamples=10)

    assert as_table(since).endswith("\n\nAgainst the baseline: 2 fixed, 1 broken, 1 still wrong.")


def test_a_regression_between_unlike_scores_is_refused():  # M44, M46
    now, before = (
        evaluate(GOLDEN, found, decoder=decoder, resamples=10)
        for found, decoder in ((NOW, "viterbi"), (BEFORE, "argmax"))
    )

    with pytest.raises(GateError, match="not comparable: decoder"):
        regression(now, misses_of(now, NOW), before, misses_of(before, BEFORE))


def test_a_loose_policy_leaves_no_miss_of_case():
    report = diagnose(GOLDEN, BEFORE, decoder="test", policy="normalised", resamples=10)

    assert report["buckets"]["case_only"] == {"fn": 0, "fp": 0}


def test_the_table_has_a_line_for_every_tag_and_side_with_misses():
    lines = as_table(diagnose(GOLDEN, BEFORE, decoder="test", resamples=10)).splitlines()

    assert lines[2:] == [
        "| all | fn | 2 | 0 | 1 | 1 | 0 | 0 | 0 |",
        "| all | fp | 2 | 0 | 0 | 1 | 0 | 0 | 1 |",
        "| locality | fn | 1 | 0 | 0 | 1 | 0 | 0 | 0 |",
        "| locality | fp | 1 | 0 | 0 | 1 | 0 | 0 | 0 |",
        "| postcode | fn | 1 | 0 | 1 | 0 | 0 | 0 | 0 |",
        "| street | fp | 1 | 0 | 0 | 0 | 0 | 0 | 1 |",
    ]


def test_the_worst_bucket_comes_with_commands_that_ask_which_rows_taught_it():
    report = diagnose(GOLDEN, NOW, decoder="test", resamples=10)

    lines = ask_why(report, "campaigns/a b").splitlines()

    worst = max(BUCKETS, key=lambda bucket: sum(report["buckets"][bucket].values()))
    assert lines[0] == f"Most misses are in the bucket `{worst}`. Which rows taught them:"
    asked = [shlex.split(line) for line in lines[2:]]
    texts = {example["raw"] for example in report["examples"][worst]}
    assert {words[-1] for words in asked} == texts != set()
    assert all(words[:-1] == ["mw-pipeline", "why", "--recipe", "campaigns/a b"] for words in asked)


def test_without_a_miss_there_is_nothing_to_ask():
    right = [Prediction(row["components"]) for row in ROWS]

    assert ask_why(diagnose(GOLDEN, right, decoder="test", resamples=1), "demo") == "There is no miss to ask about."
