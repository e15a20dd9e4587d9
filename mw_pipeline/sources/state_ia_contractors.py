"""Iowa's register of construction contractors.

Format: comma CSV in UTF-8. Needed: Address 1, City.
Licence: a public record of the state; say in the spec which terms of its portal apply.

Columns to tags: Business Name → venue; Address 1 and Address 2 → house_number, street, unit, po_box (see street_line);
City → locality; State → region; Zip Code → postcode. Registration # is the id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mw_pipeline.sources import columns
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.us_roll import Roll, UsRoll

LAYOUT = Layout(
    title="Iowa's register of contractors: a comma CSV with Address 1 and City",
    delimiter=",",
    needed=("Address 1", "City"),
    optional=("Registration #", "Business Name", "Address 2", "State", "Zip Code"),
)

ROLL = Roll(
    venue="Business Name",
    address="Address 1",
    second="Address 2",
    city="City",
    state="State",
    zip_code="Zip Code",
    record_id="Registration #",
    required=("Address 1", "City"),
)


@dataclass(frozen=True)
class StateIaContractors(UsRoll):
    """Adapter of the CSV export of the register, packed or not: a record per contractor."""

    name: str = "state-ia-contractors"
    licence: str = columns.US_STATE_RECORD
    attribution: str = "State of Iowa, Division of Labor, contractor registrations"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL
