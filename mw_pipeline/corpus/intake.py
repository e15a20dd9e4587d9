"""The door of the corpus: what an adapter yields is tidied, and what cannot be an address is quarantined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.mojibake import misdecoded
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RECORD_SCHEMA, TAG_COLUMNS, Rejects
from mw_pipeline.records.text import (
    Hashes,
    Mask,
    canonical,
    edited,
    hash64,
    kept,
    mask_of,
    plain,
    utf8_bytes,
    without_placeholders,
    without_remarks,
)

MAX_VALUE_LENGTH = 200

# Control characters other than white space, and the sign that stands for bytes nobody could decode.
_UNPRINTABLE = r"[\x{0000}-\x{0008}\x{000E}-\x{001F}\x{007F}-\x{0084}\x{0086}-\x{009F}\x{FFFD}]"

_PLACES = ("locality", "dependent_locality")

NO_RECORDS = pa.RecordBatch.from_pylist([], schema=RECORD_SCHEMA)


def admit(batch: pa.RecordBatch, countries: Sequence[str], rejects: Rejects) -> pa.RecordBatch:
    """The records of a batch that can become rows, with tidy values; all others are counted in `rejects`.

    Values are NFC with single spaces; a value without a letter or digit counts as absent, and so does one that says so
    ("undefined"), but for the name of a town. Records that carry their text keep their values as they stand in it; of
    all others a remark in brackets at the end of a value is cut.
    """
    reasons = _faults(batch)
    tidied = _tidied(batch)
    reasons.setdefault("empty_record", _absent(tidied))
    keep = np.ones(batch.num_rows, np.bool_)
    for reason, faulty in reasons.items():
        for row in np.flatnonzero(keep & faulty):
            _reject(batch, int(row), reason, rejects)
        keep &= ~faulty
    if countries:
        wanted = mask_of(pc.is_in(pc.fill_null(batch["country_code"], ""), value_set=pa.array(list(countries))))
        rejects.filtered("country_not_in_corpus", int((keep & ~wanted).sum()))
        keep &= wanted
    return kept(tidied, keep)


def component_keys(batch: pa.RecordBatch) -> Hashes:
    """(N,): a hash of each record's country and components, equal for records that differ in case alone."""
    parts = [
        batch["country_code"],
        *(pc.fill_null(batch[tag], "") for tag in TAG_COLUMNS),
        pc.fill_null(batch["raw"], ""),
    ]
    return hash64(pc.utf8_lower(pc.binary_join_element_wise(*parts, "\x1f")))


def demand_records(batch: pa.RecordBatch, source: str) -> None:
    """Raises CorpusError unless the batch is of RECORD_SCHEMA."""
    if batch.schema.names != RECORD_SCHEMA.names or batch.schema.types != RECORD_SCHEMA.types:
        raise CorpusError(
            f"source {source!r} yielded columns {', '.join(batch.schema.names)}, expected RECORD_SCHEMA: "
            f"{', '.join(RECORD_SCHEMA.names)}. Build batches with records.tables.record_batch."
        )


def _faults(batch: pa.RecordBatch) -> dict[str, Mask]:
    """The rows that each reason speaks against, as the adapter gave them; the first reason that fits is the one."""
    identified = pc.and_(pc.not_equal(batch["source_id"], ""), pc.not_equal(batch["base_id"], ""))
    faults = {
        "no_country": ~_holds(pc.match_substring_regex(batch["country_code"], "^[A-Z]{2}$")),
        "no_id": ~_holds(identified),
        "mojibake": np.zeros(batch.num_rows, np.bool_),
        "control_character": np.zeros(batch.num_rows, np.bool_),
        "value_too_long": np.zeros(batch.num_rows, np.bool_),
    }
    for name in (*_written(batch), "raw"):
        odd = np.flatnonzero(~plain(batch[name]) | (_bytes_of(batch[name]) > MAX_VALUE_LENGTH))
        values = batch[name].take(pa.array(odd))
        faults["mojibake"][odd] |= misdecoded(values)
        faults["control_character"][odd] |= _holds(pc.match_substring_regex(values, _UNPRINTABLE))
        faults["value_too_long"][odd] |= _holds(pc.greater(pc.utf8_length(values), MAX_VALUE_LENGTH))
    return faults


def _tidied(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: batch[name] for name in batch.schema.names}
    columns |= {tag: _value(tag, batch) for tag in _written(batch)}
    columns["raw"] = edited(batch["raw"], ~plain(batch["raw"]), _trimmed_nfc)
    return pa.record_batch(list(columns.values()), schema=RECORD_SCHEMA)


def _value(tag: str, batch: pa.RecordBatch) -> pa.StringArray:
    """A column of values in which only places say that there is none: in Piedmont there is a town called None."""
    values = canonical(batch[tag])
    if batch["raw"].null_count < batch.num_rows:
        return values
    values = without_remarks(values)
    return values if tag in _PLACES else without_placeholders(values)


def _trimmed_nfc(texts: pa.StringArray) -> pa.StringArray:
    return pc.utf8_normalize(pc.utf8_trim_whitespace(texts), form="NFC")


def _absent(batch: pa.RecordBatch) -> Mask:
    empty = np.ones(batch.num_rows, np.bool_)
    for tag in LINE_TAGS:
        empty &= mask_of(pc.is_null(batch[tag]))
    return empty


def _reject(batch: pa.RecordBatch, row: int, reason: str, rejects: Rejects) -> None:
    record = batch.slice(row, 1).to_pylist()[0]
    detail = {name: record[name] for name in ("country_code", *TAG_COLUMNS) if record[name] is not None}
    rejects.add(record["line"], record["source_id"] or "", reason, repr(detail))


def _written(batch: pa.RecordBatch) -> list[str]:
    return [tag for tag in TAG_COLUMNS if batch[tag].null_count < batch.num_rows]


def _bytes_of(texts: pa.StringArray) -> npt.NDArray[np.int64]:
    return np.diff(utf8_bytes(texts)[0])


def _holds(flags: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return mask_of(pc.fill_null(flags, False))
