"""GeoNames gazetteer: towns, areas and buildings with the areas they lie in.

Format: tab-separated, no header, 19 columns, UTF-8: geonameid, name, asciiname, alternatenames, latitude, longitude,
feature class, feature code, country, cc2, admin1 to admin4, population, elevation, dem, timezone, modification date.
Needed: name and country. Beside the file, or in the folder, may lie the upstream's admin1CodesASCII.txt and
admin2Codes.txt, packed or not.
Licence: CC-BY-4.0.

Feature classes to tags: P → locality; A → country, region (ADM1) or subregion (ADM2); S → venue, where the code is a
building that people name in an address. admin1 and admin2 → region and subregion, by the tables beside the file; for
the United States and France by our own, which write "Bretagne" where the upstream has "Brittany".

Oddities: alternate names carry no language. Where a country does not write Latin letters, the alternate name in its own
script becomes a further record of the same family, without its areas, whose names are known in Latin letters only. A
part of a town (PPLX) does not say of which: it stands in the town's place, so it is a locality. The names of many towns
repeat that of their region or district ("Hamburg, Hamburg"): written once, but for the United States, where "New York,
New York" is what people write. Remarks in brackets ("Frankfurt (Oder)") are cut off, and areas that are named in
another language are left out: see written_areas. A territory has a country code of its own: its places are of the
United States or France, it is their region, and its first areas, the towns of Puerto Rico, are subregions of American
ones only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.tables import ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_delimited
from mw_pipeline.sources.geonames_areas import AreaNames, area_names, companion_tables, is_companion_table
from mw_pipeline.sources.geonames_postal import demand_country_codes
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.own_scripts import OWN_SCRIPTS, own_name
from mw_pipeline.sources.reading import raw_files
from mw_pipeline.sources.regions import region_keys, territories, territories_as_regions, without_arrondissements
from mw_pipeline.sources.written_areas import written_areas

LAYOUT = Layout(
    title="GeoNames gazetteer: 19 tab-separated columns (geonameid, name, …, country, …) without a header",
    delimiter="\t",
    names=(
        *("geonameid", "name", "asciiname", "alternatenames", "latitude", "longitude", "class", "code", "country"),
        *("cc2", "admin1", "admin2", "admin3", "admin4", "population", "elevation", "dem", "timezone", "modified"),
    ),
    needed=("name", "country"),
    optional=("geonameid", "asciiname", "alternatenames", "class", "code", "admin1", "admin2"),
    quoted=False,
)

# historical, abandoned, destroyed, historical capital
_GONE = pa.array(["PPLH", "PPLQ", "PPLW", "PPLCH"])
_TAGS = ("locality", "region", "subregion", "country", "venue")
_HIGHEST = pa.array(["country", "region"])
_COUNTRIES = pa.array(["PCL", "PCLD", "PCLF", "PCLI", "PCLIX", "PCLS"])
_BUILDINGS = (
    "^(AIRP|AMTH|ARCH|ASTR|ATHF|BANK|BLDG|BLDO|BUSTN|CH|CSTL|CTHSE|CVNT|DIP|FCL|GOVL|HSEC|HSP|HSPC|HTL|LIBR|MALL|MKT"
    "|MNMT|MSQE|MSTY|MUS|OBPT|OPRA|PAL|PO|PP|PRN|REST|RSTN|SCH|SCHC|STDM|THTR|TMPL|UNIV|USGE|ZOO)$"
)
_CLASSES = {
    "A": "other_administrative_area",
    "H": "water",
    "L": "park_or_area",
    "P": "no_longer_populated",
    "R": "road_or_railway",
    "S": "no_named_building",
    "T": "mountain_or_island",
    "U": "undersea",
    "V": "vegetation",
}


@dataclass(frozen=True)
class Geonames:
    """Adapter of `COUNTRY.txt`, `allCountries.txt` and `cities15000.txt`, packed or not."""

    name: str = "geonames"
    licence: str = "CC-BY-4.0"
    attribution: str = "GeoNames (geonames.org)"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """One record per place, and one more where the place has a name in its country's own script.

        Filtered: `country_not_wanted`, and by feature class what no address names (`water`, `no_named_building`, …).
        Quarantined: `unknown_country`, `no_name`, `unknown_feature_class`, and what `read_delimited` refuses.
        """
        files = raw_files(request.paths, suffixes=(".txt", ".tsv"))
        areas = area_names(files)
        places = [file for file in files if not is_companion_table(file.path)] or files
        demand_country_codes(read_delimited(places, LAYOUT, Rejects(request.source)), LAYOUT.title)
        for batch in columns.at_most(read_delimited(places, LAYOUT, rejects), request.max_records):
            sifted = _sifted(batch, request, rejects)
            if sifted.num_rows:
                records = _records(sifted, areas, request.licence or self.licence)
                yield records
                yield from _in_own_script(sifted, records)

    def companions(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """The tables that name areas."""
        return companion_tables(paths)


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records, with tidy values and the tag that each one's name has."""
    batch = territories_as_regions(columns.of_known_countries(batch, rejects))
    batch = columns.of_wanted_countries(batch, request, rejects)
    batch = columns.tidied_names(batch, ("name", "asciiname"))
    batch = columns.tidied(batch, ("geonameid", "class", "code", "admin1", "admin2"))
    batch = columns.quarantined(batch, pc.is_null(batch["name"]), reason="no_name", detail="name", rejects=rejects)
    unknown = pc.invert(pc.is_in(batch["class"], value_set=pa.array(list(_CLASSES))))
    batch = columns.quarantined(batch, unknown, reason="unknown_feature_class", detail="class", rejects=rejects)
    batch = batch.append_column("tag", _tag(batch))
    for letter, name in _CLASSES.items():
        unwanted = pc.and_(pc.is_null(batch["tag"]), pc.equal(batch["class"], letter))
        batch = columns.filtered(batch, unwanted, name=name, rejects=rejects)
    return batch


def _tag(batch: pa.RecordBatch) -> pa.Array:
    """What the name of each place is in an address; null where no address names it."""
    code = pc.fill_null(batch["code"], "")
    state, territory = pc.is_null(batch["territory"]), pc.is_valid(batch["territory"])
    highest = pc.is_in(code, value_set=_COUNTRIES)
    american = pc.and_(territory, pc.equal(batch["country_code"], "US"))

    def of_class(letter: str, codes: pa.Array) -> pa.Array:
        return pc.and_(pc.equal(batch["class"], letter), codes)

    return pc.case_when(
        pc.make_struct(
            of_class("P", pc.invert(pc.is_in(code, value_set=_GONE))),
            of_class("A", pc.or_(pc.and_(pc.equal(code, "ADM1"), state), pc.and_(highest, territory))),
            of_class("A", pc.or_(pc.and_(pc.equal(code, "ADM2"), state), pc.and_(pc.equal(code, "ADM1"), american))),
            of_class("A", pc.and_(highest, state)),
            of_class("S", pc.match_substring_regex(code, _BUILDINGS)),
        ),
        *_TAGS,
    )


def _records(batch: pa.RecordBatch, areas: AreaNames, licence: str) -> pa.RecordBatch:
    country, tag = batch["country_code"], batch["tag"]
    name = pc.if_else(pc.equal(country, "FR"), without_arrondissements(batch["name"]), batch["name"])
    territory = columns.mapped(batch["territory"], territories().get)
    region, subregion = _areas(batch, areas, territory)
    own = {value: pc.if_else(pc.equal(tag, value), name, None) for value in _TAGS}
    region = pc.if_else(pc.equal(tag, "country"), None, pc.coalesce(own["region"], region))
    key = region_keys(country, pc.coalesce(territory, region), pa.nulls(batch.num_rows, pa.string()))
    subregion = pc.if_else(pc.is_in(tag, value_set=_HIGHEST), None, pc.coalesce(own["subregion"], subregion))
    subregion = columns.null_if_same(subregion, region)
    region, subregion = written_areas(country, town=own["locality"], region=region, subregion=subregion)
    itself = pc.and_(pc.is_valid(own["subregion"]), pc.is_null(subregion))
    region = pc.if_else(itself, None, region)  # of a district in another language than its region, the district stays
    # a district without its region would be the highest area written; that of a part of a town often is the town
    of_part = pc.and_(pc.equal(batch["code"], "PPLX"), pc.not_equal(country, "US"))
    lower = pc.and_(pc.is_valid(region), pc.invert(pc.fill_null(of_part, False)))
    subregion = pc.if_else(lower, subregion, own["subregion"])
    identified = pc.binary_join_element_wise(pc.coalesce(batch["geonameid"], ""), batch["source_id"], "@")
    return record_batch(
        {
            "source_id": identified,
            "base_id": columns.family_ids(country, key, tag, columns.folded(name)),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": key,
            **own,
            "region": region,
            "subregion": subregion,
        }
    )


def _areas(batch: pa.RecordBatch, areas: AreaNames, territory: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(region, subregion) above each place, those of a territory one step lower than the upstream has them."""
    stated = pc.coalesce(batch["territory"], batch["country_code"])
    first, second = areas.of(stated, batch["admin1"], batch["admin2"])
    american = pc.equal(batch["country_code"], "US")
    below = columns.null_if_same(pc.if_else(american, first, None), batch["name"])
    below = columns.null_if_same(below, territory)
    return pc.coalesce(territory, first), pc.if_else(pc.is_valid(territory), below, second)


def _in_own_script(batch: pa.RecordBatch, records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The records whose country writes another script than Latin and whose name in it is known, under that name."""
    rows, names = [], []
    abroad = pc.is_in(batch["country_code"], value_set=pa.array(list(OWN_SCRIPTS)))
    for row in pc.indices_nonzero(abroad).to_pylist():
        alternates = (batch["alternatenames"][row].as_py() or "").split(",")
        name = own_name(batch["country_code"][row].as_py(), batch["asciiname"][row].as_py() or "", alternates)
        if name is not None:
            rows.append(row)
            names.append(name)
    if not rows:
        return
    taken, tag = records.take(pa.array(rows)), batch["tag"].take(pa.array(rows))
    kept = ("base_id", "country_code", "locale", "license", "line", "region_key")
    own = {value: pc.if_else(pc.equal(tag, value), pa.array(names), None) for value in _TAGS}
    source_id = pc.binary_join_element_wise(taken["source_id"], "own-script", "@")
    yield record_batch({"source_id": source_id, **{name: taken[name] for name in kept}, **own})
