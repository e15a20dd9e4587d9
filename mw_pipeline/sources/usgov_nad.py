"""The National Address Database: address points of most states, collected by the US Department of Transportation.

Format: comma CSV in UTF-8, 60 columns (releases since r8) or 42 with other names (2017 to 2020: StreetName, Post_Comm,
GUID). Needed: State, and StNam_Full, St_Name or StreetName.
Licence: public domain (a work of the US government).

Columns to tags: AddNo_Full, else AddNum_Pre, Add_Number and AddNum_Suf → house_number; StNam_Full, else its parts in
order → street; Building, Floor, Unit and Room → unit, a bare identifier behind its designator ("Unit 3"); the first of
Post_City (Post_Comm), Inc_Muni, Census_Plc and Uninc_Comm that names a town → locality, and the first that names a
county → subregion; State → region; Zip_Code and Plus_4 → postcode; LandmkName → venue.

Oddities: a name in capitals stands beside a type that is not ("MAIN Street"): written in capitals throughout. Towns are
written as the Census Bureau does ("Baton Rouge city"), or the county fills their place, or a word for none: see
us_towns. A number 0 means none. The letter of a number may stand before the street ("B MAIN Street"). A UUID may stand
on several equal lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import us_states
from mw_pipeline.records.tables import Portion, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_request, table_portions
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.regions import region_keys
from mw_pipeline.sources.street_line import number_letter, written_unit
from mw_pipeline.sources.us_towns import us_towns_and_counties

# a column of the 60, and what the 42 call it
_OLDER = {
    "UUID": "GUID",
    "Post_City": "Post_Comm",
    "St_Name": "StreetName",
    **{f"St_{part}": f"StN_{part}" for part in ("PreMod", "PreDir", "PreTyp", "PreSep", "PosTyp", "PosDir", "PosMod")},
}
_BEFORE, _AFTER = ("St_PreMod", "St_PreDir", "St_PreTyp", "St_PreSep"), ("St_PosTyp", "St_PosDir", "St_PosMod")
_STREET = (*_BEFORE, "St_Name", *_AFTER)
_NUMBER = ("AddNo_Full", "AddNum_Pre", "Add_Number", "AddNum_Suf")
_UNIT = ("Building", "Floor", "Unit", "Room")
_TOWNS = ("Post_City", "Inc_Muni", "Census_Plc", "Uninc_Comm")
_OTHERS = ("Zip_Code", "Plus_4", "LandmkName", "UUID")

LAYOUT = Layout(
    title="the National Address Database: a comma CSV with State, and StNam_Full, St_Name or StreetName",
    delimiter=",",
    needed=("State",),
    needed_one_of=("StNam_Full", "St_Name", "StreetName"),
    optional=tuple(
        name
        for name in (*_BEFORE, *_AFTER, *_NUMBER, *_UNIT, *_TOWNS, *_OTHERS, *_OLDER.values())
        if name != "StreetName"
    ),
)

_SUFFIXES = (".txt", ".csv")


@dataclass(frozen=True)
class UsgovNad:
    """Adapter of `NAD_r*.txt` and of the CSV files of older releases, packed or not."""

    name: str = "usgov-nad"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "US Department of Transportation, National Address Database"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of the layout. Quarantined: what `read_file` refuses."""
        return read_request(request, LAYOUT, rejects, suffixes=_SUFFIXES)

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """Stretches of files that are not packed, and all other files whole."""
        return table_portions(request, LAYOUT, suffixes=_SUFFIXES)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per address point.

        Filtered: `country_not_wanted`. Quarantined: `no_street`, `no_State`, `unknown_state`.
        """
        sifted = _sifted(_renamed(columns.tidied(raw, LAYOUT.wanted)), request, rejects)
        return _records(sifted, request.licence or self.licence)


def _renamed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with nulls for zeros, and every column under the name that newer releases give it."""
    for name in LAYOUT.wanted:
        batch = columns.blanked(batch, name, pc.equal(batch[name], "0"))
    for name in _NUMBER:
        batch = batch.set_column(batch.schema.get_field_index(name), name, columns.whole_numbers(batch[name]))
    for new, old in _OLDER.items():
        batch = batch.set_column(batch.schema.get_field_index(new), new, pc.coalesce(batch[new], batch[old]))
    return batch


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    batch = batch.append_column("country_code", columns.constant("US", batch))
    batch = columns.of_wanted_countries(batch, request, rejects)
    no_name = pc.is_null(pc.coalesce(batch["StNam_Full"], batch["St_Name"]))
    batch = columns.quarantined(batch, no_name, reason="no_street", detail="StNam_Full", rejects=rejects)
    batch = columns.quarantined(batch, pc.is_null(batch["State"]), reason="no_State", detail="State", rejects=rejects)
    unknown = pc.invert(pc.is_in(pc.utf8_upper(batch["State"]), value_set=pa.array(list(us_states()))))
    return columns.quarantined(batch, unknown, reason="unknown_state", detail="State", rejects=rejects)


def _records(batch: pa.RecordBatch, licence: str) -> pa.RecordBatch:
    country, region = batch["country_code"], batch["State"]
    number, street = _numbers_and_streets(batch)
    locality, subregion = _towns_and_counties(batch)
    postcode = columns.zip_codes(batch["Zip_Code"], batch["Plus_4"])
    return record_batch(
        {
            "source_id": pc.coalesce(pc.utf8_trim(batch["UUID"], "{}"), batch["source_id"]),
            "base_id": columns.address_family_ids(
                country, house_number=number, street=street, locality=locality, postcode=postcode
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "venue": batch["LandmkName"],
            "house_number": number,
            "street": street,
            "unit": _units(batch),
            "locality": locality,
            "subregion": subregion,
            "region": region,
            "postcode": postcode,
        }
    )


def _house_numbers(batch: pa.RecordBatch) -> pa.Array:
    """A suffix of letters follows its number at once ("12A", "12-B"), one of digits behind a blank ("12 1/2")."""
    suffix = pc.replace_substring_regex(batch["AddNum_Suf"], "^([0-9])", r" \1")
    whole = _joined(batch["AddNum_Pre"], batch["Add_Number"], suffix, between="")
    alone = pc.if_else(pc.is_null(batch["Add_Number"]), None, whole)
    return pc.coalesce(batch["AddNo_Full"], alone)


def _numbers_and_streets(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """Number and street of each record; a letter that was filed with the street goes back to its number."""
    number, street = _house_numbers(batch), _streets(batch)
    letter = columns.mapped(street, number_letter)
    lettered = pc.and_(pc.is_valid(letter), pc.is_valid(number))
    return (
        pc.if_else(lettered, pc.binary_join_element_wise(number, letter, " "), number),
        pc.if_else(lettered, pc.utf8_slice_codeunits(street, 2), street),
    )


def _streets(batch: pa.RecordBatch) -> pa.Array:
    street = pc.coalesce(batch["StNam_Full"], _joined(*(batch[part] for part in _STREET), between=" "))
    capitals = pc.and_(
        pc.match_substring_regex(batch["St_Name"], r"\p{Lu}{2}"),
        pc.invert(pc.match_substring_regex(batch["St_Name"], r"\p{Ll}")),
    )
    return pc.if_else(pc.fill_null(capitals, False), pc.utf8_upper(street), street)


def _units(batch: pa.RecordBatch) -> pa.Array:
    parts = [columns.mapped(batch[name], partial(written_unit, designator=name)) for name in _UNIT]
    return _joined(*parts, between=" ")


def _towns_and_counties(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """The first name that is a town, and the first that is a county."""
    found = [us_towns_and_counties(batch[column], batch["State"]) for column in _TOWNS]
    return pc.coalesce(*(town for town, _ in found)), pc.coalesce(*(county for _, county in found))


def _joined(*parts: pa.Array, between: str) -> pa.Array:
    """The parts that are there, in order; null where none is."""
    return columns.tidy(pc.binary_join_element_wise(*(pc.fill_null(part, "") for part in parts), between))
