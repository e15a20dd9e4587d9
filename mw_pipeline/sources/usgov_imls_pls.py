"""IMLS Public Libraries Survey, outlet file: every public library building of the United States.

Format: comma CSV in Windows-1252, one file per fiscal year. Needed: LIBNAME, ADDRESS, CITY. Other columns differ from
year to year (C_FSCS is absent from some) and are found by name.
Licence: public domain (a work of the US government).

Columns to tags: LIBNAME → venue; ADDRESS → house_number, street, unit, po_box (see street_line); CITY → locality;
STABR → region, as its two letters; ZIP and ZIP4 → postcode.

Oddities: upper case throughout. "M" means missing, in ZIP4 for half of the rows and in ADDRESS for bookmobiles; later
years write -3 or -4. Codes that a spreadsheet has passed through have lost their leading zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.records import ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import Layout, read_delimited
from mw_pipeline.sources.reading import raw_files
from mw_pipeline.sources.regions import region_keys
from mw_pipeline.sources.street_line import PARTS, split_column

LAYOUT = Layout(
    title="the IMLS outlet file: a comma CSV with LIBNAME, ADDRESS and CITY",
    delimiter=",",
    needed=("LIBNAME", "ADDRESS", "CITY"),
    optional=("STABR", "FSCSKEY", "FSCS_SEQ", "ZIP", "ZIP4"),
    encoding="cp1252",
)

_MISSING = r"^(M|-[0-9]+)$"


@dataclass(frozen=True)
class UsgovImlsPls:
    """Adapter of `PLS_FYnn_Outlet_*.csv`, packed or not."""

    name: str = "usgov-imls-pls"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "Institute of Museum and Library Services, Public Libraries Survey"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """One record per outlet.

        Filtered: `country_not_wanted`. Quarantined: `no_LIBNAME`, `no_ADDRESS`, `no_CITY`, the reasons of
        `split_street_line`, and what `read_delimited` refuses.
        """
        files = raw_files(request.paths, suffixes=(".csv",))
        for batch in columns.at_most(read_delimited(files, LAYOUT, rejects), request.max_records):
            sifted = _sifted(batch, request, rejects)
            if sifted.num_rows:
                yield _records(sifted, request.licence or self.licence)


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records, with tidy values, nulls for what the survey marks as missing, and the parts of ADDRESS."""
    batch = columns.tidied(batch, LAYOUT.wanted)
    for name in LAYOUT.wanted:
        batch = columns.blanked(batch, name, pc.match_substring_regex(batch[name], _MISSING))
    batch = batch.append_column("country_code", columns.constant("US", batch))
    batch = columns.of_wanted_countries(batch, request, rejects)
    for name in LAYOUT.needed:
        batch = columns.quarantined(batch, pc.is_null(batch[name]), reason=f"no_{name}", detail=name, rejects=rejects)
    return split_column(batch, "ADDRESS", rejects)


def _records(batch: pa.RecordBatch, licence: str) -> pa.RecordBatch:
    country, region = batch["country_code"], batch["STABR"]
    postcode = columns.zip_codes(batch["ZIP"], batch["ZIP4"])
    outlet = pc.binary_join_element_wise(batch["FSCSKEY"], batch["FSCS_SEQ"], "-")
    return record_batch(
        {
            "source_id": pc.coalesce(outlet, batch["source_id"]),
            "base_id": columns.address_family_ids(
                country,
                house_number=batch["house_number"],
                street=pc.coalesce(batch["street"], batch["po_box"]),
                locality=batch["CITY"],
                postcode=postcode,
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "venue": batch["LIBNAME"],
            "locality": batch["CITY"],
            "region": region,
            "postcode": postcode,
            **{part: batch[part] for part in PARTS},
        }
    )
