"""How the texts of training rows are cut into pieces: as the parser cuts them, or by a model that lacks some pieces.

The name of a town that nobody taught is cut into pieces in an order that no row taught. Where rows are cut by a model
without some of its pieces, training meets such orders in names that it knows: subword regularization, by dropping
tokens as MaxMatch-Dropout does (Hiraoka 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def pieces_of(
        self,
        row_ids: pa.StringArray,
        texts: Sequence[str],
        tokenizer: Tokenizer,
        *,
        at_most: int,
        kept: Callable[[Pieces], NDArray[np.bool_]] | None = None,
    ) -> Pieces:
        """Pieces of the texts of these rows. More than `at_most` give way to how the parser cuts, and so do those of a
        word that `kept` says to hold a piece (N,) of a tag to keep."""
        whole = tokenizer.encode(texts)
        parts, row = [whole], np.arange(len(texts))
        chosen = np.flatnonzero(hash64(row_ids, salt=_SHARE_SALT) / 2.0**64 < self.share)
        model = hash64(row_ids, salt=_MODEL_SALT)[chosen] % np.uint64(LACKING_MODELS)
        for seed in np.unique(model).tolist():
            rows = chosen[model == seed]
            row[rows] = np.arange(len(rows)) + sum(map(len, parts))
            own = [texts[at] for at in rows.tolist()]
            parts.append(tokenizer.encode_without(own, self.dropped_pieces, seed=seed))
        pieces = Pieces.joined(parts).taken(row)
        if kept is not None and len(chosen):
            pieces = _with_words_of(whole, pieces, kept(whole), tokenizer)
        return _either(pieces.lengths <= at_most, pieces, whole)


def _with_words_of(whole: Pieces, pieces: Pieces, kept: NDArray[np.bool_], tokenizer: Tokenizer) -> Pieces:
    """`pieces`, but those of `whole` for every word of which a piece of `whole` is `kept` (N,), and for texts in which
    the two do not find as many words."""
    pieces = _either(tokenizer.words_of(whole) == tokenizer.words_of(pieces), pieces, whole)
    word, other_word = (np.cumsum(tokenizer.joints.begins(each.ids, each.offsets)) for each in (whole, pieces))
    keeps = np.zeros(word.max(initial=0) + 1, dtype=bool)
    keeps[word[kept]] = True
    ours, theirs = keeps[word], ~keeps[other_word]
    order = np.argsort(np.concatenate([word[ours], other_word[theirs]]), kind="stable")
    ids, starts, ends, rows = (
        np.concatenate([getattr(whole, name)[ours], getattr(pieces, name)[theirs]])[order]
        for name in ("ids", "starts", "ends", "row_of")
    )
    offsets = np.searchsorted(rows, np.arange(len(whole) + 1))
    return Pieces(ids, offsets.astype(np.int64), starts, ends)


def _either(first: NDArray[np.bool_], one: Pieces, other: Pieces) -> Pieces:
    """For each text (R,) the pieces of `one` where `first` holds, else those of `other`."""
    rows = np.arange(len(one))
    return Pieces.joined([one, other]).taken(np.where(first, rows, rows + len(one)))


AS_PARSED = Cutting()
"""As the parser will cut it: what is judged is."""
