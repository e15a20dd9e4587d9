from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.evaluate.buckets import BUCKETS, MEANINGS, bucket_of, has_non_latin_letter


@pytest.mark.parametrize(
    ("gold", "predicted", "bucket"),
    [
        ("75001", "", "empty_pred"),
        ("Paris", "PARIS", "case_only"),
        ("New York", "York", "bio_slip"),
        ("Paris", "Paris 7e", "bio_slip"),
        ("(Paris)", "-Paris", "bio_slip"),
        ("75001", "75002", "num_confused"),
        ("20500-0003", "20500", "bio_slip"),
        ("12-14", "13", "num_confused"),
        ("12-14", "1214", "other"),
        ("Paris", "Lyon", "other"),
        ("12 bis", "13", "other"),
        ("", "Paris", "other"),
        ("--", "++", "other"),
    ],
)
def test_a_miss_is_in_the_first_bucket_that_fits(gold, predicted, bucket):
    assert bucket_of("12 rue Haute, 75001 Paris", gold, predicted) == bucket


def test_another_script_comes_before_everything_else():
    assert bucket_of("Париж 75001", "75001", "") == "non_latin"
    assert bucket_of("Париж 75001", "", "x") == "non_latin"


@pytest.mark.parametrize(
    ("text", "other_script"),
    [
        ("Orléans", False),
        ("Œuvre Łódź ﬁn ＰＡＲＩＳ 1ª", False),
        ("ʻIolani Palace", False),
        ("5 µ • € 🗼 № – ½", False),
        ("Париж", True),
        ("Μασσαλία", True),
        ("باريس", True),
        ("תל אביב", True),
        ("東京", True),
        ("ﾊﾟﾘ", True),
        ("서울", True),
        ("दिल्ली", True),
        ("กรุงเทพ", True),
        ("Paris 法", True),
    ],
)
def test_only_letters_of_another_script_are_not_latin(text, other_script):  # M47
    assert has_non_latin_letter(text) is other_script


def test_the_old_rule_takes_an_accent_for_another_script_and_the_new_one_does_not():  # M47
    assert bucket_of("45000 Orléans", "45000", "", compat=True) == "non_latin"
    assert bucket_of("45000 Orléans", "45000", "") == "empty_pred"
    assert bucket_of("45000 Orleans", "45000", "", compat=True) == "empty_pred"


def test_every_bucket_has_a_meaning():
    assert tuple(MEANINGS) == BUCKETS


@given(st.text(max_size=8), st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_every_miss_has_a_bucket_that_exists(raw, gold, predicted):
    assert bucket_of(raw, gold, predicted) in BUCKETS


@given(st.text(max_size=8), st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_a_wrong_value_has_one_bucket_whichever_side_is_gold(raw, one, other):
    if one.strip() and other.strip():
        assert bucket_of(raw, one, other) == bucket_of(raw, other, one)
