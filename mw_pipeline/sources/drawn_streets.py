"""Streets for records that name a town and no street: a list of towns teaches where a street ends and its town begins.

A file of addresses holds a few towns, each thousands of times, and a list of towns holds no street. What comes from
both reads a street before any town of the list.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.countries import country
from mw_pipeline.records.tables import ReadRequest
from mw_pipeline.records.text import hash64, mask_of
from mw_pipeline.sources.builtin.kinds import Kind, drafts_at, kinds, places_of

# Country to the kind of built-in address whose line above the town is drawn.
_KINDS: Mapping[str, str] = {"US": "us_address", "FR": "fr_address"}
_TAGS = ("venue", "house_number", "street", "unit")
_MILITARY = pa.array(country("US")["military"]["offices"], pa.string())
_OCCUPIED = (*_TAGS, "po_box", "cedex", "intersection_a")


def with_streets(records: pa.RecordBatch, request: ReadRequest) -> pa.RecordBatch:
    """A share `request.streets` of the records with street, number and what stands beside them, as the built-in source
    writes them; the same for the same batch and seed.

    Records without a town, with a street, a venue or a box of their own, of another country, of a post office of the
    forces or with a text of their own stay as they are."""
    bare = mask_of(pc.and_(pc.is_valid(records["locality"]), pc.is_null(records["raw"])))
    bare &= ~mask_of(pc.is_in(records["locality"], value_set=_MILITARY))
    for tag in _OCCUPIED:
        bare &= mask_of(pc.is_null(records[tag]))
    draws = hash64(records["source_id"], salt=request.seed)
    bare &= draws < request.streets * 2.0**64
    columns = {name: records[name] for name in records.schema.names}
    for code, name in _KINDS.items():
        chosen = np.flatnonzero(bare & mask_of(pc.equal(records["country_code"], code)))
        if len(chosen):
            drawn = _drawn(_kind(name), len(chosen), np.random.default_rng([request.seed, int(draws[chosen[0]])]))
            for tag in _TAGS:
                columns[tag] = _put(columns[tag], chosen, drawn[tag])
    return pa.record_batch(list(columns.values()), schema=records.schema)


def _kind(name: str) -> Kind:
    return next(kind for kind in kinds() if kind.name == name)


def _drawn(kind: Kind, count: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    places = places_of(kind.places)
    # The street may name a town, which is then another one: `route de Lyon`.
    return drafts_at(kind, places, rng.integers(len(places), size=count), rng).tags


def _put(column: pa.Array, rows: np.ndarray, values: np.ndarray) -> pa.Array:
    written = column.to_numpy(zero_copy_only=False).copy()
    written[rows] = values
    return pa.array(written, pa.string())
