"""How hard each indexed row pulls on the spans of a reading, and how much it looks like them.

Influence is TracIn on the last layer (Pruthi, Liu, Kale and Sundararajan, "Estimating training data influence by
tracing gradient descent", NeurIPS 2020): the sum over checkpoints of the dot product of two loss gradients, here
without the learning rates that the paper weighs checkpoints by: a run keeps two at most. On the last layer that is a
sum over pairs of pieces, (error · error') × (hidden · hidden' + 1), where the 1 is the bias: a row pulls where it is
seen alike *and* asks for the same change. The loss of the reading is that of the labels as they were read, so a
positive pull is towards this reading. Similarity is the cosine of the hidden states alone.

Rows with a great loss pull at everything. Divided by the length of their gradient those come first that are about this
span alone (Barshan, Brunet and Dziugaite, "RelatIF", AISTATS 2020, who do so with influence functions): alignment. For
the same reason sources are compared over the rows that look most like the span: over all rows, what thousands of them
do to every reading drowns what a few do to this one (docs/why.md has the figures).

Shape letters: Q pieces of the address, N pieces of all indexed rows, R rows, S spans, C width, K labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.teaching.index import Ids, TeachingIndex
from mw_pipeline.teaching.last_layer import LastLayer

CHUNK_PIECES = 65_536
LIKEST_ROWS = 25
"""Rows over which sources are compared: those that look most like a span. Likeness finds them, gradients say which way
they pull."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SpanEvidence:
    """What the indexed rows are to one span of a reading.

    pull        (R,)  float64  influence of one draw of each row; above 0 it pulls towards the reading
    alignment   (R,)  float64  the cosine of its gradient with that of the span, -1 … 1
    similarity  (R,)  float64  mean cosine of the span's pieces with the likest piece of each row (first checkpoint)
    pulling     (R,)  int64    the piece of each row that pulls hardest, either way
    alike       (R,)  int64    the piece of each row that is likest to the first piece of the span
    """

    pull: Floats
    alignment: Floats
    similarity: Floats
    pulling: Ids
    alike: Ids


class _Part(NamedTuple):
    """Pull, similarity, pulling and alike of a run of rows."""

    pull: Floats
    similarity: Floats
    pulling: Ids
    alike: Ids


def evidence_of(index: TeachingIndex, layers: Mapping[str, LastLayer], spans: Sequence[Ids]) -> list[SpanEvidence]:
    """The evidence for each span, whose piece numbers in the address are given; in memory that the index does not set.

    `layers` holds the last layer of the address at every checkpoint of the index, its errors those of the reading."""
    parts: list[list[_Part]] = [[] for _ in spans]
    for rows in _chunks(index.offsets):
        first = int(index.offsets[rows.start])
        bounds = index.offsets[rows.start : rows.stop] - first
        pull, cosines = _of_pieces(index, layers, spans, slice(first, int(index.offsets[rows.stop])))
        for number, span in enumerate(spans):
            parts[number].append(_of_rows(pull[number], cosines[span], bounds, first))
    return [_evidence(index, layers, span, found) for span, found in zip(spans, parts, strict=True)]


def pull_by_source(index: TeachingIndex, evidence: SpanEvidence) -> list[dict[str, JSON]]:
    """What each source, and each of its methods, did to the reading in the run; hardest towards it first.

    A row here stands for as many draws of its source as the run made for each row of it here. `likest` counts the
    source's rows among the LIKEST_ROWS; `towards` and `against` are shares of the alignment of all of these, by draws,
    and `net` is their difference. `everywhere` is the same difference of the pull of all rows."""
    near = np.zeros(len(index), dtype=bool)
    near[np.argsort(-evidence.similarity, kind="stable")[:LIKEST_ROWS]] = True
    table = _Weighted(
        near, _as_shares(evidence.alignment * index.draws * near), _as_shares(evidence.pull * index.draws)
    )
    columns = zip(index.rows["source"].to_pylist(), index.rows["method"].to_pylist(), strict=True)
    sources: dict[str, dict[str | None, list[int]]] = {}
    for row, (source, method) in enumerate(columns):
        sources.setdefault(source, {}).setdefault(method, []).append(row)
    found = []
    for source, methods in sources.items():
        parts = [{"method": method, **table.of(rows)} for method, rows in methods.items()]
        every = [row for rows in methods.values() for row in rows]
        found.append({"source": source, **table.of(every), "methods": _hardest_first(parts)})
    return _hardest_first(found)


@dataclass(frozen=True)
class _Weighted:
    """(R,) whether a row is among the likest, its part of their alignment, and its part of the pull of all rows."""

    near: NDArray[np.bool_]
    aligned: Floats
    pulled: Floats

    def of(self, rows: Sequence[int]) -> dict[str, JSON]:
        """The sums over some rows."""
        aligned = self.aligned[rows]
        towards, against = float(np.maximum(aligned, 0).sum()), float(np.maximum(-aligned, 0).sum())
        return {
            "rows": len(rows),
            "likest": int(self.near[rows].sum()),
            "towards": towards,
            "against": against,
            "net": towards - against,
            "everywhere": float(self.pulled[rows].sum()),
        }


def _as_shares(values: Floats) -> Floats:
    """Divided by the sum of their sizes."""
    found: Floats = values / (np.abs(values).sum() or 1.0)
    return found


def _hardest_first(found: Iterable[dict[str, JSON]]) -> list[dict[str, JSON]]:
    return sorted(found, key=lambda one: -one["net"])


def _evidence(index: TeachingIndex, layers: Mapping[str, LastLayer], span: Ids, parts: Sequence[_Part]) -> SpanEvidence:
    pull, similarity, pulling, alike = (np.concatenate(column) for column in zip(*parts, strict=True))
    lengths = index.norms * np.sqrt(sum(layer.only(span).square for layer in layers.values()))
    alignment = np.divide(pull, lengths, out=np.zeros_like(pull), where=lengths > 0)
    return SpanEvidence(pull, alignment, similarity, pulling, alike)


def _chunks(offsets: Ids) -> Iterator[range]:
    """Runs of whole rows of about CHUNK_PIECES pieces each."""
    row = 0
    while row < len(offsets) - 1:
        stop = max(row + 1, int(np.searchsorted(offsets, offsets[row] + CHUNK_PIECES, side="right")) - 1)
        yield range(row, stop)
        row = stop


def _of_pieces(
    index: TeachingIndex,
    layers: Mapping[str, LastLayer],
    spans: Sequence[NDArray[np.int64]],
    pieces: slice,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(S, n) the pull of each piece on each span, and (Q, n) its cosine with each piece of the address."""
    pull = np.zeros((len(spans), pieces.stop - pieces.start))
    cosines = None
    for name, mine in layers.items():
        hidden, errors = (part[pieces].astype(np.float32) for part in index.layers[name])
        dots = mine.hidden @ hidden.T
        agreement = mine.errors @ errors.T  # float64: a confident reading has errors far below float32's smallest step
        pairs = agreement * (dots + 1.0)
        pull += np.stack([pairs[span].sum(axis=0) for span in spans])
        if cosines is None:
            lengths = np.linalg.norm(mine.hidden, axis=1)[:, None] * np.linalg.norm(hidden, axis=1)[None, :]
            cosines = dots / np.maximum(lengths, 1e-12)
    assert cosines is not None, "an index has at least one checkpoint"
    return pull, cosines


def _of_rows(pull: Floats, cosines: NDArray[np.float32], bounds: Ids, first: int) -> _Part:
    """pull (n,) and cosines (q, n) of pieces, by row; `bounds` are the first pieces of the rows."""
    likest = np.maximum.reduceat(cosines, bounds, axis=1)
    return _Part(
        np.add.reduceat(pull, bounds),
        likest.mean(axis=0).astype(np.float64),
        first + _argmax_by_row(np.abs(pull), bounds),
        first + _argmax_by_row(cosines[0], bounds),
    )


def _argmax_by_row(values: NDArray[np.floating], bounds: Ids) -> Ids:
    """The place of the greatest value of each run, the first of equals."""
    lengths = np.diff(np.append(bounds, len(values)))
    greatest = np.flatnonzero(values == np.repeat(np.maximum.reduceat(values, bounds), lengths))
    found: Ids = greatest[np.searchsorted(greatest, bounds)]
    return found
