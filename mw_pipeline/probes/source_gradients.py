"""The gradient of each source by itself, at fixed parameters: which one pulls harder than its like."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from mw_pipeline.dataset.batches import Batch, padded
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.probes.subject import finite, norm_of

OUTLIER_Z = 3.0


def probe_sources(
    tagger: Tagger, loss: TaggingLoss, train: TokenizedDataset, *, batches: int, rows: int
) -> dict[str, JSON]:
    """Source → gradient norm over batches of its own rows; see `compare_sources`."""
    parameters = list(tagger.parameters())
    device = parameters[0].device
    norms = {}
    for source, bounds in train.source_ranges.items():
        if bounds[1] > bounds[0]:
            drawn = _batches_of(train, bounds, batches=batches, rows=rows)
            norms[source] = [_norm(tagger, loss, batch, parameters, device) for batch in drawn]
    return compare_sources(norms)


def compare_sources(norms: Mapping[str, Sequence[float]]) -> dict[str, JSON]:
    """Per source mean, variance (n − 1) and share of its gradient norms, `plain_z`, `z` and whether it is an outlier.

    `plain_z` counts standard deviations over all sources, its own among them: with n sources it cannot exceed
    (n − 1)/√n, which is below 3 up to ten. So `z` judges a source by the others: Student's t of its mean against
    theirs, carried to the normal scale; above eleven sources whatever has a plain z > 3 has z > 3 as well."""
    means = {name: statistics.fmean(values) for name, values in norms.items()}
    total = sum(mean for mean in means.values() if math.isfinite(mean))
    found = {}
    for name, values in norms.items():
        z = z_against([mean for other, mean in means.items() if other != name], means[name])
        found[name] = {
            "batches": len(values),
            "mean_norm": finite(means[name]),
            "variance": finite(statistics.variance(values)) if len(values) > 1 else None,
            "share": finite(means[name] / total) if total else None,
            "plain_z": _plain_z(list(means.values()), means[name]),
            "z": None if z is None else finite(z),
            "outlier": z is not None and z > OUTLIER_Z,
        }
    return found


def z_against(others: Sequence[float], value: float) -> float | None:
    """z of a value against finite others of its kind; None where there are fewer than two, ∞ for NaN or ∞ itself.

    t = (x − mean)/(s·√(1 + 1/m)) with m − 1 degrees of freedom, on the normal scale by Wallace (1959): z ≈
    (8f + 1)/(8f + 3) · √(f·ln(1 + t²/f)), which is within a few hundredths of exact."""
    if not math.isfinite(value):
        return math.inf
    others = [other for other in others if math.isfinite(other)]
    if len(others) < 2:
        return None
    mean, spread = statistics.fmean(others), statistics.stdev(others)
    if spread == 0.0:
        return 0.0 if value == mean else math.copysign(math.inf, value - mean)
    freedom = len(others) - 1
    t = (value - mean) / (spread * math.sqrt(1 + 1 / len(others)))
    z = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(z, t)


def _plain_z(means: Sequence[float], mean: float) -> float | None:
    spread = statistics.stdev(means) if len(means) > 1 and all(map(math.isfinite, means)) else 0.0
    return (mean - statistics.fmean(means)) / spread if spread else None


def _batches_of(train: TokenizedDataset, bounds: tuple[int, int], *, batches: int, rows: int) -> Iterator[Batch]:
    """Batches of one source, each of rows that are spread over all of it; fewer where it has fewer rows."""
    begin, end = bounds
    count = min(batches * rows, end - begin)
    chosen = begin + np.arange(count, dtype=np.int64) * (end - begin) // count
    for first in range(min(batches, count)):
        mine = chosen[first::batches]
        yield padded(train.rows(mine), 0, len(mine), mine, np.zeros(len(mine), dtype=np.int64))


def _norm(
    tagger: Tagger, loss: TaggingLoss, batch: Batch, parameters: list[torch.nn.Parameter], device: torch.device
) -> float:
    """Norm of the gradient of the whole loss, as the log of training has it, before clipping."""
    ids, tags, mask = tensors_of(batch, device)
    logits = tagger.encoder(ids, mask).float()
    window = loss.extent(tags, mask)
    share = loss.share(logits, tags, mask, tagger.crf, window=window, log_variances=tagger.log_variances)
    found = torch.autograd.grad(share.total, parameters, allow_unused=True)
    return norm_of([gradient for gradient in found if gradient is not None])
