"""New York State's roll of commissioned notaries public, by business address.

Format: comma CSV in UTF-8. Needed: Business Address 1 and Business City, each with "(if available)" behind it.
Licence: a public record of the state; say in the spec which terms of its portal apply.

Columns to tags: Business Name → venue; Business Address 1 and 2 → house_number, street, unit, po_box (see street_line);
Business City → locality; Business State → region; Business Zip → postcode. The holders are people and are not named.

Oddities: some column names begin with a blank. Many holders give no business address: left out.
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

_NAME, _LINE, _SECOND, _CITY, _STATE, _ZIP = (
    f"Business {part} (if available)" for part in ("Name", "Address 1", "Address 2", "City", "State", "Zip")
)

LAYOUT = Layout(
    title=f"New York's roll of notaries: a comma CSV with {_LINE!r} and {_CITY!r}",
    delimiter=",",
    needed=(_LINE, _CITY),
    optional=(_NAME, _SECOND, _STATE, _ZIP),
)

ROLL = Roll(
    venue=_NAME, address=_LINE, second=_SECOND, city=_CITY, state=_STATE, zip_code=_ZIP, required=(_LINE, _CITY)
)


@dataclass(frozen=True)
class StateNyNotaries(UsRoll):
    """Adapter of the CSV export of the roll, packed or not: a record per notary with a business address."""

    name: str = "state-ny-notaries"
    licence: str = columns.US_STATE_RECORD
    attribution: str = "New York State, Department of State, commissioned notaries public"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """Filtered: `no_business_address`."""
        raw = columns.tidied(raw, (_LINE,))
        return columns.filtered(raw, pc.is_null(raw[_LINE]), name="no_business_address", rejects=rejects)
