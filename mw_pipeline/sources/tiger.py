"""TIGER/Line ADDRFEAT: the ranges of house numbers along every named road of the United States, county by county.

Format: the dBASE table of a shapefile (`tl_2021_30059_addrfeat.dbf`), or the zip that it comes in. Needed: TLID,
FULLNAME, and the four ends of the ranges. The shapes are not read.
Licence: public domain (a work of the US government).

Columns to tags: FULLNAME → street; a number within LFROMHN to LTOHN, or RFROMHN to RTOHN → house_number; ZIPL and
PLUS4L, or ZIPR and PLUS4R → postcode; the state that the file name tells (`tl_YEAR_SSCCC_`, FIPS) → region.

One record per side that has a range. Its number is drawn by a hash of the seed, the edge and the range, on the
side's parity: the same whenever the file is read, and the same for each of the edge's names.

Oddities: an edge (TLID) has a record for each of its names ("Hwy 360", "State Hwy 360") and range: they are one family.
Ranges run either way, and their ends may be hyphenated ("31-01") or begin with letters ("N6W230"). No town is told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import us_states_by_fips
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Portion, RawFile, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.dbase import read_head, read_records
from mw_pipeline.sources.portions import portions_of, read_files
from mw_pipeline.sources.reading import open_members, raw_files
from mw_pipeline.sources.regions import region_keys
from mw_pipeline.sources.streams import ByteStream

_NEEDED = ("TLID", "FULLNAME", "LFROMHN", "LTOHN", "RFROMHN", "RTOHN")
_NAMES = (*_NEEDED, "ZIPL", "ZIPR", "PLUS4L", "PLUS4R", "PARITYL", "PARITYR")

_FILE_NAME = re.compile(r"tl_[0-9]{4}_(?P<state>[0-9]{2})[0-9]{3}_addrfeat\.dbf(?:\.gz|\.zst)?$", re.IGNORECASE)
_RANGE_END = re.compile(r"(?P<prefix>(?:[0-9A-Z]*[A-Z-])?)(?P<digits>[0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True)
class Tiger:
    """Adapter of `tl_YEAR_SSCCC_addrfeat.dbf` or `.zip`, and of folders of them."""

    name: str = "tiger"
    licence: str = columns.US_PUBLIC_DOMAIN
    attribution: str = "U.S. Census Bureau, TIGER/Line Shapefiles"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The fields of every road, with the state that the name of its file tells.

        Filtered: `deleted_record`. Quarantined: `bad_record`. Raises CorpusError, before the first batch, for a file
        that is not such a table or whose name does not tell the state.
        """
        return read_files(request, self.portions, partial(_edges, rejects=rejects))

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """The files of some counties together."""
        files = raw_files(request.paths, suffixes=(".dbf",))
        for file in files:
            for label, stream in _tables(file):
                _state_of(label)
                read_head(stream, _NEEDED, label=label)
        yield from portions_of(files, request.portion_bytes)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per side of a road that has a range of numbers.

        Filtered: `country_not_wanted`, `no_range` (a road without a range on either side). Quarantined: `no_FULLNAME`,
        `odd_range` (a side whose ends do not belong together).
        """
        sifted = _sifted(raw, request, rejects)
        return pa.concat_batches(
            _records(_with_numbers(sifted, side, request.seed, rejects), side, request.licence or self.licence)
            for side in "LR"
        )


def _tables(file: RawFile) -> Iterator[tuple[str, ByteStream]]:
    """The dBASE tables of a file: itself, or the one in the archive of a shapefile."""
    found = False
    with open_members(file) as members:
        for label, stream in members:
            if label == file.label or label.lower().endswith(".dbf"):
                found = True
                yield label, stream
    if not found:
        raise CorpusError(f"{file.path}: the archive holds no .dbf table. Fetch the ADDRFEAT archive of a county.")


def _state_of(label: str) -> str:
    named = _FILE_NAME.search(label)
    state = us_states_by_fips().get(named["state"]) if named else None
    if state is None:
        raise CorpusError(
            f"{label}: its name does not tell the state: expected tl_YEAR_SSCCC_addrfeat.dbf, SS being a FIPS code. "
            "Give the file its own name back."
        )
    return state


def _edges(file: RawFile, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """The records of a file, with its state as a column."""
    for label, stream in _tables(file):
        table = read_head(stream, _NEEDED, label=label)
        for batch in read_records(stream, table, _NAMES, label=label, rejects=rejects):
            yield batch.append_column("state", columns.constant(_state_of(label), batch))


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The records with a name and a range."""
    batch = columns.tidied(batch, _NAMES).append_column("country_code", columns.constant("US", batch))
    batch = columns.of_wanted_countries(batch, request, rejects)
    no_name = pc.is_null(batch["FULLNAME"])
    batch = columns.quarantined(batch, no_name, reason="no_FULLNAME", detail="FULLNAME", rejects=rejects)
    none = pc.is_null(pc.coalesce(*(batch[name] for name in _NEEDED[2:])))
    return columns.filtered(batch, none, name="no_range", rejects=rejects)


def _with_numbers(batch: pa.RecordBatch, side: str, seed: int, rejects: Rejects) -> pa.RecordBatch:
    """The records that have a range on a side, with a number of it."""
    of_side = batch.filter(pc.is_valid(pc.coalesce(batch[f"{side}FROMHN"], batch[f"{side}TOHN"])))
    of_side = of_side.append_column("number", _drawn(of_side, side, seed))
    odd = pc.is_null(of_side["number"])
    return columns.quarantined(of_side, odd, reason="odd_range", detail=f"{side}FROMHN", rejects=rejects)


def _drawn(batch: pa.RecordBatch, side: str, seed: int) -> pa.StringArray:
    names = ("TLID", f"{side}FROMHN", f"{side}TOHN", f"PARITY{side}")
    rows = zip(*(batch[name].to_pylist() for name in names), strict=True)
    numbers = [
        drawn_number(first, last, both=parity == "B", key=f"{seed}|{edge}|{side}|{first}|{last}")
        for edge, first, last, parity in rows
    ]
    return pa.array(numbers, pa.string())


def drawn_number(first: str | None, last: str | None, *, both: bool, key: str) -> str | None:
    """A number between the ends, whichever is larger: by a hash of the key, so that it never changes.

    It has the parity of the ends, unless they differ or `both` parities occur; what the ends begin with alike, such as
    "31-", it begins with too. None where they do not belong together.
    """
    ends = [_RANGE_END.fullmatch(end or "") for end in (first, last)]
    if not ends[0] or not ends[1] or ends[0]["prefix"].upper() != ends[1]["prefix"].upper():
        return None
    low, high = sorted(int(end["digits"]) for end in ends if end)
    step = 1 if both or (high - low) % 2 else 2
    draw = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    number = low + step * (draw % ((high - low) // step + 1))
    width = len(ends[0]["digits"]) if ends[0]["digits"].startswith("0") else 0
    return f"{ends[0]['prefix']}{number:0{width}d}"


def _records(batch: pa.RecordBatch, side: str, licence: str) -> pa.RecordBatch:
    country, region = batch["country_code"], batch["state"]
    postcode = columns.zip_codes(batch[f"ZIP{side}"], batch[f"PLUS4{side}"])
    return record_batch(
        {
            "source_id": pc.binary_join_element_wise(batch["source_id"], side, ""),
            "base_id": columns.family_ids(country, columns.constant("tiger", batch), batch["TLID"]),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "house_number": batch["number"],
            "street": batch["FULLNAME"],
            "region": region,
            "postcode": postcode,
        }
    )
