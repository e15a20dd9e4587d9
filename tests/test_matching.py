from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.errors import CorpusError
from mw_pipeline.metrics.matching import POLICIES, decoder_hash, match_policy, normalised, policy_hash, strict


def test_strict_trims_white_space_and_nothing_else():
    assert strict("  Paris\n") == "Paris"
    assert strict("(Paris)") != strict("Paris")
    assert strict("paris") != strict("Paris")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PARIS", "paris"),
        ("Straße", "STRASSE"),
        ("St.  Louis", "st. louis"),
        ("(Montréal),", "montréal"),
        ("ＰＡＲＩＳ", "Paris"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("D.C.", "D.C"),
    ],
)
def test_normalised_sees_these_as_equal(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("Orléans", "Orleans"), ("St. Louis", "St Louis"), ("1-2", "12")])
def test_normalised_keeps_accents_and_inner_punctuation(one, other):
    assert normalised(one) != normalised(other)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_normalising_twice_changes_nothing_more(text):
    assert normalised(normalised(text)) == normalised(text)


def test_an_unknown_policy_is_refused_by_name():
    with pytest.raises(CorpusError, match="match policy 'loose' is not known: expected one of strict, normalised"):
        match_policy("loose")


def test_policies_and_decoders_have_hashes_of_their_own():
    names = [policy_hash(name) for name in POLICIES] + [decoder_hash("viterbi"), decoder_hash("argmax")]

    assert len(set(names)) == 4
