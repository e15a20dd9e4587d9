"""IRS Exempt Organizations Business Master File: the mailing address of every tax-exempt organisation.

Format: comma CSV, 28 columns, one file per region (`eo1.csv` to `eo4.csv`) or state. Needed: STREET, CITY.
Licence: public domain (a work of the US government).

Columns to tags: NAME → venue; STREET → house_number, street, unit, po_box (see street_line); CITY → locality; STATE →
region; ZIP → postcode. ICO ("% the treasurer") is not read.

Oddities: upper case throughout. STREET is a post office box as often as a street. Addresses abroad have no state, ZIP
00000-0000 and their town in STREET: left out. The files of the regions overlap, so an EIN is no id across them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_request
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.us_roll import Roll, roll_records

LAYOUT = Layout(
    title="the IRS business master file: a comma CSV with STREET and CITY",
    delimiter=",",
    needed=("STREET", "CITY"),
    optional=("NAME", "STATE", "ZIP"),
)

ROLL = Roll(venue="NAME", address="STREET", city="CITY", state="STATE", zip_code="ZIP", required=LAYOUT.needed)


@dataclass(frozen=True)
class UsgovIrsBmf:
    """Adapter of `eo*.csv`, packed or not."""

    name: str = "usgov-irs-bmf"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Internal Revenue Service, Exempt Organizations Business Master File"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of the layout. Quarantined: what `read_delimited` refuses."""
        return read_request(request, LAYOUT, rejects)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per organisation. Filtered and quarantined: as `roll_records` says."""
        return roll_records(_domestic(raw, rejects), ROLL, request, rejects, licence=request.licence or self.licence)


def _domestic(batch: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
    """Without the records abroad, which have neither a state nor a ZIP code."""
    batch = columns.tidied(batch, ("STATE", "ZIP"))
    no_zip = pc.fill_null(pc.match_substring_regex(batch["ZIP"], "^[0-]*$"), True)
    return columns.filtered(batch, pc.and_(pc.is_null(batch["STATE"]), no_zip), name="outside_the_us", rejects=rejects)
