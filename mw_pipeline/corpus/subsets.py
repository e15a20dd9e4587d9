"""Which components of an address a row writes: what its mail leaves out, and subsets drawn component by component.

A subset is not listed anywhere: each component is kept with a probability of its country's file, so that every subset
that stands for something has a probability above 0 (M66).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.compose import Draft, named_by_rank
from mw_pipeline.corpus.conventions import TAG_INDEX
from mw_pipeline.countries import country
from mw_pipeline.draws import cumulated
from mw_pipeline.records.text import Mask

# A component that says nothing without one of others.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "house_number": ("street",),
    "unit": ("street", "venue", "po_box"),
    "intersection_b": ("intersection_a",),
    "cedex": ("locality",),
}
# What alone stands for a place or somebody at it.
_STANDS_ALONE = (
    "venue", "street", "intersection_a", "po_box", "dependent_locality", "locality", "postcode", "subregion", "region",
    "country",
)  # fmt: skip


def as_mailed(draft: Draft, rows: Mask, rng: np.random.Generator) -> Draft:
    """The draft with the rows under the mask as the mail of their country has them: the areas that it omits left out,
    and the country's name on its share of rows.

    A row that would lose all it says about its place keeps it, and so does one in another script: it comes from abroad.
    """
    section = country(draft.country)
    kept = draft.present()
    places = [TAG_INDEX[tag] for tag in ("street", "intersection_a", "po_box", "locality", "postcode")]
    placed = rows & ~draft.foreign & kept[:, places].any(axis=1)
    for tag in section["areas"]["omitted"]:
        kept[placed, TAG_INDEX[tag]] = False
    abroad = placed & (rng.random(draft.rows) >= section["written"]["country_share"])
    kept[abroad, TAG_INDEX["country"]] = False
    return _keeping(draft, kept)


def cut_down(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows cut down to a subset of their components, each kept with a probability of the country's file."""
    present = draft.present()
    cumulative, shares = _shares(draft.country)
    about = np.searchsorted(cumulative, rng.random(draft.rows), side="right")
    kept = _sensible(present & (rng.random(present.shape) < shares[about]))
    said = kept[:, [TAG_INDEX[tag] for tag in _STANDS_ALONE]].any(axis=1)
    kept[~said] = present[~said]  # nothing was drawn: the row stays whole
    kept[~asked] = present[~asked]
    return _keeping(draft, kept), asked & (kept != present).any(axis=1)


def _sensible(kept: Mask) -> Mask:
    """What was kept less that which stands for nothing: a number without its street, half a crossing."""
    for tag, needed in NEEDS.items():
        kept[:, TAG_INDEX[tag]] &= kept[:, [TAG_INDEX[other] for other in needed]].any(axis=1)
    kept[:, TAG_INDEX["intersection_a"]] &= kept[:, TAG_INDEX["intersection_b"]]
    return kept


@functools.cache
def _shares(code: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cumulative shares of what a row may be about, and (about, T): how often each component is kept in such a row.

    A crossing keeps both streets or none."""
    written = country(code)["written"]
    kinds = written["shares"]
    shares = np.zeros((len(kinds), len(TAG_INDEX)))
    for row, kind in zip(shares, kinds, strict=True):
        for tag, share in written[kind].items():
            row[TAG_INDEX[tag]] = share
        row[TAG_INDEX["intersection_b"]] = row[TAG_INDEX["intersection_a"]] > 0
    return cumulated(np.array(list(kinds.values()), np.float64)), shares


def _keeping(draft: Draft, kept: Mask) -> Draft:
    values = {
        tag: pc.if_else(pa.array(np.ascontiguousarray(kept[:, TAG_INDEX[tag]])), texts, "")
        for tag, texts in draft.values.items()
    }
    return named_by_rank(draft.with_values(values))
