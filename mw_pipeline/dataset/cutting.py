"""How the texts of training rows are cut into pieces: as the parser cuts them, or by a model that lacks some pieces.

The name of a town that nobody taught is cut into pieces in an order that no row taught. Where rows are cut by a model
without some of its pieces, training meets such orders in names that it knows: subword regularization, by dropping
tokens as MaxMatch-Dropout does (Hiraoka 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mw_pipeline.records.text import hash64
from mw_pipeline.tokenizer import LACKING_MODELS, Pieces, Tokenizer

_SHARE_SALT, _MODEL_SALT = 0x5B_71, 0x5B_72


@dataclass(frozen=True)
class Cutting:
    """Which rows are cut by a model that lacks pieces, and how many it lacks. A row is cut the same in any company.

    share           share of the rows, by a hash of their id
    dropped_pieces  share of the pieces of two characters and more that each of LACKING_MODELS models lacks
    kept_tags       tags whose words are cut as the parser cuts them in every row: a name that nobody taught is none
    """

    share: float = 0.0
    dropped_pieces: float = 0.0
    kept_tags: tuple[str, ...] = ()

    def chosen(self, row_ids: pa.StringArray) -> NDArray[np.bool_]:
        """(R,) True for the rows of the share."""
        chosen: NDArray[np.bool_] = hash64(row_ids, salt=_SHARE_SALT) / 2.0**64 < self.share
        return chosen

    def pieces_of(self, row_ids: pa.StringArray, texts: Sequence[str], tokenizer: Tokenizer) -> Pieces:
        """Pieces of the texts of R ≥ 1 rows, each as the model cuts it that its id names."""
        model, parts = hash64(row_ids, salt=_MODEL_SALT) % np.uint64(LACKING_MODELS), []
        for seed in np.unique(model).tolist():
            own = [texts[row] for row in np.flatnonzero(model == seed).tolist()]
            parts.append(tokenizer.encode_without(own, self.dropped_pieces, seed=seed))
        return Pieces.joined(parts).taken(np.argsort(np.argsort(model, kind="stable")))


def with_words_of(whole: Pieces, kept: NDArray[np.bool_], pieces: Pieces, tokenizer: Tokenizer) -> Pieces:
    """The pieces of R texts, but those of `whole` for each word of which `whole` has a piece that is `kept` (N,), and
    for texts with such a word in which the two do not find as many, or that word in another place: `Lane` and `#2` go
    with no part of `Lane#` and `2`."""
    keeps = np.bincount(whole.row_of[kept], minlength=len(whole)) > 0
    same = ~keeps | (tokenizer.words_of(whole) == tokenizer.words_of(pieces))
    rows = np.arange(len(same))
    pieces = Pieces.joined([pieces, whole]).taken(np.where(same, rows, rows + len(same)))
    word, other_word = _numbered_words(whole, tokenizer), _numbered_words(pieces, tokenizer)
    borders = np.union1d(word[kept], word[kept] + 1)
    moved = _places(whole, word, borders) != _places(pieces, other_word, borders)
    kept = kept | np.isin(whole.row_of, borders[np.isin(borders, word)][moved] >> 32)
    ours, theirs = np.isin(word, word[kept]), ~np.isin(other_word, word[kept])
    order = np.argsort(np.concatenate([word[ours], other_word[theirs]]), kind="stable")
    ids, starts, ends, row_of = (
        np.concatenate([getattr(whole, name)[ours], getattr(pieces, name)[theirs]])[order]
        for name in ("ids", "starts", "ends", "row_of")
    )
    return Pieces(ids, np.searchsorted(row_of, np.arange(len(same) + 1)), starts, ends)


def _places(pieces: Pieces, word: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int32]:
    """How much of its text stands before each of these words that is there."""
    found, first = np.unique(word, return_index=True)
    before = np.roll(pieces.ends, 1)
    before[pieces.offsets[:-1][pieces.lengths > 0]] = 0
    return before[first[np.isin(found, words)]]


def _numbered_words(pieces: Pieces, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """(N,) the word that each piece is of: its number in its text, and above that the text's own."""
    begun = np.concatenate([[0], np.cumsum(tokenizer.joints.begins(pieces.ids, pieces.offsets))])
    number: NDArray[np.int64] = begun[1:] - begun[pieces.offsets[:-1]].repeat(pieces.lengths) + (pieces.row_of << 32)
    return number


AS_PARSED = Cutting()
"""As the parser will cut it: what is judged is."""
