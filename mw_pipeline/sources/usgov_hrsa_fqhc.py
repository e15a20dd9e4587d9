"""HRSA health center service delivery and look-alike sites: every federally supported clinic of the United States.

Format: comma CSV in UTF-8, 55 columns. Needed: Site Name, Site Address, Site City, Site State Abbreviation, Site Postal
Code. The id of a record is its BPHC Assigned Number.
Licence: public domain (a work of the US government).

Columns to tags: Site Name → venue; Site Address → house_number, street, unit, po_box (see street_line); Site City →
locality; Site State Abbreviation → region; Site Postal Code → postcode. The organisation's own address is not read.

Oddities: the header ends in a stray comma, so it has 56 names for 55 values. Names hold double blanks; the address
field was cut at some length upstream ("1230 S Cherrybell Stra").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mw_pipeline.sources import columns
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.us_roll import Roll, UsRoll

LAYOUT = Layout(
    title="the HRSA list of health center sites: a comma CSV with Site Name, Site Address and Site City",
    delimiter=",",
    needed=("Site Name", "Site Address", "Site City", "Site State Abbreviation", "Site Postal Code"),
    optional=("BPHC Assigned Number",),
)

ROLL = Roll(
    venue="Site Name",
    address="Site Address",
    city="Site City",
    state="Site State Abbreviation",
    zip_code="Site Postal Code",
    record_id="BPHC Assigned Number",
    required=("Site Name", "Site Address", "Site City"),
)


@dataclass(frozen=True)
class UsgovHrsaFqhc(UsRoll):
    """Adapter of `Health_Center_Service_Delivery_and_LookAlike_Sites.csv`, packed or not: a record per site."""

    name: str = "usgov-hrsa-fqhc"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Health Resources and Services Administration, health center service delivery sites"
    layout: ClassVar[Layout] = LAYOUT
    roll: ClassVar[Roll] = ROLL
