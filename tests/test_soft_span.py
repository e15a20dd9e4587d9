"""The soft-span loss against its formula written out, and its thresholds against a plain comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.decode import Moves, Words, constrained_viterbi, hard_mask
from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import LabelSet
from mw_pipeline.model.crf import LinearChainCrf
from mw_pipeline.model.encoder import Encoder
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.soft_span import by_threshold, positive_weight_vector, soft_span_sum, with_thresholds
from mw_pipeline.recipe import LossConfig, ModelConfig

TAGS = LabelSet(("a", "b"))  # O, B-a, I-a, B-b, I-b
COUNTS = {"O": 60, "B-a": 20, "I-a": 10, "B-b": 10, "I-b": 0}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def by_hand(logits: torch.Tensor, tags: torch.Tensor, lengths: list[int], weights: list[float], s: float) -> float:
    total = 0.0
    for row, length in enumerate(lengths):
        for piece in range(length):
            for label in range(1, logits.shape[2]):
                x, hard = float(logits[row, piece, label]), float(tags[row, piece] == label)
                t = hard * (1 - s) + s / 2
                p = 1 / (1 + math.exp(-x))
                total -= weights[label - 1] * t * math.log(p) + (1 - t) * math.log(1 - p)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_sum_is_the_formula_written_out(smoothing):
    logits, tags = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 4, 4]])
    mask, weights = torch.tensor([[True, True, True], [True, True, False]]), [3.0, 1.0, 0.5, 10.0]

    found = soft_span_sum(logits, tags, mask, torch.tensor(weights), label_smoothing=smoothing)

    assert float(found) == pytest.approx(by_hand(logits, tags, [3, 2], weights, smoothing), rel=1e-5)


def test_at_weight_one_and_hard_targets_it_is_binary_cross_entropy():
    logits, tags = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))
    hard = torch.nn.functional.one_hot(tags, 5)[:, :, 1:].float()

    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, :, 1:], hard, reduction="sum")

    torch.testing.assert_close(soft_span_sum(logits, tags, None, torch.ones(4)), expected)


def test_positives_weigh_what_negatives_outnumber_them_by_up_to_the_cap():
    assert positive_weight_vector(COUNTS, TAGS, cap=8.0).tolist() == pytest.approx([4.0, 8.0, 8.0, 8.0])
    assert positive_weight_vector(COUNTS, TAGS, cap=100.0).tolist() == pytest.approx([4.0, 9.0, 9.0, 100.0])
    assert positive_weight_vector(COUNTS, TAGS, cap=1.0).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_the_objective_is_the_mean_over_labels_and_pieces_and_the_log_its_sum_over_labels():
    loss = TaggingLoss(LossConfig(kind="soft-span"), TAGS, label_counts=COUNTS)
    logits, tags = torch.randn(2, 3, 5), torch.randint(0, 5, (2, 3))

    share = loss.share(logits, tags, None, LinearChainCrf(TAGS), window=loss.extent(tags, None))

    summed = float(soft_span_sum(logits, tags, None, positive_weight_vector(COUNTS, TAGS, cap=10.0)))
    assert share.total.item() == pytest.approx(summed / 6 / 4)
    assert share.span is not None and share.span.item() == share.nats.item() == pytest.approx(summed / 6)
    assert share.ce is None and share.crf is None


def test_shares_of_micro_batches_add_up():
    loss = TaggingLoss(LossConfig(kind="soft-span"), TAGS, label_counts=COUNTS)
    logits, tags, crf = torch.randn(4, 3, 5), torch.randint(0, 5, (4, 3)), LinearChainCrf(TAGS)
    window = loss.extent(tags, None)

    parts = [loss.share(logits[half], tags[half], None, crf, window=window).total for half in (slice(1), slice(1, 4))]

    torch.testing.assert_close(sum(parts), loss.share(logits, tags, None, crf, window=window).total)


def test_without_label_counts_it_is_refused():
    with pytest.raises(RecipeError, match=r"loss.kind is 'soft-span' and no label counts were given"):
        TaggingLoss(LossConfig(kind="soft-span"), TAGS)


def test_class_weights_beside_it_are_refused_since_they_would_do_nothing():
    with pytest.raises(ValueError, match="class_weights belong to cross-entropy"):
        LossConfig(kind="soft-span", class_weights={"O": 2.0})


@given(seed=st.integers(0, 999), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_a_piece_leaves_o_exactly_where_a_score_is_above_its_threshold(seed, a, b):
    """One piece alone, where BIO forbids I-: the decoder's choice is a plain comparison."""
    logits = torch.randn(1, 1, 5, generator=torch.Generator().manual_seed(seed))
    relative = by_threshold(logits, {"a": a, "b": b}, TAGS).numpy()

    (label,) = constrained_viterbi(Words.of_pieces(relative, np.ones((1, 1), dtype=bool)), Moves.of(*hard_mask(TAGS)))[
        0
    ]

    margins = {1: float(logits[0, 0, 1]) - a, 3: float(logits[0, 0, 3]) - b}
    best = max(margins, key=lambda key: margins[key])
    assert label == (best if margins[best] > 0 else 0)


def test_an_encoder_with_thresholds_answers_with_scores_above_them_and_the_first_one_is_left_alone():
    config = ModelConfig(width=16, layers=1, heads=2, feed_forward=16)
    encoder, ids = Encoder(config, 50, 5).eval(), torch.randint(1, 50, (2, 4))
    before = encoder(ids)

    folded = with_thresholds(encoder, {"a": -1.5, "b": 2.0}, TAGS)(ids)

    torch.testing.assert_close(folded, by_threshold(before, {"a": -1.5, "b": 2.0}, TAGS))
    assert not folded[..., 0].any()
    assert torch.equal(encoder(ids), before)
