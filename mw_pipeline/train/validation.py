"""Validation while training: loss in nats per piece and span F1 after the same constrained decoding as the parser's.

Shape letters: B rows, T pieces, K labels, G tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.decode import Moves, word_viterbi
from mw_pipeline.digest import JSON
from mw_pipeline.labels import LabelSet
from mw_pipeline.metrics.row_losses import RowLosses
from mw_pipeline.metrics.thresholds import choose_threshold
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.soft_span import by_threshold
from mw_pipeline.train.processes import ALONE, Processes


@dataclass(frozen=True)
class SpanCounts:
    """Spans by tag, (G,) int64 each; a predicted span is correct when tag, first and last piece are the gold's."""

    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]

    def __add__(self, other: SpanCounts) -> SpanCounts:
        return SpanCounts(self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct)

    @classmethod
    def none(cls, tags: int) -> SpanCounts:
        """No span of any tag."""
        return cls(*(np.zeros(tags, dtype=np.int64) for _ in range(3)))

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


@dataclass(frozen=True)
class Validation:
    """One evaluation: `scores` is its row of evals.jsonl, `losses` are the same val_loss row by row."""

    scores: dict[str, JSON]
    losses: RowLosses


def examine(
    tagger: Tagger, batches: Sequence[Batch], labels: LabelSet, *, loss: TaggingLoss, processes: Processes = ALONE
) -> Validation:
    """val_loss, val_ce, val_crf (nats per piece, without weights or smoothing), val_macro_f1, f1 by tag, and more.

    val_loss is the negative log-likelihood of the model that decodes: the CRF's where the loss has one, else CE. A
    soft-span tagger decodes its scores above `thresholds`, which are chosen here and are in the answer: its val_loss is
    the CE of these, so that it too can be held against the entropy of the labels. `nonfinite_parameters` counts weights
    that are NaN or infinite, for those of pieces that these batches lack show in no loss.

    Each of the `processes` takes its part of the batches and all get the scores, which are those of one to the last
    bit. Raises PeerLostError when one of them is gone.
    """
    tagger.eval()
    with torch.inference_mode():
        answers, thresholds = _answers_to_decode(tagger, batches, labels, loss, processes)
        moves = Moves.of(tagger.crf.masked_transitions().cpu().numpy(), tagger.crf.masked_start().cpu().numpy())
        spans = processes.together([_spans_of(answer, moves, labels) for answer in answers])
        ce = _rows_of(processes.together([(answer.ce_rows(), answer.lengths()) for answer in answers]))
        crf = None
        if loss.crf_weight:
            crf = _rows_of(processes.together([(answer.crf_rows(tagger), answer.lengths()) for answer in answers]))
        nonfinite = sum(int((~weights.isfinite()).sum()) for weights in tagger.parameters())
    tagger.train()
    losses, counts = crf or ce, sum(spans, start=SpanCounts.none(len(labels.tags)))
    found = {
        "val_loss": losses.mean,
        "val_macro_f1": counts.macro_f1(labels),
        "f1": counts.f1(labels),
        "val_ce": ce.mean,
        "val_crf": crf.mean if crf else None,
        "pieces": int(losses.pieces.sum()),
        "val_loss_se": losses.standard_error,
        "nonfinite_parameters": nonfinite,
    }
    return Validation(found | ({"thresholds": thresholds} if thresholds else {}), losses)


def row_losses(
    tagger: Tagger, batches: Sequence[Batch], labels: LabelSet, *, loss: TaggingLoss, processes: Processes = ALONE
) -> RowLosses:
    """What `examine` calls val_loss, row by row, without decoding; a soft-span tagger's thresholds are chosen here."""
    tagger.eval()
    with torch.inference_mode():
        answers, _ = _answers_to_decode(tagger, batches, labels, loss, processes)
        nats = [answer.crf_rows(tagger) if loss.crf_weight else answer.ce_rows() for answer in answers]
        lengths = [answer.lengths() for answer in answers]
        found = _rows_of(processes.together(list(zip(nats, lengths, strict=True))))
    tagger.train()
    return found


def _answers_to_decode(
    tagger: Tagger, batches: Sequence[Batch], labels: LabelSet, loss: TaggingLoss, processes: Processes
) -> tuple[list[Answer], dict[str, float]]:
    """What the tagger says to this process's part of the batches, and the thresholds of all where the loss has some."""
    answers = answers_of(tagger, processes.share(batches))
    if loss.positive_weights is None:
        return answers, {}
    scores, gold = zip(*processes.together([pieces_of([answer]) for answer in answers]), strict=True)
    thresholds = choose_thresholds(np.concatenate(scores), np.concatenate(gold), labels)
    return [answer.above(thresholds, labels) for answer in answers], thresholds


def _rows_of(found: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> RowLosses:
    nats, pieces = zip(*found, strict=True)
    return RowLosses(np.concatenate(nats), np.concatenate(pieces))


@dataclass(frozen=True)
class Answer:
    """A batch and the tagger's logits (B, T, K) on it; tags and mask as `tensors_of` gives them."""

    batch: Batch
    logits: Tensor
    tags: Tensor
    mask: Tensor | None

    def above(self, thresholds: Mapping[str, float], labels: LabelSet) -> Answer:
        """The same with its scores above the thresholds."""
        return replace(self, logits=by_threshold(self.logits, thresholds, labels))

    def lengths(self) -> NDArray[np.int64]:
        """(B,) real pieces of each row."""
        pieces: NDArray[np.int64] = np.count_nonzero(self.batch.attention_mask, axis=1)
        return pieces

    def ce_rows(self) -> NDArray[np.float64]:
        """(B,) cross-entropy of each row, in nats."""
        nats = nn.functional.cross_entropy(self.logits.transpose(1, 2), self.tags, reduction="none")
        real = nats if self.mask is None else nats.masked_fill(~self.mask, 0.0)
        return real.double().sum(1).cpu().numpy()

    def crf_rows(self, tagger: Tagger) -> NDArray[np.float64]:
        """(B,) negative log-likelihood of each row under the tagger's CRF, in nats."""
        nats: NDArray[np.float64] = tagger.crf(self.logits, self.tags, self.mask).double().cpu().numpy()
        return nats


def answers_of(tagger: Tagger, batches: Sequence[Batch]) -> list[Answer]:
    """What the tagger says to some batches, in order; on its own device."""
    device = next(tagger.parameters()).device
    found = []
    for batch in batches:
        ids, tags, mask = tensors_of(batch, device)
        found.append(Answer(batch, tagger.encoder(ids, mask).float(), tags, mask))
    return found


def choose_thresholds(scores: NDArray[np.float32], gold: NDArray[np.int64], labels: LabelSet) -> dict[str, float]:
    """Tag → logit with the best F1 over pieces that lie inside a value of the tag, by whichever label (M60); logits
    (N, K) and gold labels (N,) as `pieces_of` gives them."""
    return {tag: choose_threshold(*of_tag(scores, gold, number)) for number, tag in enumerate(labels.tags)}


def pieces_of(answers: Sequence[Answer]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits (N, K) and gold labels (N,) of all real pieces."""
    masks = [answer.batch.attention_mask for answer in answers]
    logits = [answer.logits.cpu().numpy()[mask] for answer, mask in zip(answers, masks, strict=True)]
    return np.concatenate(logits), np.concatenate([a.batch.labels[m] for a, m in zip(answers, masks, strict=True)])


def of_tag(
    scores: NDArray[np.float32], gold: NDArray[np.int64], tag: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(N,) the higher logit of the tag's two labels, and whether the gold is one of them."""
    begin = 2 * tag + 1
    return scores[:, begin : begin + 2].max(axis=1), (gold == begin) | (gold == begin + 1)


def _spans_of(answer: Answer, moves: Moves, labels: LabelSet) -> SpanCounts:
    """The spans that constrained Viterbi over whole words makes of an answer, beside the gold's."""
    mask = answer.batch.attention_mask
    predicted = word_viterbi(answer.logits.cpu().numpy(), mask, answer.batch.kinds, moves)
    return count_spans(np.where(mask, answer.batch.labels, 0), predicted, tags=len(labels.tags))
