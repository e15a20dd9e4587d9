"""Uncertainty weighting against its formula, and its place of rest."""

from __future__ import annotations

import math

import pytest
import torch

from mw_pipeline.labels import LabelSet
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.optimizer import optimizer_of
from mw_pipeline.model.uncertainty import sigmas, uncertainty_weighted
from mw_pipeline.recipe import LossConfig, ModelConfig, TrainConfig

TINY = LabelSet(("a",))


@pytest.fixture
def tagger() -> Tagger:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Tagger(ModelConfig(width=16, layers=1, heads=2, feed_forward=16), vocab_size=50, labels=TINY)


def test_the_sum_is_the_formula_written_out():
    losses, sigma = (0.5, 3.0), (0.8, 1.7)
    log_variances = torch.tensor([2 * math.log(s) for s in sigma])

    found = uncertainty_weighted([torch.tensor(loss) for loss in losses], log_variances)

    assert float(found) == pytest.approx(sum(x / (2 * s**2) + math.log(s) for x, s in zip(losses, sigma, strict=True)))
    assert sigmas(log_variances).tolist() == pytest.approx([0.8, 1.7])


def test_it_is_at_rest_where_the_variance_is_the_loss():
    losses = [torch.tensor(0.25), torch.tensor(4.0)]
    log_variances = torch.tensor([0.25, 4.0]).log().requires_grad_()

    uncertainty_weighted(losses, log_variances).backward()

    torch.testing.assert_close(log_variances.grad, torch.zeros(2), atol=1e-6, rtol=0)


def test_the_log_shows_the_plain_sum_since_the_weighted_one_is_not_in_nats(tagger):
    loss = TaggingLoss(LossConfig(kind="uncertainty"), TINY)
    logits, tags = torch.randn(2, 3, 3), torch.tensor([[0, 1, 2], [1, 2, 2]])
    variances = torch.tensor([0.7, -0.4])

    share = loss.share(logits, tags, None, tagger.crf, window=loss.extent(tags, None), log_variances=variances)

    assert share.ce is not None and share.crf is not None
    assert share.nats.item() == pytest.approx(share.ce.item() + share.crf.item())
    assert share.total.item() == pytest.approx(uncertainty_weighted((share.ce, share.crf), variances).item())


def test_micro_batches_count_the_logarithm_once(tagger):
    loss = TaggingLoss(LossConfig(kind="uncertainty"), TINY)
    logits, tags, variances = torch.randn(4, 3, 3), torch.zeros(4, 3, dtype=torch.int64), torch.tensor([0.7, -0.4])
    window = loss.extent(tags, None)

    def total(rows: slice) -> torch.Tensor:
        return loss.share(logits[rows], tags[rows], None, tagger.crf, window=window, log_variances=variances).total

    torch.testing.assert_close(total(slice(1)) + total(slice(1, 4)), total(slice(4)))


def test_log_variances_are_never_decayed(tagger):
    optimizer = optimizer_of(
        tagger, TrainConfig(steps=10, peak_lr=1e-3, warmup_steps=1, batch_size=1, weight_decay=0.5)
    )

    (group,) = [g for g in optimizer.param_groups if any(p is tagger.log_variances for p in g["params"])]
    assert group["weight_decay"] == 0.0
