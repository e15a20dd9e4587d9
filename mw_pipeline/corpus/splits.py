"""Which split a record belongs to, decided by its place and family before any variant of it is made (M20).

A share of places is held out whole, so that validation and test hold towns and streets that training never saw. A
place counts by its country and name, whatever its region: training that met one Burlington has met the word, and a
source that does not say the region lets none slip through (M22). Words of a closed class are never held out so: a town
that is named like a region, département or country is taught (M65).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.places import has_closed_name, place_names
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.text import Mask, by_distinct, hash64, mask_of, normalised_text

SPLITS = ("train", "validation", "test")

TRAIN, VALIDATION, TEST = range(3)
"""Positions in SPLITS."""

# One salt for every corpus: a family, or a place, held out here is held out wherever it turns up.
_SALT = 0x5EED_0F_5911
_PLACE_SALT = 0x70_3A_0F_5911
_JUDGING_SALT = 0x601D_0F_5911


def split_of(
    base_ids: pa.StringArray,
    region_keys: pa.StringArray,
    *,
    validation_share: float,
    test_share: float,
    holdout_regions: Sequence[str] = (),
    place_folds: npt.NDArray[np.int8] | None = None,
) -> pa.StringArray:
    """The split of each record: test in a holdout region, else that of its held-out place, else by a stable hash of its
    family. `place_folds` is what `place_fold` says of the records; none of their places is held out without it.

    Equal base ids get equal splits in every source, corpus, machine and version, so long as the shares are the same
    and no place is held out. Raises CorpusError when the shares leave no room for training.
    """
    if validation_share + test_share >= 1:
        raise CorpusError(
            f"validation_share {validation_share!r} and test_share {test_share!r} leave nothing to train on. "
            "Let their sum stay below 1."
        )
    drawn = hash64(base_ids, salt=_SALT) / 2.0**64
    index = np.where(drawn < test_share, TEST, np.where(drawn < test_share + validation_share, VALIDATION, TRAIN))
    if place_folds is not None:
        index = np.where(place_folds == TRAIN, index, place_folds)
    index[in_holdout(region_keys, holdout_regions)] = TEST
    return pa.array(SPLITS).take(pa.array(index))


def place_fold(countries: pa.StringArray, localities: pa.StringArray, share: float) -> npt.NDArray[np.int8]:
    """(N,): TRAIN where a place may be trained on, else VALIDATION or TEST, whose it is alone: half of the share each.

    countries   ISO codes of the records
    localities  as written, in any case, spelling and script; null or empty is no place, and never held out

    A stable hash of country and name, its spaces left out, decides, in every source, corpus, machine and version; a
    larger share holds out what a smaller one does, and more. Towns named like a region, département or country are
    never held out (M65).
    """
    names = place_names(localities)
    whole = pc.replace_substring(names, " ", "")
    drawn = hash64(pc.binary_join_element_wise(countries, whole, ":"), salt=_PLACE_SALT)
    held_out = (drawn / 2.0**64 < share) & ~mask_of(pc.equal(names, "")) & ~has_closed_name(countries, names)
    return np.where(held_out, VALIDATION + (drawn & np.uint64(1)).astype(np.int8), TRAIN).astype(np.int8)


def judging_half(streets: pa.StringArray) -> Mask:
    """Where the street of a labelled record is of the half that judges: the others may be trained on.

    A stable hash decides, on a salt of its own: which split a family falls into says nothing of its street's half."""
    return np.asarray(hash64(streets, salt=_JUDGING_SALT) < np.uint64(2**63))


def in_holdout(region_keys: pa.StringArray, holdout_regions: Sequence[str]) -> Mask:
    """Where a record lies in a region that the corpus keeps for testing; case and accents do not matter."""
    wanted = normalised_text(pa.array(list(holdout_regions), pa.string()))
    return mask_of(pc.is_in(by_distinct(region_keys, normalised_text), value_set=wanted))
