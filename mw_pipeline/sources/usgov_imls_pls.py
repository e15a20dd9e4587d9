"""IMLS Public Libraries Survey, outlet file: every public library building of the United States.

Format: comma CSV in Windows-1252, one file per fiscal year. Needed: LIBNAME, ADDRESS, CITY. Other columns differ from
year to year (C_FSCS is absent from some) and are found by name.
Licence: public domain (a work of the US government).

Columns to tags: LIBNAME → venue; ADDRESS → house_number, street, unit, po_box (see street_line); CITY → locality;
STABR → region, as its two letters; ZIP and ZIP4 → postcode.

Oddities: upper case throughout. "M" means missing, in ZIP4 for half of the rows and in ADDRESS for bookmobiles; later
years write -3 or -4. Codes that a spreadsheet has passed through have lost their leading zeros.
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
    title="the IMLS outlet file: a comma CSV with LIBNAME, ADDRESS and CITY",
    delimiter=",",
    needed=("LIBNAME", "ADDRESS", "CITY"),
    optional=("STABR", "FSCSKEY", "FSCS_SEQ", "ZIP", "ZIP4"),
    encoding="cp1252",
)

ROLL = Roll(
    venue="LIBNAME",
    address="ADDRESS",
    city="CITY",
    state="STABR",
    zip_code="ZIP",
    plus4="ZIP4",
    record_id="outlet",
    required=LAYOUT.needed,
)

_MISSING = r"^\s*(M|-[0-9]+)\s*$"


@dataclass(frozen=True)
class UsgovImlsPls(UsRoll):
    """Adapter of `PLS_FYnn_Outlet_*.csv`, packed or not: a record per outlet."""

    name: str = "usgov-imls-pls"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Institute of Museum and Library Services, Public Libraries Survey"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """Nulls for what the survey marks as missing, and the id of the outlet where both of its parts are there."""
        for name in LAYOUT.wanted:
            raw = columns.blanked(raw, name, pc.match_substring_regex(raw[name], _MISSING))
        outlet = pc.binary_join_element_wise(columns.tidy(raw["FSCSKEY"]), columns.tidy(raw["FSCS_SEQ"]), "-")
        return raw.append_column("outlet", outlet)
