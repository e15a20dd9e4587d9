"""Whether a checkpoint tells the pieces inside a label's spans from those outside.

Shape letters: B rows, T pieces of the longest, N real pieces, G tags, F families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mw_pipeline.dataset.batches import Batch, fixed_batches
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.decode import Moves, Posterior, Words
from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError
from mw_pipeline.metrics.resampling import RESAMPLES, interval, resampled_sums
from mw_pipeline.metrics.thresholds import ThresholdScore, choose_threshold
from mw_pipeline.model.checkpoint import Checkpoint
from mw_pipeline.probes.subject import Subject
from mw_pipeline.train.validation import Answer, answers_of

ROWS = 2000

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Pieces with what the checkpoint gives each tag there.

    probability  (N, G)  float64  p that the piece lies in a span of the tag, by B- or I-
    inside       (N, G)  bool     whether it does
    family       (N,)    int64    pieces of one family are drawn together
    """

    probability: Floats
    inside: Flags
    family: Ids

    def __len__(self) -> int:
        return len(self.family)


def separation_of(pieces: Pieces, tags: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, JSON]:
    """Tag → mean p inside minus mean p outside its spans with its bootstrap interval over families, base rate, AUROC.

    `collapsed` when the interval holds 0: the scores of such a label do not know its spans. All is None for a tag
    that has no piece inside, or none outside."""
    samples = _resampled_separations(pieces, resamples=resamples, seed=seed)
    found = {}
    for number, tag in enumerate(tags):
        scores, inside = pieces.probability[:, number], pieces.inside[:, number]
        positives = int(inside.sum())
        known = 0 < positives < len(inside)
        bounds = interval(samples[:, number]) if known else None
        found[tag] = {
            "pieces_inside": positives,
            "base_rate": positives / len(inside) if len(inside) else None,
            "mean_inside": float(scores[inside].mean()) if known else None,
            "mean_outside": float(scores[~inside].mean()) if known else None,
            "separation": float(scores[inside].mean() - scores[~inside].mean()) if known else None,
            "interval": bounds,
            "auroc": auroc(scores, inside) if known else None,
            "collapsed": bounds[0] <= 0 <= bounds[1] if bounds else None,
        }
    return found


def auroc(scores: Floats, positives: Flags) -> float:
    """The chance that a piece inside scores above one outside, ties counting half (Mann and Whitney, 1947).

    scores (N,), positives (N,) bool with at least one of either."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[places]  # 1-based, equal scores share their mean rank
    inside = int(positives.sum())
    outside = len(positives) - inside
    return float((rank[positives].sum() - inside * (inside + 1) / 2) / (inside * outside))


def thresholds_of(chosen_on: Pieces, scored_on: Pieces, tags: Sequence[str]) -> dict[str, JSON]:
    """Tag → threshold on p with the best F1 on one set of pieces, and what it does on the other (M60).

    Candidates are quantiles of the scores themselves, wherever these lie."""
    found = {}
    for number, tag in enumerate(tags):
        threshold = choose_threshold(chosen_on.probability[:, number], chosen_on.inside[:, number])
        scored = ThresholdScore.of(scored_on.probability[:, number], scored_on.inside[:, number], threshold)
        found[tag] = {"threshold": threshold, **scored.as_json()}
    return found


def _resampled_separations(pieces: Pieces, *, resamples: int, seed: int) -> Floats:
    """(resamples, G) the separation of every resample; NaN where it has no piece inside, or none outside."""
    columns = [pieces.probability * pieces.inside, pieces.inside, pieces.probability * ~pieces.inside, ~pieces.inside]
    table = np.zeros((int(pieces.family.max(initial=-1)) + 1, 4, pieces.inside.shape[1]))
    for place, column in enumerate(columns):
        np.add.at(table[:, place], pieces.family, column)
    sums = resampled_sums(table.reshape(len(table), -1), resamples=resamples, seed=seed)
    inside, count_inside, outside, count_outside = np.moveaxis(sums.reshape(len(sums), 4, -1), 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = inside / count_inside - outside / count_outside
    return found


def probe_separation(subject: Subject, *, rows: int = ROWS, resamples: int = RESAMPLES) -> dict[str, JSON]:
    """`labels`: the separation of every tag on test rows; `thresholds`: chosen on validation, scored on test.

    p is the CRF's marginal where the checkpoint has learned one, σ of the higher score for a soft-span tagger, else
    the softmax. A dataset without test rows is judged on validation, and no threshold is given. Raises CorpusError
    when it has neither."""
    tags, test, validation = subject.checkpoint.labels.tags, subject.split("test"), subject.split("validation")
    judged = test if len(test) else validation
    if not len(judged):
        raise CorpusError(f"{subject.dataset_path}: has no rows outside training. Name a dataset that holds some out.")
    pieces = pieces_of(subject.checkpoint, judged, rows)
    found: dict[str, JSON] = {
        "probe": "separation",
        "checkpoint": subject.facts,
        "split": judged.split,
        "rows": min(rows, len(judged)),
        "pieces": len(pieces),
        "probability": kind_of(subject.checkpoint),
        "labels": separation_of(pieces, tags, resamples=resamples),
        "thresholds": None,
    }
    if len(test) and len(validation):
        chosen_on = pieces_of(subject.checkpoint, validation, rows)
        tables = thresholds_of(chosen_on, pieces, tags)
        found["thresholds"] = {"chosen_on": "validation", "scored_on": "test", "labels": tables}
    return found


def kind_of(checkpoint: Checkpoint) -> str:
    """Where a checkpoint's probabilities come from: "sigmoid", "CRF marginal" or "softmax"."""
    if checkpoint.facts.thresholds is not None:
        return "sigmoid"
    learned = bool(checkpoint.crf.transitions.any()) or bool(checkpoint.crf.start.any())
    return "CRF marginal" if learned else "softmax"


def pieces_of(checkpoint: Checkpoint, split: TokenizedDataset, rows: int) -> Pieces:
    """The pieces of at most `rows` rows of a split, evenly spaced over it."""
    batches = fixed_batches(split, rows)
    with torch.inference_mode():
        answers = answers_of(checkpoint.tagger, batches)
    gold = np.concatenate([answer.batch.labels[answer.batch.attention_mask] for answer in answers])
    tags = np.arange(len(checkpoint.labels.tags))
    begin = 2 * tags + 1
    inside = (gold[:, None] == begin) | (gold[:, None] == begin + 1)
    probability = np.concatenate([_probabilities(checkpoint, answer) for answer in answers])
    return Pieces(probability, inside, families_of(split, batches))


def _probabilities(checkpoint: Checkpoint, answer: Answer) -> Floats:
    """(n, G) of the real pieces of a batch."""
    mask = answer.batch.attention_mask
    logits = answer.logits.double()
    kind = kind_of(checkpoint)
    if kind == "sigmoid":
        both = logits.cpu().numpy()[mask][:, 1:].reshape(int(mask.sum()), -1, 2)
        higher: Floats = 1 / (1 + np.exp(-both.max(axis=2)))
        return higher
    if kind == "softmax":
        labels = logits.softmax(dim=2).cpu().numpy()
    else:
        moves = Moves.of(*(part.detach().cpu().numpy() for part in _scores(checkpoint)))
        labels = Posterior.of(Words.of_pieces(logits.cpu().numpy(), mask), moves).marginals
    found: Floats = labels[mask][:, 1:].reshape(int(mask.sum()), -1, 2).sum(axis=2)
    return np.minimum(found, 1.0)  # two rounded shares of one may be more together


def _scores(checkpoint: Checkpoint) -> tuple[torch.Tensor, torch.Tensor]:
    return checkpoint.crf.masked_transitions(), checkpoint.crf.masked_start()


def families_of(split: TokenizedDataset, batches: Sequence[Batch]) -> Ids:
    """(N,) the family of each real piece: a row id without its variant, `source:id:variant`."""
    numbers: dict[str, int] = {}
    found = []
    for batch in batches:
        names = [row_id.rsplit(":", maxsplit=1)[0] for row_id in split.row_ids(batch.rows)]
        families = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        found.append(np.repeat(families, batch.attention_mask.sum(axis=1)))
    return np.concatenate(found)
