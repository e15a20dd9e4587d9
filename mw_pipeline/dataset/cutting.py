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

from mw_pipeline.records.text import hash64
from mw_pipeline.tokenizer import LACKING_MODELS, Pieces, Tokenizer

_SHARE_SALT, _MODEL_SALT = 0x5B_71, 0x5B_72


@dataclass(frozen=True)
class Cutting:
    """Which rows are cut by a model that lacks pieces, and how many it lacks. A row is cut the same in any company.

    share           share of the rows, by a hash of their id
    dropped_pieces  share of the pieces of two characters and more that each of LACKING_MODELS models lacks
    """

    share: float = 0.0
    dropped_pieces: float = 0.0

    def pieces_of(self, row_ids: pa.StringArray, texts: Sequence[str], tokenizer: Tokenizer, *, at_most: int) -> Pieces:
        """Pieces of the texts of these rows. More than `at_most` give way to how the parser cuts."""
        parts, row = [tokenizer.encode(texts)], np.arange(len(texts))
        chosen = np.flatnonzero(hash64(row_ids, salt=_SHARE_SALT) / 2.0**64 < self.share)
        model = hash64(row_ids, salt=_MODEL_SALT)[chosen] % np.uint64(LACKING_MODELS)
        for seed in np.unique(model).tolist():
            rows = chosen[model == seed]
            row[rows] = np.arange(len(rows)) + sum(map(len, parts))
            own = [texts[at] for at in rows.tolist()]
            parts.append(tokenizer.encode_without(own, self.dropped_pieces, seed=seed))
        pieces = Pieces.joined(parts)
        return pieces.taken(np.where(pieces.lengths[row] <= at_most, row, np.arange(len(texts))))


AS_PARSED = Cutting()
"""As the parser will cut it: what is judged is."""
