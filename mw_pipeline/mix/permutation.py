"""Pseudo-random permutations that are computed, not stored: any position of any permutation in constant memory.

A Feistel network permutes the smallest power of four that holds `size`; positions that leave the range are sent
through again until they return (cycle walking: Black & Rogaway, "Ciphers with arbitrary finite domains", 2002).
That keeps a shuffle of 677 million rows at zero bytes, and a resumed run needs nothing but its sample counter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.draws import splitmix64

_ROUNDS = 6


def permuted(position: NDArray[np.int64], *, size: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Element `position` of the permutation of range(size) that `key` names; all three have the same shape (N,).

    For a fixed size and key, range(size) maps onto itself one to one. Positions must lie in range(size), size ≥ 1.
    """
    half_bits = _half_bits(size)
    element = position.astype(np.uint64)
    limit = size.astype(np.uint64)
    outside = np.arange(len(element))
    while len(outside):
        element[outside] = _feistel(element[outside], half_bits[outside], key[outside])
        outside = outside[element[outside] >= limit[outside]]
    return element.astype(np.int64)


def _half_bits(size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Half the bits of the smallest domain 4^h ≥ size; at least 2, since tiny domains have few Feistel permutations."""
    distinct, index = np.unique(size, return_inverse=True)
    halves = [max(2, (int(n - 1).bit_length() + 1) // 2) for n in distinct]
    return np.asarray(halves, dtype=np.uint64)[index]


def _feistel(value: NDArray[np.uint64], half_bits: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = value >> half_bits, value & mask
    for index in range(_ROUNDS):
        round_key = splitmix64(key + np.uint64(index))
        left, right = right, left ^ (splitmix64(right ^ round_key) & mask)
    return (left << half_bits) | right
