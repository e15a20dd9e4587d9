"""GeoNames postal codes: which places a postcode serves.

Format: tab-separated, no header, 12 columns, UTF-8: country, postcode, place, admin1_name, admin1_code, admin2_name,
admin2_code, admin3_name, admin3_code, lat, lon, accuracy. Needed: the first three.
Licence: CC-BY-4.0.

Columns to tags: postcode → postcode, and cedex where the column holds "75021 CEDEX 01"; place → locality; admin1_name →
region; admin2_name → subregion.

Oddities: 510 US rows are military post offices without a state ("APO AE"): the second word is theirs. A few French
codes carry a delivery service ("75303 SP 07", "17133 AIR"): quarantined, for no envelope reads like that. Places in
Paris, Lyon and Marseille end in the number of their arrondissement ("Paris 08"), which a postal line leaves to the
code: cut off, as is a remark in brackets ("Calgary (Bow Trail)"). Areas that repeat their town or are named in another
language are left out: see written_areas. A territory has a country code of its own: its rows are of the United States
or France, and it is their region; what is named as its region, "Gu" and "Reunion (general)" as well as the towns of
Puerto Rico, is the subregion of American ones where it adds anything, and is left out of French ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Portion, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_delimited, read_file, record_end
from mw_pipeline.sources.drawn_streets import with_streets
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.portions import portions_of, read_files
from mw_pipeline.sources.reading import raw_files
from mw_pipeline.sources.regions import (
    region_keys,
    territories,
    territories_as_regions,
    without_arrondissements,
)
from mw_pipeline.sources.written_areas import written_areas

LAYOUT = Layout(
    title="GeoNames postal codes: 12 tab-separated columns (country, postcode, place, …) without a header",
    delimiter="\t",
    names=(
        *("country", "postcode", "place", "admin1_name", "admin1_code", "admin2_name", "admin2_code"),
        *("admin3_name", "admin3_code", "lat", "lon", "accuracy"),
    ),
    needed=("country", "postcode", "place"),
    optional=("admin1_name", "admin2_name"),
    quoted=False,
)

_CEDEX = r"^(?P<postcode>.*\S) (?P<cedex>(?i:cedex)(?: [0-9]+)?)$"
_MILITARY = r"^(?P<office>APO|FPO|DPO) (?P<state>AA|AE|AP)$"
_FRENCH_POST = pa.array(["FR", "MC"])


@dataclass(frozen=True)
class GeonamesPostal:
    """Adapter of `COUNTRY.txt` and `allCountries.txt`, packed or not."""

    name: str = "geonames-postal"
    licence: str = "CC-BY-4.0"
    attribution: str = "GeoNames (geonames.org)"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of the layout. Quarantined: what `read_file` refuses."""
        return read_files(request, self.portions, partial(read_file, layout=LAYOUT, rejects=rejects))

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """Stretches of files that are not packed, and all other files whole."""
        files = raw_files(request.paths, suffixes=(".txt", ".tsv"))
        demand_country_codes(read_delimited(files, LAYOUT, Rejects(request.source)), LAYOUT.title)
        yield from portions_of(files, request.portion_bytes, partial(record_end, layout=LAYOUT))

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per postcode and place, a share of `request.streets` of them with a street.

        Filtered: `country_not_wanted`. Quarantined: `unknown_country`, `no_postcode`, `no_place`,
        `postcode_with_service`.
        """
        made = _records(_sifted(raw, request, rejects), request.licence or self.licence)
        return with_streets(made, request) if request.streets else made


def demand_country_codes(batches: Iterator[pa.RecordBatch], title: str) -> None:
    """Raises CorpusError when no record of the first batch has a country code where GeoNames has one."""
    first = next(batches, None)
    if first is not None and not pc.any(columns.is_country_code(first["country"])).as_py():
        raise CorpusError(
            f"{first['source_id'][0]}: the column of the country holds {first['country'][0].as_py()!r}, expected "
            f"an ISO country code. Give the adapter {title}."
        )


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records with tidy values, and the cedex in a column of its own."""
    batch = territories_as_regions(columns.of_known_countries(batch, rejects))
    batch = columns.of_wanted_countries(batch, request, rejects)
    batch = columns.tidied_names(columns.tidied(batch, ("postcode",)), ("place", "admin1_name", "admin2_name"))
    for name in ("postcode", "place"):
        batch = columns.quarantined(batch, pc.is_null(batch[name]), reason=f"no_{name}", detail=name, rejects=rejects)
    parts = pc.extract_regex(batch["postcode"], _CEDEX)
    code = pc.coalesce(pc.struct_field(parts, "postcode"), batch["postcode"])
    batch = batch.append_column("code", code).append_column("cedex", pc.struct_field(parts, "cedex"))
    french = pc.is_in(batch["country_code"], value_set=_FRENCH_POST)
    service = pc.and_(french, pc.invert(pc.match_substring_regex(code, "^[0-9]{5}$")))
    return columns.quarantined(batch, service, reason="postcode_with_service", detail="postcode", rejects=rejects)


def _records(batch: pa.RecordBatch, licence: str) -> pa.RecordBatch:
    country, locality = batch["country_code"], _locality(batch)
    first, second = _areas(batch, locality)
    region, subregion = written_areas(country, town=locality, region=first, subregion=second)
    return record_batch(
        {
            "source_id": batch["source_id"],
            "base_id": columns.family_ids(country, columns.folded(batch["code"]), columns.folded(locality)),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, first, batch["code"]),
            "postcode": batch["code"],
            "cedex": batch["cedex"],
            "locality": locality,
            "region": region,
            "subregion": subregion,
        }
    )


def _locality(batch: pa.RecordBatch) -> pa.Array:
    city = without_arrondissements(batch["place"])
    city = pc.if_else(pc.equal(batch["country_code"], "FR"), city, batch["place"])
    return pc.coalesce(_military(batch, "office"), city)


def _military(batch: pa.RecordBatch, part: str) -> pa.Array:
    """The named part of a military post office, null for any other place."""
    named = pc.struct_field(pc.extract_regex(batch["place"], _MILITARY), part)
    return pc.if_else(pc.equal(batch["country_code"], "US"), named, None)


def _areas(batch: pa.RecordBatch, locality: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(region, subregion) of each place; a territory is a region, and what is named as its own is one step lower."""
    first, second = batch["admin1_name"], batch["admin2_name"]
    territory = columns.mapped(batch["territory"], territories().get)
    region = pc.coalesce(territory, first, _military(batch, "state"))
    american = pc.and_(pc.equal(batch["country_code"], "US"), pc.not_equal(pc.utf8_upper(first), batch["territory"]))
    below = columns.null_if_same(columns.null_if_same(pc.if_else(american, first, None), region), locality)
    return region, pc.if_else(pc.is_valid(territory), below, columns.null_if_same(second, region))
