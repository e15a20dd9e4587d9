"""How hard two terms of a loss pull on the weights that they share, and whether they pull the same way.

Shape letters: P parameters that both terms reach, flattened.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.digest import JSON
from mw_pipeline.errors import RecipeError
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.probes.source_gradients import probe_sources
from mw_pipeline.probes.subject import LEAST_BATCHES, Subject, finite, norm_of
from mw_pipeline.recipe import Recipe

DOMINATES_ABOVE, BALANCED_FROM, BALANCED_TO, COLLAPSED_BELOW = 4.0, 0.5, 2.0, 0.01
BATCHES = 8


@dataclass(frozen=True)
class Term:
    """One term of a loss on one batch.

    value        ()  the term's mean over its units, nats
    weight       λ, what training multiplies it by
    unit_pieces  pieces in one unit of that mean: 1 for a mean over pieces, the mean row length for one over rows
    """

    name: str
    value: Tensor
    weight: float
    unit_pieces: float = 1.0


@dataclass(frozen=True)
class TermRatio:
    """‖∇₂‖ / ‖∇₁‖ of two terms over the parameters that both reach.

    raw        of the terms as the recipe takes their means
    weighted   times λ₂ / λ₁: what training feels
    per_token  of both as means over pieces, without λ
    cosine     of the two gradients; NaN where one is nothing
    own_norm   ‖∇₂‖ over parameters that the second term alone reaches
    """

    raw: float
    weighted: float
    per_token: float
    cosine: float
    own_norm: float


def compare_terms(first: Term, second: Term, parameters: Sequence[Tensor]) -> TermRatio:
    """The ratio on one batch. The values' graph is kept, so that it can be asked again."""
    one, two = (_gradients(term.value, parameters) for term in (first, second))
    shared = [(a, b) for a, b in zip(one, two, strict=True) if a is not None and b is not None]
    own = [b for a, b in zip(one, two, strict=True) if a is None and b is not None]
    norms = norm_of([a for a, _ in shared]), norm_of([b for _, b in shared])
    dot = sum(float((a.double() * b.double()).sum()) for a, b in shared)
    raw = _ratio(norms[1], norms[0])
    return TermRatio(
        raw=raw,
        weighted=raw * _ratio(second.weight, first.weight),
        per_token=raw * first.unit_pieces / second.unit_pieces,
        cosine=dot / (norms[0] * norms[1]) if norms[0] and norms[1] else math.nan,
        own_norm=norm_of(own),
    )


def _gradients(value: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(value, tuple(parameters), retain_graph=True, allow_unused=True)


def _ratio(above: float, below: float) -> float:
    if below == 0.0:
        return math.nan if above == 0.0 or math.isnan(above) else math.inf
    return above / below


def band(weighted: float) -> str:
    """What a weighted ratio means: "dominates", "leaning", "balanced", "collapsed", or "not finite" for NaN."""
    if math.isnan(weighted):
        return "not finite"
    if weighted > DOMINATES_ABOVE:
        return "dominates"
    if weighted < COLLAPSED_BELOW:
        return "collapsed"
    return "balanced" if BALANCED_FROM <= weighted <= BALANCED_TO else "leaning"


def terms_of(tagger: Tagger, loss: TaggingLoss, batch: Batch) -> tuple[Term, Term] | None:
    """CE and CRF of a batch at the weights that training gives them; None for a loss that has but one term."""
    if not (loss.ce_weight and loss.crf_weight):
        return None
    device = next(tagger.parameters()).device
    ids, tags, mask = tensors_of(batch, device)
    extent = loss.extent(tags, mask)
    logits = tagger.encoder(ids, mask).float()
    share = loss.share(logits, tags, mask, tagger.crf, window=extent, log_variances=tagger.log_variances)
    assert share.ce is not None and share.crf is not None
    weights = loss.ce_weight, loss.crf_weight
    if loss.learns_weights:  # L / 2σ²
        weights = tuple((torch.exp(-tagger.log_variances.detach()) / 2).tolist())
    row_pieces = extent.pieces / extent.rows if loss.per_sequence else 1.0
    return Term("ce", share.ce, weights[0]), Term("crf", share.crf, weights[1], row_pieces)


def probe_gradients(subject: Subject, recipe: Recipe, *, batches: int = BATCHES) -> dict[str, JSON]:
    """`terms`: the two terms of the recipe's loss over the next training batches; `sources`: each source by itself.

    Parameters stay as they are, without dropout. Raises RecipeError for fewer than five batches."""
    if batches < LEAST_BATCHES:
        raise RecipeError(
            f"batches is {batches!r}, expected at least {LEAST_BATCHES}: one batch holds rows of about one length. "
            "Ask for more."
        )
    tagger, loss = subject.checkpoint.tagger, subject.loss_of(recipe)
    drawn = subject.training_batches(recipe, batches)
    return {
        "probe": "gradients",
        "checkpoint": subject.facts,
        "recipe": recipe.name,
        "loss": {"kind": recipe.loss.kind, "crf_reduction": recipe.loss.crf_reduction},
        "terms": _over_batches(tagger, loss, drawn),
        "sources": probe_sources(tagger, loss, subject.split("train"), batches=batches, rows=recipe.train.batch_size),
    }


def _over_batches(tagger: Tagger, loss: TaggingLoss, batches: Sequence[Batch]) -> dict[str, JSON] | None:
    found: list[tuple[TermRatio, Term]] = []
    for batch in batches:
        terms = terms_of(tagger, loss, batch)
        if terms is None:
            return None
        found.append((compare_terms(*terms, list(tagger.parameters())), terms[1]))
        names, weight = tuple(term.name for term in terms), _ratio(terms[1].weight, terms[0].weight)
    return summary_of([ratio for ratio, _ in found], names=names, weight=weight) | {
        "unit_pieces": statistics.fmean(term.unit_pieces for _, term in found)
    }


def summary_of(ratios: Sequence[TermRatio], *, names: Sequence[str], weight: float) -> dict[str, JSON]:
    """Medians over batches, the range of the weighted ratio, its band, and every batch."""
    rows = [vars(ratio) for ratio in ratios]
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    if any(math.isnan(row["weighted"]) for row in rows):
        median["weighted"] = math.nan  # a median would hide it, or not, by where it sorts
    weighted = [row["weighted"] for row in rows]
    return {
        "first": names[0],
        "second": names[1],
        "weight": weight,
        "batches": len(rows),
        "median": _finite(median),
        "weighted_range": [finite(min(weighted)), finite(max(weighted))],
        "band": band(median["weighted"]),
        "per_batch": [_finite(row) for row in rows],
    }


def _finite(row: Mapping[str, float]) -> dict[str, float | None]:
    return {key: finite(value) for key, value in row.items()}
