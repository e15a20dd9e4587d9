"""The soft-span loss: every label but O is a yes or no of its own at every piece, decoded by a threshold for each tag.

A threshold decodes by the same Viterbi as everything else: with O at 0 and the labels of a tag at x − θ, a piece
leaves O exactly where its score is above the tag's threshold. So a tagger that was trained this way needs no decoder of
its own: its thresholds go into the bias of its last layer, and its package looks like any other.

Shape letters: B rows, T pieces, K labels, O among them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mw_pipeline.labels import LabelSet
from mw_pipeline.model.encoder import Encoder


def soft_span_sum(
    logits: Tensor,
    tags: Tensor,
    mask: Tensor | None,
    positive_weights: Tensor,
    *,
    label_smoothing: float = 0.0,
    pieces: int | None = None,
) -> Tensor:
    """Σ −[w·t·log σ(x) + (1 − t)·log(1 − σ(x))] over real pieces and all labels but O, in nats.

    logits            (B, T, K)  float  column 0, that of O, takes no part
    tags              (B, T)     int64  gold label ids; any value under padding
    mask              (B, T)     bool   True on real pieces; None when nothing is padded
    positive_weights  (K - 1,)   float  w of each label but O
    label_smoothing   s: the target t of the gold label is 1 − s/2, that of every other s/2
    pieces            real ones in the mask; None: they are counted, and a GPU waited for
    """
    scores, gold = logits[:, :, 1:].flatten(0, 1), tags.flatten()
    if mask is not None:
        count = int(mask.sum()) if pieces is None else pieces
        real = mask.flatten().nonzero_static(size=count)[:, 0]
        scores, gold = scores.index_select(0, real), gold.index_select(0, real)
    hard = (gold[:, None] == torch.arange(1, logits.shape[2], device=gold.device)).to(scores.dtype)
    soft = hard * (1.0 - label_smoothing) + label_smoothing / 2
    return nn.functional.binary_cross_entropy_with_logits(scores, soft, pos_weight=positive_weights, reduction="sum")


def positive_weight_vector(label_counts: Mapping[str, int], labels: LabelSet, *, cap: float) -> Tensor:
    """(K - 1,) n₋/n₊ of every label but O in training, at most `cap`, which is also that of a label never seen."""
    pieces = sum(label_counts.get(label, 0) for label in labels.labels)
    counts = [label_counts.get(label, 0) for label in labels.labels[1:]]
    return torch.tensor([min(cap, (pieces - count) / count) if count else cap for count in counts])


def by_threshold(logits: Tensor, thresholds: Mapping[str, float], labels: LabelSet) -> Tensor:
    """(…, K) scores above the thresholds, logits by tag; O at 0: what the constrained Viterbi decodes."""
    relative = logits - _offsets(thresholds, labels).to(logits)
    relative[..., 0] = 0.0
    return relative


def with_thresholds(encoder: Encoder, thresholds: Mapping[str, float], labels: LabelSet) -> Encoder:
    """A copy of the encoder whose logits are those of `by_threshold`."""
    folded = copy.deepcopy(encoder)
    with torch.no_grad():
        folded.head.bias.sub_(_offsets(thresholds, labels))
        folded.head.weight[0].zero_()
        folded.head.bias[0] = 0.0
    return folded


def _offsets(thresholds: Mapping[str, float], labels: LabelSet) -> Tensor:
    """(K,) the threshold of each label's tag; 0 for O."""
    return torch.tensor([0.0, *(thresholds[label[2:]] for label in labels.labels[1:])])
