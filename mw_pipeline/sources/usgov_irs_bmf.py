"""IRS Exempt Organizations Business Master File: the mailing address of every tax-exempt organisation.

Format: comma CSV, 28 columns, one file per region (`eo1.csv` to `eo4.csv`) or state. Needed: STREET, CITY.
Licence: public domain (a work of the US government).

Columns to tags: NAME → venue; STREET → house_number, street, unit, po_box (see street_line); CITY → locality; STATE →
region; ZIP → postcode. ICO ("% the treasurer") is not read.

Oddities: upper case throughout. STREET is a post office box as often as a street. Addresses abroad have no state, ZIP
00000-0000 and their town in STREET: left out. The files of the regions overlap, so an EIN is no id across them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources import columns
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.us_roll import Roll, UsRoll

LAYOUT = Layout(
    title="the IRS business master file: a comma CSV with STREET and CITY",
    delimiter=",",
    needed=("STREET", "CITY"),
    optional=("NAME", "STATE", "ZIP"),
)

ROLL = Roll(venue="NAME", address="STREET", city="CITY", state="STATE", zip_code="ZIP", required=LAYOUT.needed)


@dataclass(frozen=True)
class UsgovIrsBmf(UsRoll):
    """Adapter of `eo*.csv`, packed or not: a record per organisation."""

    name: str = "usgov-irs-bmf"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Internal Revenue Service, Exempt Organizations Business Master File"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """Filtered: `outside_the_us`, records abroad, which have neither a state nor a ZIP code."""
        raw = columns.tidied(raw, ("STATE", "ZIP"))
        no_zip = pc.fill_null(pc.match_substring_regex(raw["ZIP"], "^[0-]*$"), True)
        return columns.filtered(raw, pc.and_(pc.is_null(raw["STATE"]), no_zip), name="outside_the_us", rejects=rejects)
