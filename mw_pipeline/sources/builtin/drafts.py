"""Component columns on their way to RECORD_SCHEMA: object arrays with None where a component is absent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mw_pipeline.records.tables import RECORD_SCHEMA, TAG_COLUMNS
from mw_pipeline.sources.builtin.grammar import Rows, Strings

# What tells one address of a place from another; the rest is how it is written.
_FAMILY_TAGS = ("venue", "house_number", "street", "po_box", "dependent_locality", "intersection_a", "intersection_b")


@dataclass(frozen=True)
class Drafts:
    """N addresses: tag to (N,) object array, and what is not written in them."""

    tags: Mapping[str, Strings]
    countries: Strings
    locales: Strings
    place_ids: NDArray[np.int64]
    region_keys: Strings

    def __len__(self) -> int:
        return len(self.countries)


def empty_column(rows: int) -> Strings:
    """(N,) of None."""
    return np.full(rows, None, dtype=object)


def only_where(wanted: NDArray[np.bool_], values: Strings) -> Strings:
    """The values where wanted, None elsewhere."""
    out = values.copy()
    out[~wanted] = None
    return out


def present(values: Strings) -> NDArray[np.bool_]:
    """(N,): where a component is present."""
    return np.fromiter((value is not None for value in values), np.bool_, len(values))


def joined(parts: Sequence[Drafts]) -> Drafts:
    """All drafts in one, in order."""
    return Drafts(
        tags={
            tag: np.concatenate([part.tags[tag] if tag in part.tags else empty_column(len(part)) for part in parts])
            for tag in TAG_COLUMNS
            if any(tag in part.tags for part in parts)
        },
        countries=np.concatenate([part.countries for part in parts]),
        locales=np.concatenate([part.locales for part in parts]),
        place_ids=np.concatenate([part.place_ids for part in parts]),
        region_keys=np.concatenate([part.region_keys for part in parts]),
    )


def as_batch(drafts: Drafts, order: Rows, *, source: str, licence: str, first_line: int) -> pa.RecordBatch:
    """RECORD_SCHEMA rows of the drafts in that order. Lines count from `first_line`.

    The base id is made of the place and of what tells its addresses apart, so two spellings of one address are one
    family and equal addresses are equal families, whenever they are drawn.
    """
    rows = len(order)
    taken = pa.array(order)
    columns = {tag: pa.array(values, pa.string()).take(taken) for tag, values in drafts.tags.items()}
    columns["country_code"] = pa.array(drafts.countries, pa.string()).take(taken)
    columns["locale"] = pa.array(drafts.locales, pa.string()).take(taken)
    columns["region_key"] = pa.array(drafts.region_keys, pa.string()).take(taken)
    columns["base_id"] = _base_ids(drafts).take(taken)
    lines = np.arange(first_line, first_line + rows, dtype=np.int64)
    columns["line"] = pa.array(lines)
    columns["source_id"] = pc.binary_join_element_wise(source, pa.array(lines).cast(pa.string()), ":")
    columns["license"] = pa.array([licence] * rows, pa.string())
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in RECORD_SCHEMA]
    return pa.record_batch(arrays, schema=RECORD_SCHEMA)


def _base_ids(drafts: Drafts) -> pa.StringArray:
    """`builtin:PLACE:HASH`, or `builtin:PLACE` where nothing but the place is written."""
    present = [pa.array(drafts.tags[tag], pa.string()) for tag in _FAMILY_TAGS if tag in drafts.tags]
    filled = [pc.utf8_lower(pc.fill_null(column, "")) for column in present]
    texts = pc.binary_join_element_wise(*filled, "\x1f").to_pylist() if filled else [""] * len(drafts)
    digests = [_short_hash(text) if text.strip("\x1f") else "" for text in texts]
    places = pa.array(drafts.place_ids).cast(pa.string())
    return pc.binary_join_element_wise("builtin", places, pa.array(digests), ":")


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
