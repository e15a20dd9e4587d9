"""The three tables of the corpus (record, row, quarantine), and the request and reject log that adapters share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from mw_pipeline.labels import STAGE3_TAGS

RECORD_BATCH_ROWS = 65_536
PORTION_BYTES = 16 << 20

TAG_COLUMNS: tuple[str, ...] = STAGE3_TAGS

# What an adapter yields: one address family member per row, one nullable column per tag.
# base_id names the family (near duplicates of one real address share it); region_key is "US:vermont" or "".
# raw is null unless the source is labelled text: then the first row of the record is that text, aligned.
# country_code is the ISO code of the record; the tag column `country` is what an address writes ("France", "USA").
RECORD_SCHEMA = pa.schema(
    [
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("base_id", pa.string(), nullable=False),
        pa.field("country_code", pa.string(), nullable=False),
        pa.field("locale", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("region_key", pa.string(), nullable=False),
        pa.field("raw", pa.string()),
        *(pa.field(tag, pa.string()) for tag in TAG_COLUMNS),
    ]
)

# An aligned row. Spans are Unicode code points into raw, end-exclusive, sorted, not overlapping.
ROW_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
        pa.field("components", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("country", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("base_id", pa.string(), nullable=False),
        pa.field("locale", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("method", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("region_key", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),
        pa.field("span_tags", pa.list_(pa.string()), nullable=False),
        pa.field("span_starts", pa.list_(pa.int32()), nullable=False),
        pa.field("span_ends", pa.list_(pa.int32()), nullable=False),
    ]
)

ROW_MEANINGS = {
    "row_id": "unique in the corpus",
    "raw": "the address as one text",
    "components": "tag → value",
    "country": "ISO 3166-1 alpha-2",
    "source": "name in the corpus spec",
    "source_id": "of the record in its source",
    "base_id": "of the address family: a record's variants share it, and one split holds them all",
    "locale": "language and country, as en-US",
    "license": "of the record",
    "method": "augmentations that made this variant, joined by +; null for none",
    "split": "train, validation or test",
    "region_key": "country and normalised region, as US:vermont; empty where the record names none",
    "place": "town of the record, whatever this variant writes: US:vermont:burlington; empty where it names none",
    "span_tags": "tag of each span, in the order of the text",
    "span_starts": "first code point of each span in raw",
    "span_ends": "code point after each span",
}
"""What the columns of ROW_SCHEMA hold."""

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)


def record_batch(columns: Mapping[str, pa.Array | Sequence[object]]) -> pa.RecordBatch:
    """A RECORD_SCHEMA batch from the columns at hand: nullable columns that are not given are null throughout."""
    rows = len(columns["source_id"])
    arrays = []
    for field_ in RECORD_SCHEMA:
        values = columns.get(field_.name)
        if values is None:
            assert field_.nullable, f"column {field_.name!r} must be given"
            arrays.append(pa.nulls(rows, field_.type))
        else:
            arrays.append(values if isinstance(values, pa.Array) else pa.array(values, field_.type))
    return pa.record_batch(arrays, schema=RECORD_SCHEMA)


@dataclass(frozen=True)
class RawFile:
    """One raw file, or a stretch of it: where it lies, and the short name that source ids and messages use for it.

    A stretch goes from byte `begin`, where a record begins, to byte `end`, where one ends; `first_line` is the number
    of its first line in the file. Without an `end` it is the whole file.
    """

    path: Path
    label: str
    begin: int = 0
    end: int | None = None
    first_line: int = 1

    @property
    def whole(self) -> RawFile:
        """The file that this is a stretch of."""
        return RawFile(self.path, self.label)


Portion = tuple[RawFile, ...]
"""What is read at once by one worker: some files, or a stretch of one."""


@dataclass(frozen=True)
class ReadRequest:
    """What one adapter is asked to read: already resolved paths, and the source's own settings.

    `country` is the country of a file that does not say it; `countries` are the ones the corpus wants (empty: all);
    `streets` is the share of the towns of a list that get a street; `other_names` how many times more each labelled
    text is told, of addresses of others. `portion`, where there is one, is what to read of
    the paths, and `portion_bytes` about how large an adapter cuts them.
    """

    paths: tuple[Path, ...]
    source: str
    country: str | None = None
    countries: tuple[str, ...] = ()
    seed: int = 0
    max_records: int | None = None
    licence: str | None = None
    share_alike_allowed: bool = False
    streets: float = 0.0
    other_names: int = 0
    portion: Portion = ()
    portion_bytes: int = PORTION_BYTES


@dataclass
class Rejects:
    """Every record that was read and not yielded: quarantined with a reason, or filtered by a named filter.

    An adapter calls `add` once per unusable record and `filtered` for records that are sound but not wanted, so that
    records read = records yielded + quarantined + filtered. `drain` hands the pending quarantine rows on, which keeps
    memory flat however many there are.
    """

    source: str
    counts: Counter[str] = field(default_factory=Counter)
    filters: Counter[str] = field(default_factory=Counter)
    _pending: list[tuple[int, str, str, str]] = field(default_factory=list)

    def add(self, line: int, source_id: str, reason: str, detail: str = "") -> None:
        """Quarantine one record. `reason` is a short stable name, `detail` quotes what was found."""
        self.counts[reason] += 1
        self._pending.append((line, source_id, reason, detail[:200]))

    def filtered(self, filter_name: str, n: int = 1) -> None:
        """Count n records that the named filter left out."""
        if n:
            self.filters[filter_name] += n

    @property
    def total(self) -> int:
        """Records quarantined and filtered, together."""
        return self.counts.total() + self.filters.total()

    @property
    def pending(self) -> int:
        """Quarantine rows added since the last drain."""
        return len(self._pending)

    def drain(self) -> pa.RecordBatch:
        """The quarantine rows added since the last drain, as QUARANTINE_SCHEMA; the counts stay."""
        columns: list[list[object]] = [[self.source] * len(self._pending)]
        columns += [[row[column] for row in self._pending] for column in range(4)]
        self._pending.clear()
        arrays = [pa.array(values, field_.type) for values, field_ in zip(columns, QUARANTINE_SCHEMA, strict=True)]
        return pa.record_batch(arrays, schema=QUARANTINE_SCHEMA)
