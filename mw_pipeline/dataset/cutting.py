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
from mw_pipeline.tokenizer import LACKING_MODELS, SPACE_MARK, Pieces, Tokenizer

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


def with_words_of(texts: Sequence[str], whole: Pieces, kept: NDArray[np.bool_], pieces: Pieces) -> Pieces:
    """The pieces of R texts, but those of `whole` for each word of which it has a piece that is `kept` (N,).

    A word here is what stands between spaces: no piece goes across them, so every cut has the same words."""
    places = _words_before(texts)
    base = np.cumsum([0, *map(len, texts)])
    word, other_word = (places[base[each.row_of] + each.starts] + each.row_of for each in (whole, pieces))
    ours, theirs = np.isin(word, word[kept]), ~np.isin(other_word, word[kept])
    order = np.argsort(np.concatenate([word[ours], other_word[theirs]]), kind="stable")
    ids, starts, ends, row_of = (
        np.concatenate([getattr(whole, name)[ours], getattr(pieces, name)[theirs]])[order]
        for name in ("ids", "starts", "ends", "row_of")
    )
    return Pieces(ids, np.searchsorted(row_of, np.arange(len(whole) + 1)), starts, ends)


def _words_before(texts: Sequence[str]) -> NDArray[np.int64]:
    """(C + 1,) how many runs of spaces begin before each of the C code points of all texts, and before their end."""
    code_points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    space = np.isin(code_points, [ord(" "), ord(SPACE_MARK)])
    return np.concatenate([[0], np.cumsum(space & ~np.concatenate([[False], space[:-1]]))])


AS_PARSED = Cutting()
"""As the parser will cut it: what is judged is."""
