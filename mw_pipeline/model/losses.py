"""The losses that a recipe can name, in nats, as means over a whole accumulation window (M35).

Shape letters: B rows, T pieces, K labels. A window is the micro-batches that one optimizer step adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import LabelSet
from mw_pipeline.model.crf import LinearChainCrf
from mw_pipeline.model.soft_span import positive_weight_vector, soft_span_sum
from mw_pipeline.model.uncertainty import uncertainty_weighted
from mw_pipeline.recipe import LossConfig

IGNORED_LABEL = -100


@dataclass(frozen=True)
class Extent:
    """What a loss is averaged over: rows, real pieces, and the summed class weight of the gold labels."""

    rows: float
    pieces: float
    weight: float

    def __add__(self, other: Extent) -> Extent:
        return Extent(self.rows + other.rows, self.pieces + other.pieces, self.weight + other.weight)


@dataclass(frozen=True)
class LossShare:
    """One micro-batch's part of the window's mean: the parts of all micro-batches sum to it, gradients included.

    total  what is minimised
    nats   what the log calls loss: `total`, or the plain sum of the terms where `total` weighs them by learned weights
           or takes their mean over labels, so that every kind is in nats
    A term is None where the recipe gives it no weight, for then nothing was computed.
    """

    total: Tensor
    nats: Tensor
    ce: Tensor | None = None
    crf: Tensor | None = None
    span: Tensor | None = None


class TaggingLoss:
    """The loss that a recipe's `loss` table describes.

    With class weights, CE is the weighted mean Σ w·ce / Σ w over the window: doubling every weight changes nothing.
    The span term is the mean over pieces of the sum over labels, and what is minimised its mean over labels.
    """

    def __init__(
        self,
        config: LossConfig,
        labels: LabelSet,
        *,
        label_counts: Mapping[str, int] | None = None,
        device: torch.device | None = None,
    ) -> None:
        """`label_counts` are those of the training pieces; soft-span alone needs them. Raises RecipeError."""
        self.ce_weight = 0.0 if config.kind in ("crf", "soft-span") else 1.0
        self.crf_weight = {"crf": 1.0, "ce+crf": config.crf_weight, "uncertainty": 1.0}.get(config.kind, 0.0)
        self.learns_weights = config.kind == "uncertainty"
        self.per_sequence = config.crf_reduction == "per_sequence"
        self.label_smoothing = config.label_smoothing
        weights = class_weight_vector(config.class_weights, labels)
        self.class_weights, self._host_weights = _on(device, weights), weights
        self.positive_weights: Tensor | None = None
        if config.kind == "soft-span":
            counts = _demand_counts(label_counts)
            self.positive_weights = _on(device, positive_weight_vector(counts, labels, cap=config.positive_weight_cap))

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that have a weight, in the order of `LossShare`."""
        weights = {"ce": self.ce_weight, "crf": self.crf_weight, "span": self.positive_weights is not None}
        return tuple(name for name, weight in weights.items() if weight)

    def extent(self, tags: Tensor, mask: Tensor | None) -> Extent:
        """The extent of one micro-batch; a window's is their sum. Arguments as in `share`, but in the memory of the
        host: a GPU has to work off all that comes before its tensors."""
        gold = tags.flatten() if mask is None else tags[mask]
        weight = float(gold.numel() if self._host_weights is None else self._host_weights[gold.cpu()].sum().numpy())
        return Extent(rows=float(tags.shape[0]), pieces=float(gold.numel()), weight=weight)

    def share(
        self,
        logits: Tensor,
        tags: Tensor,
        mask: Tensor | None,
        crf: LinearChainCrf,
        *,
        window: Extent,
        own: Extent | None = None,
        log_variances: Tensor | None = None,
    ) -> LossShare:
        """This micro-batch's part of the mean over `window`; `own` is its extent, where that is known.

        logits         (B, T, K) float
        tags           (B, T)    int64  gold label ids; any value under padding
        mask           (B, T)    bool   True on real pieces; None when nothing is padded
        log_variances  (2,)      float  of CE and CRF, for the kind that learns their weights
        """
        if self.positive_weights is not None:
            pieces = None if own is None else int(own.pieces)
            summed = soft_span_sum(
                logits, tags, mask, self.positive_weights, label_smoothing=self.label_smoothing, pieces=pieces
            )
            span = summed / window.pieces
            return LossShare(span / len(self.positive_weights), span, span=span)
        total = logits.new_zeros(())
        ce = sequence = None
        if self.ce_weight:
            ce = ce_sum(logits, tags, mask, self.class_weights, label_smoothing=self.label_smoothing) / window.weight
            total = total + self.ce_weight * ce
        if self.crf_weight:
            sequence = crf(logits, tags, mask).sum() / (window.rows if self.per_sequence else window.pieces)
            total = total + self.crf_weight * sequence
        if self.learns_weights:
            assert ce is not None and sequence is not None and log_variances is not None
            part = (self.extent(tags, mask) if own is None else own).pieces / window.pieces
            return LossShare(uncertainty_weighted((ce, sequence), log_variances, share=part), total, ce, sequence)
        return LossShare(total, total, ce, sequence)


def _on(device: torch.device | None, vector: Tensor | None) -> Tensor | None:
    return vector if vector is None or device is None else vector.to(device)


def _demand_counts(label_counts: Mapping[str, int] | None) -> Mapping[str, int]:
    if label_counts is None:
        raise RecipeError(
            "loss.kind is 'soft-span' and no label counts were given: its positives are weighed by n₋/n₊ of the "
            "training pieces. Pass label_counts of dataset.json."
        )
    return label_counts


def ce_sum(
    logits: Tensor,
    tags: Tensor,
    mask: Tensor | None,
    class_weights: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy summed over the real pieces, in nats; `class_weights` is (K,), other arguments as in `TaggingLoss`.

    Raises RecipeError for a weight vector of another length.
    """
    labels = logits.shape[2]
    if class_weights is not None and class_weights.shape != (labels,):
        raise RecipeError(
            f"loss.class_weights has shape {tuple(class_weights.shape)!r}, expected exactly one weight for each of the "
            f"{labels} labels. Build it with class_weight_vector."
        )
    gold = tags if mask is None else tags.masked_fill(~mask, IGNORED_LABEL)
    return nn.functional.cross_entropy(
        logits.flatten(0, 1),
        gold.flatten(),
        weight=class_weights,
        label_smoothing=label_smoothing,
        ignore_index=IGNORED_LABEL,
        reduction="sum",
    )


def class_weight_vector(class_weights: Mapping[str, float], labels: LabelSet) -> Tensor | None:
    """(K,) weight of each label, 1 where the recipe names none; None for an empty table, which means no weighting.

    Raises RecipeError for a name that is not a label."""
    unknown = sorted(set(class_weights) - set(labels.labels))
    if unknown:
        raise RecipeError(
            f"loss.class_weights.{unknown[0]!r} is not a label: expected some of {', '.join(labels.labels)}. "
            "Correct the name or remove it."
        )
    if not class_weights:
        return None
    return torch.tensor([float(class_weights.get(label, 1.0)) for label in labels.labels])
