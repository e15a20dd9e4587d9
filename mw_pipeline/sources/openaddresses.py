"""OpenAddresses: address points that governments publish, collected in one shape.

Format: v1 is a comma CSV with LON,LAT,NUMBER,STREET,UNIT,CITY,DISTRICT,REGION,POSTCODE,ID[,HASH] in any order, or GEOM
for LON,LAT; v2 is GeoJSON, one Feature per line, with the same names in lower case as properties. Both UTF-8. Needed:
NUMBER or STREET.
Licence: that of each file's own source, see openaddresses_facts; share-alike is refused unless allowed.

Columns to tags: NUMBER → house_number; STREET → street, in the case it is written in (often upper); UNIT → unit; CITY →
locality; DISTRICT → subregion; REGION, or the state that the folders tell → region; POSTCODE → postcode.

Oddities: values may be blank, null, or spell that out ("<Null>", "n/a"). A number of zeros means none. Some sources put
a code into CITY ("02") or every code of the town into POSTCODE ("06000;06100"): dropped. ZIP codes may have lost their
leading zero, and numbers may have become decimals ("359.0"). Units, streets and whole address lines turn up in NUMBER
and STREET: see openaddresses_cells. Collections are archives of such files, with summaries, licences and other layers
between them, and the folders of each table are within.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Portion, RawFile, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import is_table, read_table, record_end
from mw_pipeline.sources.feature_lines import read_features
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.openaddresses_cells import corrected_cells
from mw_pipeline.sources.openaddresses_facts import (
    UNKNOWN_LICENCE,
    FileFacts,
    companion_description,
    credit_of,
    facts_of,
)
from mw_pipeline.sources.portions import RecordEnd, after_any_line, portions_of, read_files
from mw_pipeline.sources.reading import is_plain, open_members, raw_files
from mw_pipeline.sources.regions import region_keys, without_arrondissements
from mw_pipeline.sources.streams import peek
from mw_pipeline.sources.us_towns import us_towns_and_counties

_NAMES = ("NUMBER", "STREET", "UNIT", "CITY", "DISTRICT", "REGION", "POSTCODE")

LAYOUT = Layout(
    title="OpenAddresses: a comma CSV with NUMBER or STREET, or GeoJSON with one Feature per line",
    delimiter=",",
    needed=(),
    needed_one_of=("NUMBER", "STREET"),
    optional=("UNIT", "CITY", "DISTRICT", "REGION", "POSTCODE"),
    companion="count",  # a summary: count,lon,lat,area
)

_SUFFIXES = (".csv", ".geojson")

# what collections hold beside addresses: us/or/lake-parcels-county.geojson
_OTHER_LAYERS = re.compile(r"-(?:buildings|parcels|centerlines)(?:-[^/]*)?\.[a-z.]+$")


@dataclass(frozen=True)
class Openaddresses:
    """Adapter of v1 CSV and v2 GeoJSON files, packed or not, and of folders of them."""

    name: str = "openaddresses"
    licence: str = UNKNOWN_LICENCE
    attribution: str = "OpenAddresses (openaddresses.io) and the sources it names"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of either layout, with what is known of each file.

        Filtered: `no_address_table`, once for each summary, parcel or building table that is packed with addresses.
        Quarantined: what `read_table` and `read_features` refuse. Raises CorpusError as `facts_of` does, and for a file
        without an address table.
        """
        return read_files(request, self.portions, partial(_read_file, request=request, rejects=rejects))

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """Stretches of CSV and of GeoJSON that are not packed, and all other files whole."""
        files = raw_files(request.paths, suffixes=_SUFFIXES)
        for file in files:
            _demand_table(file, request)
        yield from portions_of(files, request.portion_bytes, _record_end)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per address point.

        Filtered: `country_not_wanted`. Quarantined: `no_street_or_number`, `number_without_place` (a number and nothing
        else), `number_without_digit`, and what `corrected_cells` refuses.
        """
        return _records(_sifted(raw, request, rejects))

    def licences(self, stated: str | None) -> tuple[str, ...]:
        """None is known before the files are: the description beside each outranks what is stated for all."""
        return ()

    def credits(self, request: ReadRequest) -> tuple[str, ...]:
        """The attribution that the description beside each file asks for."""
        files = raw_files(request.paths, suffixes=_SUFFIXES)
        return tuple(sorted({credit for file in files if (credit := credit_of(file))}))

    def companions(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """The descriptions of these files."""
        return tuple(sorted({found for path in paths if (found := companion_description(path))}))


def _demand_table(file: RawFile, request: ReadRequest) -> None:
    """Raises CorpusError where no member is an address table, or where the facts of one are not told."""
    found = False
    with open_members(file) as members:
        for label, stream in members:
            start, whole = peek(stream)
            if not _OTHER_LAYERS.search(label) and (_is_json(start) or is_table(whole, label, LAYOUT)):
                found = True
                _facts(file, label, request)
    if not found:
        raise CorpusError(
            f"{file.path}: holds no address table, expected {LAYOUT.title}. Check the input of the source."
        )


def _facts(file: RawFile, label: str, request: ReadRequest) -> FileFacts:
    return facts_of(file, request, label.removeprefix(file.label).lstrip("/") or None)


def _record_end(file: RawFile) -> RecordEnd | None:
    return after_any_line if is_plain(file) and _is_json(_start_of(file)) else record_end(file, LAYOUT)


def _start_of(file: RawFile) -> bytes:
    """The first bytes of a plain file, whichever stretch of it is read."""
    with open_members(file.whole) as members:
        return peek(next(members)[1])[0]


def _read_file(file: RawFile, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    with open_members(file) as members:
        for label, stream in members:
            if _OTHER_LAYERS.search(label):
                rejects.filtered("no_address_table")
                continue
            start, whole = (_start_of(file), stream) if file.begin else peek(stream)
            if _is_json(start):
                batches = read_features(whole, _NAMES, label=label, rejects=rejects, first_line=file.first_line)
            else:
                batches = read_table(whole, label, LAYOUT, rejects, file=file)
            yield from _with_facts(batches, partial(_facts, file, label, request))


def _with_facts(batches: Iterator[pa.RecordBatch], facts: Callable[[], FileFacts]) -> Iterator[pa.RecordBatch]:
    """The batches of one table, with what holds for all of its rows as columns; without rows nothing is asked."""
    known = None
    for batch in batches:
        known = known or facts()
        stated = {"country_code": known.country, "state": known.state, "license": known.licence}
        for name, value in stated.items():
            batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), batch.num_rows))
        yield batch


def _is_json(start: bytes) -> bool:
    """Told by the first sign of the text, for v2 files are called .geojson, .json and .txt."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n\x1e").startswith((b"{", b"["))


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records, with tidy values and nulls for what says nothing."""
    batch = columns.of_wanted_countries(columns.tidied(batch, _NAMES), request, rejects)
    for name in ("NUMBER", "POSTCODE"):
        whole = columns.whole_numbers(batch[name])
        batch = batch.set_column(batch.schema.get_field_index(name), name, whole)
    batch = columns.blanked(batch, "NUMBER", pc.match_substring_regex(batch["NUMBER"], "^0+$"))
    batch = columns.blanked(batch, "STREET", pc.invert(pc.match_substring_regex(batch["STREET"], r"[\p{L}\p{N}]")))
    batch = columns.blanked(batch, "POSTCODE", pc.match_substring(batch["POSTCODE"], ";"))
    for name in ("CITY", "DISTRICT", "REGION"):
        batch = columns.blanked(batch, name, pc.invert(pc.match_substring_regex(batch[name], r"\p{L}")))
    batch = corrected_cells(batch, rejects)
    number, street = batch["NUMBER"], batch["STREET"]
    nothing = pc.and_(pc.is_null(number), pc.is_null(street))
    batch = columns.quarantined(batch, nothing, reason="no_street_or_number", detail="STREET", rejects=rejects)
    wordy = pc.invert(pc.match_substring_regex(batch["NUMBER"], r"\p{N}"))
    batch = columns.quarantined(batch, wordy, reason="number_without_digit", detail="NUMBER", rejects=rejects)
    alone = pc.is_null(pc.coalesce(*(batch[name] for name in ("STREET", "CITY", "DISTRICT", "REGION", "POSTCODE"))))
    return columns.quarantined(batch, alone, reason="number_without_place", detail="NUMBER", rejects=rejects)


def _records(batch: pa.RecordBatch) -> pa.RecordBatch:
    country = batch["country_code"]
    locality, district = _towns_and_districts(batch)
    region = pc.coalesce(batch["REGION"], batch["state"])
    american = pc.equal(country, "US")
    postcode = pc.if_else(american, columns.zip_codes(batch["POSTCODE"]), batch["POSTCODE"])
    return record_batch(
        {
            "source_id": batch["source_id"],
            "base_id": columns.address_family_ids(
                country, house_number=batch["NUMBER"], street=batch["STREET"], locality=locality, postcode=postcode
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": batch["license"],
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "house_number": batch["NUMBER"],
            "street": batch["STREET"],
            "unit": batch["UNIT"],
            "locality": locality,
            "subregion": columns.null_if_same(district, locality),
            "region": region,
            "postcode": postcode,
        }
    )


def _towns_and_districts(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """CITY as people write it; an American county that was filed there is the district, where there is no other."""
    country, city = batch["country_code"], batch["CITY"]
    american = pc.equal(country, "US")
    town, county = us_towns_and_counties(pc.if_else(american, city, None), pc.coalesce(batch["REGION"], batch["state"]))
    french = without_arrondissements(pc.if_else(pc.equal(country, "FR"), city, None))
    return pc.if_else(american, town, pc.coalesce(french, city)), pc.coalesce(batch["DISTRICT"], county)
