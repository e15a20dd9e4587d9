"""The sampler: which source and which row each training sample is, as a function of its number.

It holds no state that a checkpoint would have to keep, and no list of rows that would grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.draws import splitmix64
from mw_pipeline.errors import CorpusError, RecipeError
from mw_pipeline.mix.permutation import permuted
from mw_pipeline.mix.places import Rounds

_BLOCK = 65_536  # samples after which every source has had its exact quota; also the resolution of a share


@dataclass(frozen=True)
class Draw:
    """Consecutive samples: N of them, in the order in which training consumes them.

    source  (N,) int16   index into `MixSampler.sources`
    row     (N,) int64   row within that source, 0-based
    passes  (N,) int64   how many whole passes (or rounds) over its source the sample comes after
    """

    source: NDArray[np.int16]
    row: NDArray[np.int64]
    passes: NDArray[np.int64]


class MixSampler:
    """Draws rows so that every source has its share in any stretch, and each of its rows once per pass.

    Sample n is a function of (seed, n) alone: a run resumes from its sample counter, and workers may draw any range.
    Within each block of 65,536 samples a source gets its quota, spread evenly with a seeded jitter. Every pass
    over a source is a fresh permutation of its rows. A source that runs dry starts its next pass (M13, M25); without
    `cycle` it raises CorpusError. A source with `rounds` is drawn in these instead of passes: no place of it more often
    than its cap allows (M14), and no row twice in a round.
    """

    def __init__(
        self,
        rows_per_source: Mapping[str, int],
        weights: Mapping[str, float],
        *,
        seed: int,
        cycle: bool = True,
        rounds: Mapping[str, Rounds] = MappingProxyType({}),
    ) -> None:
        self.sources: tuple[str, ...] = tuple(rows_per_source)
        shares = shares_of(rows_per_source, weights)
        self._rows = np.asarray([rows_per_source[name] for name in self.sources], dtype=np.int64)
        self._rounds = {index: rounds[name] for index, name in enumerate(self.sources) if name in rounds}
        slots = [rounds[name].slots if name in rounds else rows_per_source[name] for name in self.sources]
        self._slots = np.asarray(slots, dtype=np.int64)
        self._quotas = _quotas(np.asarray([shares.get(name, 0.0) for name in self.sources]))
        self._seed = np.uint64(seed % 2**64)
        self._cycle = cycle
        self._block: tuple[int, NDArray[np.int16], NDArray[np.int64]] | None = None

    def draw(self, start: int, count: int) -> Draw:
        """Samples start … start + count − 1. Raises CorpusError when a source has run dry and must not cycle."""
        parts = [self._draw_in_block(block, begin, end) for block, begin, end in _block_ranges(start, count)]
        source = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, dtype=np.int16)
        turn = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, dtype=np.int64)
        slots = self._slots[source]
        passes = turn // np.maximum(slots, 1)
        if not self._cycle and passes.any():
            self._raise_dry(start + int(np.argmax(passes > 0)), int(source[np.argmax(passes > 0)]))
        key = splitmix64(splitmix64(self._seed ^ splitmix64(source.astype(np.uint64))) + passes.astype(np.uint64))
        row = permuted(turn % np.maximum(slots, 1), size=slots, key=key)
        for index, rounds in self._rounds.items():
            positions = np.flatnonzero(source == index)
            row[positions] = rounds.rows(row[positions], passes[positions], key[positions])
        return Draw(source, row, passes)

    def rounds_of(self, source: str) -> Rounds | None:
        """The rounds in which a source is drawn; None where it is drawn in plain passes."""
        return self._rounds.get(self.sources.index(source))

    def turns(self, sample: int) -> dict[str, int]:
        """How often each source was drawn in samples 0 … sample − 1; divided by its rows, its passes so far."""
        block, rest = divmod(sample, _BLOCK)
        turns = block * self._quotas
        turns += np.bincount(self._arrangement(block)[0][:rest], minlength=len(self.sources))
        return dict(zip(self.sources, turns.tolist(), strict=True))

    def passes_of(self, sample: int) -> dict[str, float]:
        """Passes over each source in samples 0 … sample − 1, or rounds where places are capped, as `draw` counts them.
        A round is shorter than a pass, so more of them give as many samples."""
        slots = dict(zip(self.sources, self._slots.tolist(), strict=True))
        return {name: turns / slots[name] for name, turns in self.turns(sample).items() if slots[name]}

    def demand_rows(self, samples: int) -> None:
        """Raises CorpusError when one of the samples 0 … samples − 1 finds its source dry, and it must not cycle."""
        used = [] if self._cycle else np.flatnonzero(self._quotas).tolist()
        first, source = min(((self._sample_of(int(self._slots[s]), s), s) for s in used), default=(samples, -1))
        if first < samples:
            self._raise_dry(first, source)

    def _sample_of(self, turn: int, source: int) -> int:
        """The sample that draws a source for the `turn`-th time, counted from 0."""
        block, turn_in_block = divmod(turn, int(self._quotas[source]))
        sources, rank = self._arrangement(block)
        return block * _BLOCK + int(np.flatnonzero((sources == source) & (rank == turn_in_block))[0])

    def _draw_in_block(self, block: int, begin: int, end: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """(source, turn) of part of a block; turn = how often the source was drawn before, from sample 0 on."""
        source, rank = self._arrangement(block)
        source = source[begin:end]
        return source, block * self._quotas[source] + rank[begin:end]

    def _arrangement(self, block: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """(source, rank within its source) of every sample of a block. The last block is kept: draws are sequential.

        Threads may ask for different ones at once: each gets its own, whichever is kept."""
        kept = self._block
        if kept is None or kept[0] != block:
            source = np.repeat(np.arange(len(self.sources), dtype=np.int16), self._quotas)
            rank = np.arange(_BLOCK) - np.repeat(np.cumsum(self._quotas) - self._quotas, self._quotas)
            jitter = np.random.default_rng([int(self._seed), block]).random(_BLOCK)
            # The k-th of q draws falls in the k-th of q equal stretches: even in every window, periodic in none.
            order = np.argsort((rank + jitter) / self._quotas[source], kind="stable")
            self._block = kept = (block, source[order], rank[order])
        return kept[1], kept[2]

    def _raise_dry(self, sample: int, source: int) -> None:
        raise CorpusError(
            f"mix: source {self.sources[source]!r} ran dry at sample {sample}: it has {self._rows[source]} rows and "
            "mix.cycle is false. Set mix.cycle = true, lower its weight, or train fewer steps."
        )


def shares_of(rows_per_source: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, float]:
    """w_i / Σw over the sources with a positive weight and at least one row. Raises RecipeError when none is left."""
    usable = {name: weights.get(name, 0.0) for name, rows in rows_per_source.items() if rows > 0}
    total = sum(usable.values())
    if total <= 0:
        raise RecipeError(
            f"mix.weights: no weighted source has rows: weights {dict(weights)!r}, rows {dict(rows_per_source)!r}. "
            "Weight a source of the corpus that has training rows."
        )
    return {name: weight / total for name, weight in usable.items() if weight > 0}


def _quotas(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draws per block of each source, summing to the block: largest remainders, at least one for a positive share."""
    exact = shares * _BLOCK
    quotas = np.where(shares > 0, np.maximum(np.floor(exact), 1), 0).astype(np.int64)
    missing = _BLOCK - int(quotas.sum())
    if missing > 0:
        quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    elif missing < 0:
        quotas[np.argmax(quotas)] += missing
    return quotas


def _block_ranges(start: int, count: int) -> list[tuple[int, int, int]]:
    """(block, begin, end) pieces that cover samples start … start + count − 1."""
    end = start + count
    blocks = range(start // _BLOCK, -(-end // _BLOCK)) if count > 0 else range(0)
    return [(b, max(start, b * _BLOCK) - b * _BLOCK, min(end, (b + 1) * _BLOCK) - b * _BLOCK) for b in blocks]
