"""The roll of notaries public of Texas.

Format: comma CSV in UTF-8. Needed: Address, which holds a whole address: one or two delivery lines, then a line
`CITY, ST ZIP`, inside one quoted field.
Licence: a public record of the state; say in the spec which terms of its portal apply.

Columns to tags: the first lines of Address → house_number, street, unit, po_box (see street_line); its last line →
locality, region, postcode. Notary ID is the id; the notaries are people and are not named.

Oddities: the field holds line ends, so a record spans lines of the file.
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
    title="the roll of notaries of Texas: a comma CSV with Address",
    delimiter=",",
    needed=("Address",),
    optional=("Notary ID",),
)

ROLL = Roll(
    address="first",
    second="second",
    city="city",
    state="state",
    zip_code="zip",
    record_id="Notary ID",
    required=("first", "city"),
)

_WHOLE = (
    r"^\s*(?P<first>[^\n]*\S)\s*\n\s*(?:(?P<second>[^\n]*\S)\s*\n\s*)?"
    r"(?P<city>[^\n,]*[^\n,\s])\s*,\s*(?P<state>[A-Za-z]{2})\.?\s+(?P<zip>[0-9]{5}(?:-?[0-9]{4})?)\s*$"
)
_PARTS = ("first", "second", "city", "state", "zip")


@dataclass(frozen=True)
class StateTxNotaries(UsRoll):
    """Adapter of the CSV export of the roll, packed or not: a record per notary."""

    name: str = "state-tx-notaries"
    licence: str = columns.US_STATE_RECORD
    attribution: str = "State of Texas, Secretary of State, notaries public"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """The records whose block of lines is an address, with its parts as columns.

        Quarantined: `no_Address`, `not_an_address_block` (the last line is not `CITY, ST ZIP`, or there are too many).
        """
        empty = pc.equal(pc.utf8_trim_whitespace(raw["Address"]), "")
        raw = columns.quarantined(raw, empty, reason="no_Address", detail="Address", rejects=rejects)
        parts = pc.extract_regex(raw["Address"], _WHOLE)
        raw = columns.quarantined(
            raw, pc.is_null(parts), reason="not_an_address_block", detail="Address", rejects=rejects
        )
        parts = parts.drop_null()
        for part in _PARTS:
            raw = raw.append_column(part, pc.struct_field(parts, part))
        return raw
