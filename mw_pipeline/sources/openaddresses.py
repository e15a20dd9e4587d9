"""OpenAddresses: address points that governments publish, collected in one shape.

Format: v1 is a comma CSV with LON,LAT,NUMBER,STREET,UNIT,CITY,DISTRICT,REGION,POSTCODE,ID[,HASH] in any order, or GEOM
for LON,LAT; v2 is GeoJSON, one Feature per line, with the same names in lower case as properties. Both UTF-8. Needed:
NUMBER or STREET.
Licence: that of each file's own source, see openaddresses_facts; share-alike is refused unless allowed.

Columns to tags: NUMBER → house_number; STREET → street, in the case it is written in (often upper); UNIT → unit; CITY →
locality; DISTRICT → subregion; REGION, or the state that the folders tell → region; POSTCODE → postcode.

Oddities: values may be blank, null, or spell that out ("<Null>", "n/a"). A number of zeros means none. Some sources put
a code into CITY ("02") or every code of the town into POSTCODE ("06000;06100"): dropped. ZIP codes may have lost their
leading zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.records import ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import check_header, read_delimited
from mw_pipeline.sources.feature_lines import read_features
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.openaddresses_facts import UNKNOWN_LICENCE, FileFacts, description_beside, facts_of
from mw_pipeline.sources.reading import RawFile, opened, raw_files
from mw_pipeline.sources.regions import region_keys

_NAMES = ("NUMBER", "STREET", "UNIT", "CITY", "DISTRICT", "REGION", "POSTCODE")

LAYOUT = Layout(
    title="OpenAddresses: a comma CSV with NUMBER or STREET, or GeoJSON with one Feature per line",
    delimiter=",",
    needed=(),
    needed_one_of=("NUMBER", "STREET"),
    optional=("UNIT", "CITY", "DISTRICT", "REGION", "POSTCODE"),
)

_SAYS_NOTHING = r"(?i)^(<?null>?|none|n/a|na|unknown|s/n|-+)$"


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

        Quarantined: what `read_delimited` and `read_features` refuse. Raises CorpusError as `facts_of` does.
        """
        files = raw_files(request.paths, suffixes=(".csv", ".geojson"))
        facts = {file: facts_of(file, request) for file in files}
        readers = {file: _read_v2 if _is_json(file) else _read_v1 for file in files}
        for file in files:
            if readers[file] is _read_v1:
                check_header(file, LAYOUT)
        batches = (batch for file in files for batch in _with_facts(readers[file](file, rejects), facts[file]))
        yield from columns.at_most(batches, request.max_records)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per address point.

        Filtered: `country_not_wanted`. Quarantined: `no_street_or_number`, `number_without_place` (a number and nothing
        else), `number_without_digit`.
        """
        return _records(_sifted(raw, request, rejects))

    def credits(self, request: ReadRequest) -> tuple[str, ...]:
        """The attribution that the description beside each file asks for."""
        files = raw_files(request.paths, suffixes=(".csv", ".geojson"))
        return tuple(sorted({credit for file in files if (credit := facts_of(file, request).credit)}))

    def beside(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """The descriptions of these files."""
        return tuple(sorted({found for path in paths if (found := description_beside(path))}))


def _with_facts(batches: Iterator[pa.RecordBatch], known: FileFacts) -> Iterator[pa.RecordBatch]:
    """The batches of one file, with what holds for all of its rows as columns."""
    stated = {"country_code": known.country, "state": known.state, "license": known.licence}
    for batch in batches:
        for name, value in stated.items():
            batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), batch.num_rows))
        yield batch


def _read_v1(file: RawFile, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    yield from read_delimited([file], LAYOUT, rejects)


def _read_v2(file: RawFile, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    with opened(file) as members:
        for label, stream in members:
            yield from read_features(stream, _NAMES, label=label, rejects=rejects)


def _is_json(file: RawFile) -> bool:
    """Told by the first byte of the text, for v2 files are called .geojson, .json and .txt."""
    with opened(file) as members:
        return any(stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) for _, stream in members)


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records, with tidy values and nulls for what says nothing."""
    batch = columns.of_wanted_countries(columns.tidied(batch, _NAMES), request, rejects)
    for name in _NAMES:
        batch = columns.blanked(batch, name, pc.match_substring_regex(batch[name], _SAYS_NOTHING))
    batch = columns.blanked(batch, "NUMBER", pc.match_substring_regex(batch["NUMBER"], "^0+$"))
    batch = columns.blanked(batch, "STREET", pc.invert(pc.match_substring_regex(batch["STREET"], r"[\p{L}\p{N}]")))
    batch = columns.blanked(batch, "POSTCODE", pc.match_substring(batch["POSTCODE"], ";"))
    for name in ("CITY", "DISTRICT", "REGION"):
        batch = columns.blanked(batch, name, pc.invert(pc.match_substring_regex(batch[name], r"\p{L}")))
    number, street = batch["NUMBER"], batch["STREET"]
    nothing = pc.and_(pc.is_null(number), pc.is_null(street))
    batch = columns.quarantined(batch, nothing, reason="no_street_or_number", detail="STREET", rejects=rejects)
    wordy = pc.invert(pc.match_substring_regex(batch["NUMBER"], r"\p{N}"))
    batch = columns.quarantined(batch, wordy, reason="number_without_digit", detail="NUMBER", rejects=rejects)
    alone = pc.is_null(pc.coalesce(*(batch[name] for name in ("STREET", "CITY", "DISTRICT", "REGION", "POSTCODE"))))
    return columns.quarantined(batch, alone, reason="number_without_place", detail="NUMBER", rejects=rejects)


def _records(batch: pa.RecordBatch) -> pa.RecordBatch:
    country, locality = batch["country_code"], batch["CITY"]
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
            "subregion": columns.unlike(batch["DISTRICT"], locality),
            "region": region,
            "postcode": postcode,
        }
    )
