"""Losses against the vectors of their definitions and against sums written by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import STAGE2, LabelSet
from mw_pipeline.model.crf import LinearChainCrf
from mw_pipeline.model.losses import Extent, TaggingLoss, ce_sum, class_weight_vector
from mw_pipeline.recipe import LossConfig

TINY = LabelSet(("a",))


def mask_of(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_cross_entropy_of_uniform_logits_is_the_log_of_the_label_count():
    tags = torch.randint(0, 21, (4, 5))

    assert float(ce_sum(torch.zeros(4, 5, 21), tags, None)) / 20 == pytest.approx(3.0445, abs=1e-4)


def test_cross_entropy_ignores_padding_whatever_its_tag():
    logits, tags, mask = torch.randn(2, 4, 3), torch.tensor([[0, 1, 2, 2], [1, 0, 2, 2]]), mask_of(4, 2)
    rows = -logits.log_softmax(2).gather(2, tags[:, :, None])[:, :, 0]

    assert float(ce_sum(logits, tags, mask)) == pytest.approx(float(rows[0].sum() + rows[1, :2].sum()), rel=1e-6)


def test_label_smoothing_mixes_in_the_mean_over_labels():
    logits, tags = torch.randn(1, 3, 3), torch.tensor([[0, 1, 2]])
    log_p = logits.log_softmax(2)[0]
    expected = -sum(0.9 * log_p[t, t] + 0.1 * log_p[t].mean() for t in range(3))

    assert float(ce_sum(logits, tags, None, label_smoothing=0.1)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("length", [1, 2, 4, 21])
def test_a_weight_vector_of_another_length_than_the_labels_is_refused(length):
    with pytest.raises(RecipeError, match=rf"loss.class_weights has shape \({length},\), expected exactly one weight"):
        ce_sum(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64), None, torch.ones(length))


def test_class_weights_are_one_where_the_recipe_names_none():
    weights = class_weight_vector({"I-a": 2.5}, TINY)

    assert weights is not None and weights.tolist() == [1.0, 1.0, 2.5]
    assert class_weight_vector({}, TINY) is None


def test_a_class_weight_for_an_unknown_label_is_refused():
    with pytest.raises(RecipeError, match=r"loss.class_weights.'B-street_prefix' is not a label: expected some of O, "):
        class_weight_vector({"B-street_prefix": 2.0}, STAGE2)


def test_doubling_every_class_weight_changes_nothing():
    logits, tags, crf = torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [1, 2, 2]]), LinearChainCrf(TINY)

    def loss(scale: float) -> float:
        weights = {"O": 1 * scale, "B-a": 3 * scale, "I-a": 2 * scale}
        tagging = TaggingLoss(LossConfig(kind="ce", class_weights=weights), TINY)
        return tagging.share(logits, tags, None, crf, window=tagging.extent(tags, None)).total.item()

    assert loss(1.0) == pytest.approx(loss(2.0))


@pytest.mark.parametrize(("reduction", "expected"), [("per_sequence", 1.3863), ("per_token", 0.6931)])
def test_crf_reductions_match_their_vectors(reduction, expected):
    """Two labels that may follow one another freely (O and B) and lengths 3 and 1, at zero parameters."""
    loss = TaggingLoss(LossConfig(kind="crf", crf_reduction=reduction), TINY)
    crf = LinearChainCrf(TINY)
    logits = torch.zeros(2, 3, 3)
    logits[:, :, 2] = -1e4  # I-a out of reach: K = 2
    tags, mask = torch.zeros(2, 3, dtype=torch.int64), mask_of(3, 1)

    share = loss.share(logits, tags, mask, crf, window=loss.extent(tags, mask))

    assert share.total.item() == pytest.approx(expected, abs=1e-4)


def test_the_total_is_cross_entropy_plus_lambda_times_crf():
    loss = TaggingLoss(LossConfig(kind="ce+crf", crf_weight=0.25), TINY)
    logits, tags = torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [1, 2, 2]])

    share = loss.share(logits, tags, None, LinearChainCrf(TINY), window=loss.extent(tags, None))

    assert share.ce is not None and share.crf is not None
    assert share.total.item() == pytest.approx(share.ce.item() + 0.25 * share.crf.item(), rel=1e-6)


class _Untouchable(LinearChainCrf):
    def forward(self, *args: object) -> torch.Tensor:
        raise AssertionError("a term without weight was computed")


@pytest.mark.parametrize("config", [LossConfig(kind="ce"), LossConfig(kind="ce+crf", crf_weight=0.0)])
def test_a_crf_weight_of_zero_computes_nothing(config):
    loss, tags = TaggingLoss(config, TINY), torch.tensor([[0, 1]])

    share = loss.share(torch.zeros(1, 2, 3), tags, None, _Untouchable(TINY), window=loss.extent(tags, None))

    assert share.crf is None and share.total.item() == pytest.approx(math.log(3))


def test_a_crf_loss_computes_no_cross_entropy(monkeypatch):
    monkeypatch.setattr("mw_pipeline.model.losses.ce_sum", None)
    loss, tags = TaggingLoss(LossConfig(kind="crf"), TINY), torch.tensor([[0, 1]])

    share = loss.share(torch.zeros(1, 2, 3), tags, None, LinearChainCrf(TINY), window=loss.extent(tags, None))

    assert share.ce is None and share.crf is not None


@pytest.mark.parametrize("reduction", ["per_token", "per_sequence"])
def test_shares_of_micro_batches_add_up_to_the_mean_over_the_window(reduction):
    """Two micro-batches of different lengths: the mean of their means would be wrong (M35)."""
    loss = TaggingLoss(LossConfig(kind="ce+crf", crf_weight=0.5, crf_reduction=reduction), TINY)
    crf = LinearChainCrf(TINY)
    parts = [
        (torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [0, 0, 0]]), mask_of(3, 1)),
        (torch.randn(1, 6, 3), torch.tensor([[0, 0, 1, 2, 2, 0]]), None),
    ]
    extents = [loss.extent(tags, mask) for _, tags, mask in parts]
    window = extents[0] + extents[1]

    total = sum(loss.share(*part, crf, window=window).total.item() for part in parts)

    ce_by_hand = sum(
        -float(logits[r].log_softmax(1)[t, tags[r, t]])
        for logits, tags, mask in parts
        for r in range(len(tags))
        for t in range(tags.shape[1] if mask is None else int(mask[r].sum()))
    )
    crf_by_hand = sum(crf(*part).sum().item() for part in parts)
    assert window == Extent(rows=3.0, pieces=10.0, weight=10.0)
    assert total == pytest.approx(
        ce_by_hand / 10 + 0.5 * crf_by_hand / (10 if reduction == "per_token" else 3), rel=1e-5
    )


def test_the_extent_weighs_gold_labels_by_their_class():
    loss = TaggingLoss(LossConfig(kind="ce", class_weights={"B-a": 4.0}), TINY)

    assert loss.extent(torch.tensor([[0, 1, 2]]), None) == Extent(1.0, 3.0, 6.0)


@pytest.mark.parametrize("kind", ["ce", "crf", "ce+crf", "soft-span", "uncertainty"])
def test_a_part_whose_extent_is_given_is_the_same_and_reads_nothing_back(kind):
    counts = {"O": 5, "B-a": 2, "I-a": 3}
    logits, tags, mask = torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [0, 0, 0]]), mask_of(3, 1)
    variances = torch.tensor([0.2, -0.3])

    def part(device: str, own: Extent | None) -> torch.Tensor:
        loss = TaggingLoss(LossConfig(kind=kind), TINY, label_counts=counts, device=torch.device(device))
        crf, values = LinearChainCrf(TINY).to(device), [value.to(device) for value in (logits, tags, mask)]
        window = Extent(4.0, 8.0, 8.0)
        return loss.share(*values, crf, window=window, own=own, log_variances=variances.to(device)).total

    own = TaggingLoss(LossConfig(kind="ce"), TINY).extent(tags, mask)
    assert torch.equal(part("cpu", own), part("cpu", None))
    assert part("meta", own).shape == ()  # a device without values, where any reading is an error
