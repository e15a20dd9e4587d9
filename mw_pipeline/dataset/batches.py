"""Training and validation batches from a tokenized split: pure functions of their number, padded as little as possible.

Shape letters: B rows, T pieces of the longest of them or, on a GPU, the next multiple of eight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.dataset.ahead import Ahead
from mw_pipeline.dataset.tokenized import TokenizedDataset, TokenRows
from mw_pipeline.errors import RecipeError
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.recipe import POOL_BATCHES
from mw_pipeline.tokenizer import PAD_ID


@dataclass(frozen=True)
class Batch:
    """Rows padded to the longest of them, or to the next multiple of a width above it.

    input_ids       (B, T)  int64   piece ids, 0 under padding
    labels          (B, T)  int64   label ids, 0 under padding: read them through the mask
    kinds           (B, T)  uint8   what each piece is to its word, by mw_pipeline.words; 0 under padding
    attention_mask  (B, T)  bool    True on real pieces; column 0 is all True
    rows            (B,)    int64   row numbers in the split
    passes          (B,)    int64   whole passes over its source before each row; 0 in validation
    words                           of the row with most of them, or the next multiple; None where nobody counted them
    """

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    attention_mask: NDArray[np.bool_]
    rows: NDArray[np.int64]
    passes: NDArray[np.int64]
    words: int | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class SamplePool:
    """A pool of N = P · B samples, by words and length, before any of its rows is read.

    rows    (N,)  int64  row numbers in the split; B of them side by side are a batch
    passes  (N,)  int64  whole passes over its source before each row
    order   (P,)  int64  which of these batches comes first, second, …
    """

    rows: NDArray[np.int64]
    passes: NDArray[np.int64]
    order: NDArray[np.int64]


class BatchStream:
    """The training batches of a run. Batch n depends on (dataset, sampler, seed, n) alone, so resuming needs no state.

    Samples come in pools of `pool_batches` batches: each pool is sorted by words and length, cut, and its batches dealt
    out. What a pool holds is the sampler's choice, so the mix is right in every pool; sorting only keeps padding out,
    and dealing keeps sources of long rows from coming in bursts. While the second half of a pool is used, a thread
    makes the next one.
    """

    def __init__(
        self,
        dataset: TokenizedDataset,
        sampler: MixSampler,
        *,
        batch_size: int,
        seed: int,
        pool_batches: int = POOL_BATCHES,
        multiple: int = 1,
        own: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
    ) -> None:
        """Batches are as many pieces wide, and said to have as many words, as the next `multiple` above their longest
        row. `own` says of batch numbers (N,) which will be asked for: the rows of others are drawn and never read.

        Raises RecipeError when the sampler has sources that the dataset lacks."""
        self._dataset = dataset
        self._sampler = sampler
        self._batch_size = batch_size
        self._seed = seed
        self._multiple = multiple
        self._own = own
        self.pool_batches = pool_batches
        self._ahead: Ahead[Mapping[int, Batch]] = Ahead()
        self._pool: tuple[int, Mapping[int, Batch]] | None = None
        self._sample_pool: tuple[int, SamplePool] | None = None
        self._bounds = _source_bounds(dataset, sampler)

    def batch(self, index: int) -> Batch:
        """Batch `index` of the run, counted from 0. KeyError for one that is another's."""
        pool, position = divmod(index, self.pool_batches)
        if self._pool is None or self._pool[0] != pool:
            self._pool = (pool, self._ahead.take(self._batches_of, pool))
        batches = self._pool[1]
        if position == next((own for own in batches if own >= self.pool_batches // 2), None):
            self._ahead.begin(self._batches_of, pool + 1)  # whoever asks for a few batches alone needs no more of them
        return batches[position]

    def row_numbers(self, index: int) -> NDArray[np.int64]:
        """(B,) the row numbers of batch `index`, as `batch` has them, without reading any row."""
        pool, position = divmod(index, self.pool_batches)
        if self._sample_pool is None or self._sample_pool[0] != pool:
            self._sample_pool = (pool, self._sample_pool_of(pool))
        samples = self._sample_pool[1]
        begin = int(samples.order[position]) * self._batch_size
        return samples.rows[begin : begin + self._batch_size]

    def _batches_of(self, pool: int) -> Mapping[int, Batch]:
        """Position in the pool to batch, of those that are our own."""
        samples, size = self._sample_pool_of(pool), self._batch_size
        positions = np.arange(self.pool_batches)
        if self._own is not None:
            positions = positions[self._own(pool * self.pool_batches + positions)]
        chosen = (samples.order[positions, None] * size + np.arange(size)).ravel()
        rows, passes = samples.rows[chosen], samples.passes[chosen]
        token_rows = self._dataset.rows(rows)
        return {
            position: padded(token_rows, begin, begin + size, rows, passes, multiple=self._multiple)
            for position, begin in zip(positions.tolist(), range(0, len(rows), size), strict=True)
        }

    def _sample_pool_of(self, pool: int) -> SamplePool:
        samples = self.pool_batches * self._batch_size
        draw = self._sampler.draw(pool * samples, samples)
        rows = self._bounds[draw.source, 0] + draw.row
        self._demand_rows_of_source(rows, draw.source)
        rng = np.random.default_rng([self._seed % 2**64, pool])
        mixed = rng.permutation(samples)  # rows of one length must not stay in the sampler's order of sources
        order = mixed[self._dataset.by_size(rows[mixed])]
        return SamplePool(rows[order], draw.passes[order], stratified_order(self.pool_batches, rng))

    def _demand_rows_of_source(self, rows: NDArray[np.int64], source: NDArray[np.int16]) -> None:
        """A sampler made for other row counts would draw the next source's rows under this one's name."""
        beyond = np.flatnonzero(rows >= self._bounds[source, 1])
        if len(beyond):
            name = self._sampler.sources[source[beyond[0]]]
            raise RecipeError(
                f"mix: the sampler draws row {int(rows[beyond[0]])} for source {name!r}, whose rows in "
                f"{self._dataset.path} end before {self._bounds[source[beyond[0]], 1]}. "
                "Build the sampler from the dataset's own rows_per_source."
            )


def stratified_order(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count,) a random order of 0 … count − 1 in which every stretch has its part of each eighth of them."""
    order = rng.permutation(count)
    eighth = order * 8 // count
    sizes = np.bincount(eighth, minlength=8)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(eighth, kind="stable")] = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # As in the sampler: the k-th of q falls in the k-th of q equal stretches, somewhere.
    return order[np.argsort((rank + rng.random(count)) / sizes[eighth], kind="stable")]


def fixed_batches(dataset: TokenizedDataset, max_rows: int, *, batch_size: int = 512) -> list[Batch]:
    """The same validation batches every time: at most `max_rows` stored rows, evenly spaced over the split, by size.

    Even spacing reaches every source in proportion, since the rows of a source lie side by side. Nothing is
    augmented, weighted or repeated (M23).
    """
    count = min(max_rows, len(dataset))
    return batches_of(dataset, np.arange(count, dtype=np.int64) * len(dataset) // max(1, count), batch_size=batch_size)


def batches_of(dataset: TokenizedDataset, rows: NDArray[np.int64], *, batch_size: int = 512) -> list[Batch]:
    """Stored rows by number, in order of words and length."""
    rows = rows[dataset.by_size(rows)]
    token_rows, passes, count = dataset.rows(rows), np.zeros(len(rows), dtype=np.int64), len(rows)
    return [
        padded(token_rows, begin, min(begin + batch_size, count), rows, passes) for begin in range(0, count, batch_size)
    ]


def padded(
    token_rows: TokenRows,
    begin: int,
    end: int,
    rows: NDArray[np.int64],
    passes: NDArray[np.int64],
    *,
    multiple: int = 1,
) -> Batch:
    """Rows begin … end − 1 of `token_rows` as one rectangle, its pieces and its words a multiple of this."""
    offsets = token_rows.offsets[begin : end + 1]
    lengths = np.diff(offsets)
    width, words = (_next_multiple(int(c.max(initial=1)), multiple) for c in (lengths, token_rows.words[begin:end]))
    mask = np.arange(width) < lengths[:, None]
    input_ids = np.full(mask.shape, PAD_ID, dtype=np.int64)
    labels = np.zeros(mask.shape, dtype=np.int64)
    kinds = np.zeros(mask.shape, dtype=np.uint8)
    input_ids[mask] = token_rows.ids[offsets[0] : offsets[-1]]
    labels[mask] = token_rows.labels[offsets[0] : offsets[-1]]
    kinds[mask] = token_rows.kinds[offsets[0] : offsets[-1]]
    return Batch(input_ids, labels, kinds, mask, rows[begin:end], passes[begin:end], words)


def _next_multiple(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _source_bounds(dataset: TokenizedDataset, sampler: MixSampler) -> NDArray[np.int64]:
    """(sources, 2) first row and one past the last row of every source, in the sampler's order of sources."""
    ranges = dataset.source_ranges
    unknown = [source for source in sampler.sources if source not in ranges]
    if unknown:
        raise RecipeError(
            f"mix: the sampler has sources {unknown!r} that have no rows in {dataset.path}, which holds "
            f"{', '.join(ranges)}. Build the sampler from the dataset's own rows_per_source."
        )
    return np.asarray([ranges[source] for source in sampler.sources], dtype=np.int64)
