"""Which split a record belongs to, decided by its family and region before any variant of it is made (M20)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.text import Mask, by_distinct, hash64, mask_of, normalised_text
from mw_pipeline.errors import CorpusError

SPLITS = ("train", "validation", "test")

# One salt for every corpus: a family held out here is held out wherever it turns up.
_SALT = 0x5EED_0F_5911
_JUDGING_SALT = 0x601D_0F_5911


def split_of(
    base_ids: pa.StringArray,
    region_keys: pa.StringArray,
    *,
    validation_share: float,
    test_share: float,
    holdout_regions: Sequence[str] = (),
) -> pa.StringArray:
    """The split of each record: test in a holdout region, else by a stable hash of its family.

    Equal base ids get equal splits in every source, corpus, machine and version, so long as the shares are the same.
    Raises CorpusError when the shares leave no room for training.
    """
    if validation_share + test_share >= 1:
        raise CorpusError(
            f"validation_share {validation_share!r} and test_share {test_share!r} leave nothing to train on. "
            "Let their sum stay below 1."
        )
    place = hash64(base_ids, salt=_SALT) / 2.0**64
    index = np.where(place < test_share, 2, np.where(place < test_share + validation_share, 1, 0))
    index[in_holdout(region_keys, holdout_regions)] = 2
    return pa.array(SPLITS).take(pa.array(index))


def judging_half(streets: pa.StringArray) -> Mask:
    """Where the street of a labelled record is of the half that judges: the others may be trained on.

    A stable hash decides, on a salt of its own: which split a family falls into says nothing of its street's half."""
    return np.asarray(hash64(streets, salt=_JUDGING_SALT) < np.uint64(2**63))


def in_holdout(region_keys: pa.StringArray, holdout_regions: Sequence[str]) -> Mask:
    """Where a record lies in a region that the corpus keeps for testing; case and accents do not matter."""
    wanted = normalised_text(pa.array(list(holdout_regions), pa.string()))
    return mask_of(pc.is_in(by_distinct(region_keys, normalised_text), value_set=wanted))
