"""The best legal label sequences of a batch, and the k best of a row: Viterbi over BIO. Needs numpy only.

Whatever is added up is added in the same order alone and in company: neither the batch nor its padding changes a bit of
an answer.

Shape letters: B rows, S steps, K labels, G tags. Label ids are those of a LabelSet: O is 0, B-tag odd, I-tag the even
id after it. Transitions and starts hold the learned scores of a CRF, or zeros, and -inf wherever BIO forbids a move.
"""

from __future__ import annotations

import numpy as np

from mw_pipeline.decode.steps import BEGIN, INSIDE_LABELS, Floats, Ids, Mask, Words
from mw_pipeline.labels import LabelSet
from mw_pipeline.words import PieceKinds


def hard_mask(labels: LabelSet) -> tuple[Floats, Floats]:
    """Transitions (K, K) and starts (K,) of a model without a CRF: 0 where BIO allows the move, -inf elsewhere."""
    transitions = np.where(np.array(labels.legal_moves()), np.float32(0), np.float32(-np.inf))
    starts = np.where(np.array(labels.legal_starts()), np.float32(0), np.float32(-np.inf))
    return transitions, starts


def constrained_viterbi(words: Words, transitions: Floats, starts: Floats) -> Ids:
    """The best legal label sequence of every row.

    transitions  (K, K)  float   score of label j after label i
    starts       (K,)    float   score of label j on the first step
    returns      (B, S)  int64   label of each word's first piece; 0 under padding
    """
    rows, steps, labels = words.scores.shape
    if steps == 0:
        return np.zeros((rows, 0), dtype=np.int64)
    scores, real, long = batch_last(words)
    moves = transitions.astype(np.float64)
    fresh, enter, stay = moves_by_kind(moves)
    best = np.empty_like(scores)  # (S, K, B) best score of a path whose word here has label k
    best[0] = scores[0] + starts[:, None]
    arriving = np.empty((labels, fresh.shape[1], rows))
    for t in range(1, steps):
        previous, current = best[t - 1].copy(), best[t]
        np.maximum(previous[BEGIN], previous[INSIDE_LABELS], out=previous[INSIDE_LABELS], where=long[t - 1])
        np.copyto(previous[BEGIN], -np.inf, where=long[t - 1])
        np.add(previous[:, None, :], fresh[:, :, None], out=arriving)
        top = arriving.max(axis=0)
        current[0], current[BEGIN] = top[0], top[1:]
        np.maximum(
            previous[BEGIN] + enter[:, None], previous[INSIDE_LABELS] + stay[:, None], out=current[INSIDE_LABELS]
        )
        current += scores[t]
        np.copyto(current, best[t - 1], where=~real[t])
    return np.where(words.mask, _backtrace(best, real, long, moves).T, 0)


def _backtrace(best: Floats, real: Mask, long: Mask, moves: Floats) -> Ids:
    """(S, B) the labels of the best paths. No back pointers are kept: the best predecessor of the one label on the path
    is cheaper to find again."""
    path = np.empty(real.shape, dtype=np.int64)
    path[-1] = best[-1].argmax(axis=0)
    leaving = moves[last_piece_labels(np.arange(len(moves)), True)]
    for t in range(len(path) - 1, 0, -1):
        moves_on = np.where(long[t - 1], leaving[:, path[t]], moves[:, path[t]])
        path[t - 1] = np.where(real[t], (best[t - 1] + moves_on).argmax(axis=0), path[t])
    return path


def last_piece_labels(labels: Ids, long: Mask | bool) -> Ids:
    """The label of the last piece of words whose first piece has these: I-tag for B-tag, where there are several."""
    left: Ids = labels + (long & (labels % 2 == 1))
    return left


def word_viterbi(logits: Floats, mask: Mask, kinds: PieceKinds, transitions: Floats, starts: Floats) -> Ids:
    """(B, T) the best legal labels of the pieces of every row whose spans are whole words; 0 under padding.

    logits (B, T, K), mask (B, T) and kinds (B, T) are those of pieces."""
    words = Words.of(logits, mask, kinds, transitions)
    return words.piece_labels(constrained_viterbi(words, transitions, starts), mask, kinds)


def batch_last(words: Words) -> tuple[Floats, Mask, Mask]:
    """Scores (S, K, B), mask and `long` (S, B): arithmetic over the batch runs along memory."""
    scores = np.ascontiguousarray(words.scores.transpose(1, 2, 0))
    return scores, np.ascontiguousarray(words.mask.T), np.ascontiguousarray(words.long.T)


def moves_by_kind(moves: Floats) -> tuple[Floats, Floats, Floats]:
    """Moves into O and every B- (K, 1 + G), from each B- to its I- (G,), and from each I- to itself (G,): BIO has no
    others, so that half of all pairs of labels need no look."""
    fresh = np.ascontiguousarray(moves[:, [0, *range(1, len(moves), 2)]])
    return fresh, np.diagonal(moves, offset=1)[BEGIN], np.diagonal(moves)[INSIDE_LABELS]


def best_paths(words: Words, transitions: Floats, starts: Floats, count: int) -> tuple[Ids, Floats]:
    """The `count` best legal label sequences of the first row (fewer when it has fewer), best first, and their scores.

    returns  (N, S)  int64 labels and (N,) float64 unnormalised path scores, N ≤ count; S ≥ 1, without padding
    """
    long = words.long[0][words.mask[0]]
    scores = words.scores[0][words.mask[0]]
    steps, labels = scores.shape
    leaving = transitions[last_piece_labels(np.arange(labels), True)]
    best = (scores[0] + starts)[None, :]  # (n, K) the n best paths into each label
    pointers: list[Ids] = []  # per step (n, K): rank * K + label of the predecessor
    for t in range(1, steps):
        arriving = (best[:, :, None] + (leaving if long[t - 1] else transitions)).reshape(-1, labels)  # (n·K, K)
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
