"""Which texts a source has had before, in eight bytes each."""

from __future__ import annotations

import numpy as np

from mw_pipeline.corpus.text import Hashes, Mask


class SeenHashes:
    """A growing set of 64-bit hashes, kept as a few sorted arrays that are merged when they are of one size.

    A batch of n costs O(n log total); memory is 8 bytes per distinct hash. Two different texts are taken for one with
    a probability of about n² / 2^65: one in 3,700 builds of a hundred million rows loses a row, counted as a duplicate.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def first_seen(self, hashes: Hashes) -> Mask:
        """(N,): where a hash is met for the first time, within the batch as well; those are remembered."""
        first = np.zeros(len(hashes), np.bool_)
        distinct, positions = np.unique(hashes, return_index=True)
        new = np.ones(len(distinct), np.bool_)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            new &= run[place] != distinct
        first[positions[new]] = True
        self._remember(distinct[new])
        return first

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def _remember(self, run: Hashes) -> None:
        if not len(run):
            return
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
