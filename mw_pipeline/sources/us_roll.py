"""Rolls of United States places: files with a name, a delivery line, a city, a state and a ZIP code in columns.

Many federal and state files are such rolls and differ in the names of their columns. Here is what they share; each has
a module of its own with its layout, its oddities and its terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import us_states
from mw_pipeline.records.tables import Portion, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_request, table_portions
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.regions import region_keys
from mw_pipeline.sources.street_line import PARTS, split_column

_MILITARY = ("AA", "AE", "AP")  # Armed Forces Americas, Europe and Pacific stand where a state would


@dataclass(frozen=True)
class Roll:
    """Which column holds what; None where the format has no such column. Records lack no `required` one."""

    address: str
    city: str
    state: str
    zip_code: str
    required: tuple[str, ...]
    venue: str | None = None
    second: str | None = None
    plus4: str | None = None
    record_id: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the format has."""
        named = (
            self.venue,
            self.address,
            self.second,
            self.city,
            self.state,
            self.zip_code,
            self.plus4,
            self.record_id,
        )
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True)
class UsRoll:
    """What the adapters of rolls share; each says what its columns are and what stands in them."""

    layout: ClassVar[Layout]
    roll: ClassVar[Roll]
    name: str
    licence: str
    attribution: str
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of the layout. Quarantined: what `read_file` refuses."""
        return read_request(request, self.layout, rejects)

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """Stretches of files that are not packed, and all other files whole."""
        return table_portions(request, self.layout)

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """The columns of the roll from those of the layout; records that have no address are counted in `rejects`."""
        return raw

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per line of the roll.

        Filtered: `outside_the_us` (its state is none of ours), `country_not_wanted`. Quarantined: `no_NAME` for a
        required column, `military_unit` (what APO and FPO deliver to, other than a box, has no tag), and the reasons
        of `split_street_line`. Both: what `prepared` says.
        """
        tidied = columns.tidied(self.prepared(raw, rejects), self.roll.columns)
        return _records(_sifted(tidied, self.roll, request, rejects), self.roll, request.licence or self.licence)


def _sifted(batch: pa.RecordBatch, roll: Roll, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    batch = batch.append_column("country_code", columns.constant("US", batch))
    batch = columns.of_wanted_countries(batch, request, rejects)
    foreign = pc.invert(pc.is_in(pc.utf8_upper(batch[roll.state]), value_set=_state_names()))
    foreign = pc.and_(foreign, pc.is_valid(batch[roll.state]))
    batch = columns.filtered(batch, foreign, name="outside_the_us", rejects=rejects)
    for name in roll.required:
        batch = columns.quarantined(batch, pc.is_null(batch[name]), reason=f"no_{name}", detail=name, rejects=rejects)
    batch = split_column(batch, roll.address, rejects, second=roll.second)
    military = pc.is_in(pc.utf8_upper(batch[roll.state]), value_set=pa.array(_MILITARY))
    unboxed = pc.and_(military, pc.is_null(batch["po_box"]))
    return columns.quarantined(batch, unboxed, reason="military_unit", detail=roll.address, rejects=rejects)


def _state_names() -> pa.StringArray:
    return pa.array([*us_states(), *(name.upper() for name in us_states().values()), *_MILITARY])


def _records(batch: pa.RecordBatch, roll: Roll, licence: str) -> pa.RecordBatch:
    country, locality, region = batch["country_code"], batch[roll.city], batch[roll.state]
    postcode = columns.zip_codes(batch[roll.zip_code], batch[roll.plus4] if roll.plus4 else None)
    own_id = batch[roll.record_id] if roll.record_id else pa.nulls(batch.num_rows, pa.string())
    return record_batch(
        {
            "source_id": pc.coalesce(own_id, batch["source_id"]),
            "base_id": columns.address_family_ids(
                country,
                house_number=batch["house_number"],
                street=pc.coalesce(batch["street"], batch["po_box"]),
                locality=locality,
                postcode=postcode,
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "venue": batch[roll.venue] if roll.venue else pa.nulls(batch.num_rows, pa.string()),
            "locality": locality,
            "region": region,
            "postcode": postcode,
            **{part: batch[part] for part in PARTS},
        }
    )
