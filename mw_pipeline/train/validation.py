"""Validation while training: loss in nats per piece and span F1 after the same constrained decoding as the parser's.

Shape letters: B rows, T pieces, K labels, G tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.decode import constrained_viterbi
from mw_pipeline.digest import JSON
from mw_pipeline.labels import LabelSet
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import ce_sum


@dataclass(frozen=True)
class SpanCounts:
    """Spans by tag, (G,) int64 each; a predicted span is correct when tag, first and last piece are the gold's."""

    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]

    def __add__(self, other: SpanCounts) -> SpanCounts:
        return SpanCounts(self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct)

    def f1(self, labels: LabelSet) -> dict[str, float | None]:
        """F1 by tag; None for a tag that neither gold nor prediction holds."""
        found = zip(labels.tags, self.gold.tolist(), self.predicted.tolist(), self.correct.tolist(), strict=True)
        return {
            tag: 2 * correct / (gold + predicted) if gold + predicted else None
            for tag, gold, predicted, correct in found
        }

    def macro_f1(self, labels: LabelSet) -> float:
        """Mean F1 over the tags that the gold holds; 0 when it holds none (M45)."""
        scores = self.f1(labels)
        supported = [scores[tag] or 0.0 for tag, gold in zip(labels.tags, self.gold.tolist(), strict=True) if gold]
        return sum(supported) / len(supported) if supported else 0.0


def count_spans(gold: NDArray[np.int64], predicted: NDArray[np.int64], *, tags: int) -> SpanCounts:
    """Spans of two legal label arrays (B, T), 0 under padding. A label id is 2·tag + 1 for B and 2·tag + 2 for I."""
    begins = (gold % 2 == 1) & (gold == predicted)
    agreed = begins & (_span_ends(gold) == _span_ends(predicted))
    return SpanCounts(
        gold=_begins_by_tag(gold, gold % 2 == 1, tags),
        predicted=_begins_by_tag(predicted, predicted % 2 == 1, tags),
        correct=_begins_by_tag(gold, agreed, tags),
    )


def _begins_by_tag(labels: NDArray[np.int64], chosen: NDArray[np.bool_], tags: int) -> NDArray[np.int64]:
    return np.bincount(labels[chosen] // 2, minlength=tags)


def _span_ends(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B, T) for each piece, where the next piece that is no I- label lies: the end of the span that begins here."""
    pieces = labels.shape[1]
    continues = (labels > 0) & (labels % 2 == 0)
    stops = np.where(continues, pieces, np.arange(pieces))
    nearest = np.minimum.accumulate(stops[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate((nearest[:, 1:], np.full((labels.shape[0], 1), pieces)), axis=1)


def validate(tagger: Tagger, batches: Sequence[Batch], labels: LabelSet, *, uses_crf: bool) -> dict[str, JSON]:
    """val_loss, val_ce, val_crf (nats per piece, without weights or smoothing), val_macro_f1 and f1 by tag.

    val_loss is the negative log-likelihood of the model that decodes: the CRF's where the loss has one, else CE.
    """
    tagger.eval()
    device = next(tagger.parameters()).device
    transitions = tagger.crf.masked_transitions().detach().cpu().numpy()
    starts = tagger.crf.masked_start().detach().cpu().numpy()
    ce = crf = 0.0
    pieces = 0
    nothing = np.zeros(len(labels.tags), dtype=np.int64)
    counts = SpanCounts(nothing, nothing, nothing)
    with torch.inference_mode():
        for batch in batches:
            ids, tags, mask = tensors_of(batch, device)
            logits = tagger.encoder(ids, mask).float()
            ce += float(ce_sum(logits, tags, mask))
            crf += float(tagger.crf(logits, tags, mask).sum()) if uses_crf else 0.0
            pieces += int(batch.attention_mask.sum())
            predicted = constrained_viterbi(logits.cpu().numpy(), batch.attention_mask, transitions, starts)
            gold = np.where(batch.attention_mask, batch.labels, 0)
            counts += count_spans(gold, predicted, tags=len(labels.tags))
    tagger.train()
    return {
        "val_loss": (crf if uses_crf else ce) / pieces,
        "val_macro_f1": counts.macro_f1(labels),
        "f1": counts.f1(labels),
        "val_ce": ce / pieces,
        "val_crf": crf / pieces if uses_crf else None,
        "pieces": pieces,
    }
