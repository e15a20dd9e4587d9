"""The best legal label sequences of a batch, and the k best of a row: Viterbi over BIO. Needs numpy only.

Whatever is added up is added in the same order alone and in company: neither the batch nor its padding changes a bit of
an answer.

Shape letters: B rows, S steps, K labels, G tags, P = 1 + G pairs of labels.
"""

from __future__ import annotations

import numpy as np

from mw_pipeline.decode.moves import Floats, Ids, Moves
from mw_pipeline.decode.posterior import Posterior
from mw_pipeline.decode.steps import Mask, Words
from mw_pipeline.words import PieceKinds

_GOES_ON = np.array([[False], [True]])
"""A word of one piece is left as the label of its first, one of several as what goes on with that."""


def most_probable_path(posterior: Posterior) -> Ids:
    """(B, S) what `constrained_viterbi` finds, which searches only the rows where that is not plain from the posterior.

    A label sequence with more than half of the probability is the best one, and each of its labels has more than half
    at its step: it is the sequence of the likeliest labels, or there is none."""
    labels = posterior.likeliest
    open_rows = np.flatnonzero(~posterior.holds_half(labels))
    if len(open_rows):
        labels[open_rows] = constrained_viterbi(posterior.words.of_rows(open_rows), posterior.moves)
    return labels


def constrained_viterbi(words: Words, moves: Moves) -> Ids:
    """(B, S) the best legal label sequence of every row: the label of each word's first piece; 0 under padding."""
    rows, steps, _ = words.scores.shape
    if steps == 0:
        return np.zeros((rows, 0), dtype=np.int64)
    starts, fresh, onward, into = moves.in_pairs
    # (S, 2·P, B): arithmetic over the batch runs along memory.
    scores = np.full((steps, len(starts), rows), -np.inf)
    scores[:, 0], scores[:, 2:] = words.scores[:, :, 0].T, words.scores[:, :, 1:].transpose(1, 2, 0)
    real, long = np.ascontiguousarray(words.mask.T), np.ascontiguousarray(words.long.T)
    ending, several = np.logical_not(real.all(axis=1)).tolist(), np.logical_or.reduce(long, axis=1).tolist()
    leaving = np.where(long[:, None] == _GOES_ON, 0.0, -np.inf)  # (S, 2, B)
    best = np.empty_like(scores)  # score of the best path whose word here has this label
    np.add(scores[0], starts, out=best[0])
    in_pairs = best.reshape(steps, len(fresh), 2, rows)
    arriving, going = np.empty((*fresh.shape[:3], rows)), np.empty((len(fresh), 2, rows))
    from_any = arriving.reshape(len(starts), len(fresh), rows)
    for t in range(1, steps):
        left, here = in_pairs[t - 1], in_pairs[t]
        if several[t - 1]:
            left = left[:, :1] + leaving[t - 1]
            np.maximum(left[:, 1], in_pairs[t - 1, :, 1], out=left[:, 1])
        np.add(left[:, :, None], fresh, out=arriving)
        np.maximum.reduce(from_any, axis=0, out=here[:, 0])
        np.add(left, onward, out=going)
        np.maximum(going[:, 0], going[:, 1], out=here[:, 1])
        best[t] += scores[t]
        if ending[t]:
            np.copyto(best[t], best[t - 1], where=~real[t])
    path = _backtrace(best, real, ending, long * len(starts), into)
    return np.where(words.mask, (path - (path > 0)).T, 0)


def _backtrace(best: Floats, real: Mask, ending: list[bool], kind: Ids, into: Floats) -> Ids:
    """(S, B) the places among 2·P of the best paths; `kind` (S, B) is where `into` has the moves that leave a word.

    No back pointers are kept: the best predecessor of the one label on the path is cheaper to find again."""
    path = np.empty(real.shape, dtype=np.int64)
    path[-1] = here = best[-1].argmax(axis=0)
    for t in range(len(path) - 1, 0, -1):
        before = (best[t - 1] + into.take(kind[t - 1] + here, axis=1)).argmax(axis=0)
        path[t - 1] = here = np.where(real[t], before, here) if ending[t] else before
    return path


def word_viterbi(logits: Floats, mask: Mask, kinds: PieceKinds, moves: Moves) -> Ids:
    """(B, T) the best legal labels of the pieces of every row whose spans are whole words; 0 under padding.

    logits (B, T, K), mask (B, T) and kinds (B, T) are those of pieces."""
    words = Words.of(logits, mask, kinds, moves)
    return words.piece_labels(constrained_viterbi(words, moves), mask, kinds)


def best_paths(words: Words, moves: Moves, count: int) -> tuple[Ids, Floats]:
    """The `count` best legal label sequences of the first row (fewer when it has fewer), best first, and their scores.

    returns  (N, S)  int64 labels and (N,) float64 unnormalised path scores, N ≤ count; S ≥ 1, without padding
    """
    long = words.long[0][words.mask[0]]
    scores = words.scores[0][words.mask[0]]
    steps, labels = scores.shape
    best = (scores[0] + moves.starts)[None, :]  # (n, K) the n best paths into each label
    pointers: list[Ids] = []  # per step (n, K): rank * K + label of the predecessor
    for t in range(1, steps):
        arriving = (best[:, :, None] + moves.leaving[int(long[t - 1])]).reshape(-1, labels)  # (n·K, K)
        order = _top_k(arriving, count)
        best = np.take_along_axis(arriving, order, axis=0) + scores[t]
        pointers.append(order)
    flat = best.reshape(-1)
    chosen = _top_k(flat[:, None], count)[:, 0]
    chosen = chosen[np.isfinite(flat[chosen])]
    paths = np.empty((len(chosen), steps), dtype=np.int64)
    cursor = chosen
    for t in range(steps - 1, -1, -1):
        paths[:, t] = cursor % labels
        if t:
            cursor = pointers[t - 1].reshape(-1)[cursor]
    return paths, flat[chosen]


def _top_k(values: Floats, count: int) -> Ids:
    """(n, K) where the `count` highest of each column (m, K) stand, the highest first; n ≤ count."""
    falling = -values
    if count >= len(falling):
        return np.argsort(falling, axis=0, kind="stable")
    few = np.sort(np.argpartition(falling, count - 1, axis=0)[:count], axis=0)
    order = np.argsort(np.take_along_axis(falling, few, axis=0), axis=0, kind="stable")
    return np.take_along_axis(few, order, axis=0)
