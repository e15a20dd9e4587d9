"""The label vocabulary is a value: order, hash and legal moves."""

from __future__ import annotations

import pytest

from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import STAGE2, STAGE3, label_set, label_set_of


def test_stage_2_has_21_labels_and_stage_3_appends_to_33() -> None:
    assert (len(STAGE2), len(STAGE3)) == (21, 33)
    assert STAGE3.labels[:21] == STAGE2.labels
    assert STAGE2.labels[:3] == ("O", "B-country", "I-country")
    assert STAGE2.labels[-1] == "I-house_number"


def test_the_hash_changes_with_the_order_of_tags() -> None:
    assert label_set_of(STAGE2.labels).hash == STAGE2.hash
    assert STAGE2.hash != STAGE3.hash


def test_an_inside_label_follows_only_its_own_begin_or_itself() -> None:
    legal = STAGE3.legal_moves()
    for j, after in enumerate(STAGE3.labels):
        for i, before in enumerate(STAGE3.labels):
            expected = not after.startswith("I-") or before[2:] == after[2:]
            assert legal[i][j] == expected, (before, after)


def test_no_sequence_starts_inside_a_span() -> None:
    starts = dict(zip(STAGE2.labels, STAGE2.legal_starts(), strict=True))
    assert not any(allowed for label, allowed in starts.items() if label.startswith("I-"))
    assert all(allowed for label, allowed in starts.items() if not label.startswith("I-"))


def test_an_unknown_stage_or_label_is_refused() -> None:
    with pytest.raises(RecipeError, match="4 is not a label stage: expected 2 or 3"):
        label_set(4)
    with pytest.raises(RecipeError, match="label 'B-planet' is not in this label set"):
        STAGE2.index("B-planet")
    with pytest.raises(RecipeError, match="not an O followed by"):
        label_set_of(("O", "I-country", "B-country"))
