"""NPPES: the practice address of every health care provider of the United States that has an NPI.

Format: quoted comma CSV in UTF-8, some 330 columns (`npidata_pfile_*.csv`). Needed: the first line, city, state and
postal code of the practice location. Mailing addresses and secondary locations are not read.
Licence: public domain (a work of the US government).

Columns to tags: first and second line of the practice location → house_number, street, unit, po_box (see street_line);
its city → locality; its state → region; its postal code → postcode; the legal business name of an organisation → venue.
Providers who are people are not named.

Oddities: ZIP+4 is nine digits without a dash. A deactivated NPI keeps its number and loses every other field. A state
is two letters where the provider is in the United States and free text elsewhere. The monthly archive holds tables of
other names, secondary locations and endpoints beside this one: they have the NPI and none of its columns, and are left
out, packed or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import us_states
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources import columns
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.us_roll import Roll, UsRoll

_PLACE = "Business Practice Location Address"
_LINE, _SECOND = f"Provider First Line {_PLACE}", f"Provider Second Line {_PLACE}"
_CITY, _STATE, _ZIP = (f"Provider {_PLACE} {part}" for part in ("City Name", "State Name", "Postal Code"))
_COUNTRY = f"Provider {_PLACE} Country Code (If outside U.S.)"
_ORGANISATION, _DEACTIVATED = "Provider Organization Name (Legal Business Name)", "NPI Deactivation Date"

LAYOUT = Layout(
    title=f"the NPPES provider file: a quoted comma CSV with {_LINE!r}",
    delimiter=",",
    needed=(_LINE, _CITY, _STATE, _ZIP),
    optional=("NPI", _SECOND, _COUNTRY, _ORGANISATION, _DEACTIVATED),
    companion="NPI",
)

ROLL = Roll(
    venue=_ORGANISATION,
    address=_LINE,
    second=_SECOND,
    city=_CITY,
    state=_STATE,
    zip_code=_ZIP,
    record_id="NPI",
    required=(_LINE, _CITY),
)


@dataclass(frozen=True)
class UsgovNppes(UsRoll):
    """Adapter of `npidata_pfile_*.csv`, packed or not, of its weekly updates, and of the archive or folder around it: a
    record per provider."""

    name: str = "usgov-nppes"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Centers for Medicare and Medicaid Services, NPPES"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL

    def prepared(self, raw: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """Filtered: `deactivated`, `outside_the_us` (its territories are in it)."""
        raw = columns.tidied(raw, (_LINE, _COUNTRY, _DEACTIVATED))
        gone = pc.and_(pc.is_valid(raw[_DEACTIVATED]), pc.is_null(raw[_LINE]))
        raw = columns.filtered(raw, gone, name="deactivated", rejects=rejects)
        domestic = pc.is_in(raw[_COUNTRY], value_set=pa.array(["US", *us_states()]))
        abroad = pc.and_(pc.is_valid(raw[_COUNTRY]), pc.invert(domestic))
        return columns.filtered(raw, abroad, name="outside_the_us", rejects=rejects)
