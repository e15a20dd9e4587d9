"""Reading a portion of the raw files, and the three steps that every piece of what was read takes: admitted, composed,
written. Files in, files and a receipt out.

A step reads what the step before left in the work folder and what it was told, nothing else: it can run in any
process, on any machine that sees the folder, once or again, and leaves the same bytes. Between the steps all pieces are
compared, so that what a piece repeats of an earlier one is left out.

    read/00012.0.arrow .rejects .json              what the adapter read of a portion, as it gave it
    records/00012.arrow .hashes .rejects .json     sound records of a piece with their split
    rows/00012.arrow .hashes .rejects .json        aligned rows of the records that were new
    parts/00012.parquet .keys .json                the rows whose text was new, and their keys
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.census import counts_of, summed
from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.cuts import Cut, read_cuts, write_runs
from mw_pipeline.corpus.intake import admit, component_keys, demand_records
from mw_pipeline.corpus.keys import keys_of, write_keys
from mw_pipeline.corpus.rows import SPANS_DO_NOT_FIT, Composed, compose_rows, labelled_mask, labelled_rows
from mw_pipeline.corpus.scripts import OTHER_SCRIPT_COUNTRIES, in_other_script
from mw_pipeline.corpus.seen import first_seen, rows_hashed, write_hashes
from mw_pipeline.corpus.shards import (
    PART_ROWS,
    Receipt,
    arrow_writer,
    read_arrow,
    write_arrow,
    write_receipt,
    write_rejects,
    write_rows,
)
from mw_pipeline.corpus.splits import TRAIN, in_holdout, place_fold, split_of
from mw_pipeline.corpus.waterfall import MethodFlow, Waterfall
from mw_pipeline.countries import writer_of
from mw_pipeline.recipe import CorpusSpec
from mw_pipeline.records.adapter import Adapter, records_of
from mw_pipeline.records.tables import QUARANTINE_SCHEMA, RECORD_SCHEMA, ROW_SCHEMA, ReadRequest, Rejects
from mw_pipeline.records.text import hash64, kept, mask_of

READ, RECORDS, ROWS, PARTS = "read", "records", "rows", "parts"
REPEATS = "repeats"

MAX_PIECE_RECORDS = 32_768
_MAX_HELD_REJECTS = 1_000  # before they are written


@dataclass(frozen=True)
class Job:
    """What every piece of a build has to know. `request` is a digest of its inputs, config and code."""

    spec: CorpusSpec
    source: str
    adapter: Adapter
    work: Path
    request: str

    def reading(self, paths: Sequence[Path] = ()) -> ReadRequest:
        """What the adapter is asked; without paths where nothing is read any more."""
        settings = self.spec.sources[self.source]
        return ReadRequest(
            paths=tuple(paths),
            source=self.source,
            country=settings.country,
            countries=self.spec.countries,
            seed=self.spec.seed,
            max_records=settings.max_records,
            licence=settings.licence,
            share_alike_allowed=settings.share_alike_allowed,
            streets=settings.streets,
            other_names=settings.other_names,
        )

    @property
    def piece_records(self) -> int:
        """Records of a piece: their rows fill one shard, however many variants there are."""
        return max(1, min(MAX_PIECE_RECORDS, PART_ROWS // self.spec.variants))

    @property
    def doses(self) -> dict[str, float]:
        """The share of later variants that takes each method: the first takes none, and a dose is a share of all."""
        later_share = (self.spec.variants - 1) / self.spec.variants
        doses = self.spec.augmentations.model_dump()
        return {name: min(1.0, dose / later_share) if later_share else 0.0 for name, dose in doses.items()}

    def path(self, step: str, piece: int, suffix: str) -> Path:
        """A file of a piece."""
        return self.work / step / f"{piece:05d}{suffix}"

    def run_path(self, portion: int, run: int) -> Path:
        """The file of a run of batches of a portion."""
        return self.path(READ, portion, f".{run}.arrow")

    def repeats_path(self, step: str) -> Path:
        """The folder that says which records, or rows, were there before."""
        return self.work / step / REPEATS

    def waterfall(self) -> Waterfall:
        """An empty waterfall of the source."""
        return Waterfall(self.source, self.spec.sources[self.source].adapter, self.spec.variants)


def read_portion(job: Job, portion: int, reading: ReadRequest) -> Receipt:
    """What the adapter reads of a portion, in batches as it yields them; what it does not yield is written down.

    Raises CorpusError as the adapter does: for a file of another format before anything is written.
    """
    rejects = Rejects(job.source)
    batches = job.adapter.read(reading, rejects)
    first = next(batches, None)
    turned_away = job.path(READ, portion, ".rejects")
    turned_away.parent.mkdir(parents=True, exist_ok=True)
    with arrow_writer(turned_away, QUARANTINE_SCHEMA) as writer:
        whole = chain([] if first is None else [first], batches)
        runs = write_runs(partial(job.run_path, portion), _writing_rejects(whole, rejects, writer))
    flow = job.waterfall()
    flow.records.read = rejects.total
    flow.records.quarantined, flow.records.filtered = rejects.counts, rejects.filters
    files = [turned_away, *(job.run_path(portion, run) for run in range(len(runs)))]
    return _signed(job, READ, portion, files, {"waterfall": flow.as_json(), "runs": runs})


def _writing_rejects(
    batches: Iterator[pa.RecordBatch], rejects: Rejects, writer: pa.ipc.RecordBatchFileWriter
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if rejects.pending >= _MAX_HELD_REJECTS:
            writer.write_batch(rejects.drain())
        yield batch
    if rejects.pending:
        writer.write_batch(rejects.drain())


def admit_piece(job: Job, piece: int, cuts: Sequence[Cut]) -> Receipt:
    """The records of a piece that are sound and wanted, with their split and a hash of each.

    Raises CorpusError when the records are not of RECORD_SCHEMA, which is the adapter's mistake and not the file's.
    """
    unread = Rejects(job.source)
    made = records_of(job.adapter, read_cuts(job.run_path, cuts), job.reading(), unread)
    demand_records(made, job.source)
    flow = job.waterfall()
    flow.records.read = made.num_rows + unread.total
    admitted = _in_script_dose(job, piece, admit(made, job.spec.countries, unread), unread)
    flow.records.quarantined, flow.records.filtered = unread.counts, unread.filters
    records, hashes, rejects = (job.path(RECORDS, piece, suffix) for suffix in (".arrow", ".hashes", ".rejects"))
    table = pa.Table.from_batches([admitted]).append_column("split", _splits(job, admitted))
    write_arrow(records, [table], _split_record_schema())
    write_hashes(hashes, component_keys(admitted))
    files = [records, hashes, *write_rejects(rejects, unread)]
    return _signed(job, RECORDS, piece, files, {"waterfall": flow.as_json(), "admitted": len(table)})


def _splits(job: Job, records: pa.RecordBatch) -> pa.StringArray:
    return split_of(
        records["base_id"],
        records["region_key"],
        validation_share=job.spec.validation_share,
        test_share=job.spec.test_share,
        holdout_regions=job.spec.holdout_regions,
        place_folds=_place_folds(job, records),
    )


def _place_folds(job: Job, records: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int8]:
    countries, localities = (_column(records, name) for name in ("country_code", "locality"))
    return place_fold(countries, localities, job.spec.holdout_places_share)


def _held_out(job: Job, records: pa.Table) -> int:
    """Records of the places and regions that are kept out of training."""
    in_region = in_holdout(_column(records, "region_key"), job.spec.holdout_regions)
    return int((in_region | (_place_folds(job, records) != TRAIN)).sum())


def _in_script_dose(job: Job, piece: int, records: pa.RecordBatch, unread: Rejects) -> pa.RecordBatch:
    """At most the dosed share of records in another script than Latin; a country that the corpus lists and that
    writes its own script is not counted among them."""
    dose = job.spec.augmentations.other_script
    at_home = [code for code in job.spec.countries if code in OTHER_SCRIPT_COUNTRIES.split()]
    foreign = in_other_script(pc.fill_null(records[tag], "") for tag in LINE_TAGS)
    foreign &= ~mask_of(pc.is_in(records["country_code"], value_set=pa.array(at_home, pa.string())))
    wanted_share = 1.0 if dose == 1 else dose / (1 - dose) * (~foreign).sum() / max(1, foreign.sum())
    rng = np.random.default_rng([job.spec.seed, *job.source.encode(), piece])
    surplus = foreign & (rng.random(len(foreign)) >= wanted_share)
    unread.filtered("other_script_dose", int(surplus.sum()))
    return kept(records, ~surplus)


def _split_record_schema() -> pa.Schema:
    return RECORD_SCHEMA.append(pa.field("split", pa.string()))


def compose_piece(job: Job, piece: int) -> Receipt:
    """The rows of those records of a piece that no earlier one repeats: country by country, variant by variant."""
    admitted = pa.Table.from_batches(read_arrow(job.path(RECORDS, piece, ".arrow")), schema=_split_record_schema())
    new = first_seen(job.repeats_path(RECORDS), f"{piece:05d}", len(admitted))
    records = kept(admitted, new).combine_chunks()
    flow, unfit = job.waterfall(), Rejects(job.source)
    flow.records.kept, flow.records.deduplicated = int(new.sum()), int((~new).sum())
    flow.holdout_records = _held_out(job, records)
    rows, hashes, rejects = (job.path(ROWS, piece, suffix) for suffix in (".arrow", ".hashes", ".rejects"))
    hashed = [np.empty(0, np.uint64)]

    def composed() -> Iterator[pa.Table]:
        for of_records, made in _composed(job, piece, records):
            _count(flow, of_records, made, unfit)
            hashed.append(hash64(_column(made.rows, "raw")))
            yield made.rows

    write_arrow(rows, composed(), ROW_SCHEMA)
    write_hashes(hashes, np.concatenate(hashed))
    flow.rows.quarantined = unfit.counts.copy()
    files = [rows, hashes, *write_rejects(rejects, unfit)]
    return _signed(job, ROWS, piece, files, {"waterfall": flow.as_json()})


def _composed(job: Job, piece: int, records: pa.Table) -> Iterator[tuple[pa.Table, Composed]]:
    codes = _column(records, "country_code").dictionary_encode()
    writers = [writer_of(code) for code in codes.dictionary.to_pylist()]
    for place, writer in enumerate(dict.fromkeys(writers)):
        its_own = np.array([other == writer for other in writers])[codes.indices.to_numpy()]
        for variant in range(job.spec.variants):
            rng = np.random.default_rng([job.spec.seed, *job.source.encode(), piece, place, variant])
            yield from _variant(job, kept(records, its_own), variant, rng)


def _variant(
    job: Job, records: pa.Table, variant: int, rng: np.random.Generator
) -> Iterator[tuple[pa.Table, Composed]]:
    labelled = labelled_mask(records) if variant == 0 else np.zeros(len(records), np.bool_)
    plain, given = kept(records, ~labelled), kept(records, labelled)
    if len(plain):
        yield plain, compose_rows(plain, source=job.source, variant=variant, doses=job.doses, rng=rng)
    if len(given):
        yield given, labelled_rows(given, source=job.source)


def _count(flow: Waterfall, records: pa.Table, composed: Composed, unfit: Rejects) -> None:
    flow.rows.read += len(records)
    for name, tally in composed.tallies.items():
        flow.methods[name] = flow.methods.get(name, MethodFlow())
        flow.methods[name] += tally
    for index, reason, detail in composed.unfit:
        unfit.add(records["line"][index].as_py(), records["source_id"][index].as_py(), reason, detail)
        for name in detail.split("+") if reason == SPANS_DO_NOT_FIT and detail else ():
            flow.methods[name].quarantined += 1


def write_part(job: Job, piece: int) -> Receipt:
    """One shard with its keys: the rows of a piece whose text the source did not have before, counted by what they
    are."""
    flow, counts, keyed = job.waterfall(), [], []
    hashes = job.path(ROWS, piece, ".hashes")
    new = first_seen(job.repeats_path(ROWS), hashes.stem, rows_hashed(hashes))

    def distinct() -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in read_arrow(job.path(ROWS, piece, ".arrow")):
            part = kept(batch, new[at : at + batch.num_rows])
            at += batch.num_rows
            counts.append(counts_of(pa.Table.from_batches([part])))
            keyed.append(keys_of(part))
            yield part

    path, keys = job.path(PARTS, piece, ".parquet"), job.path(PARTS, piece, ".keys")
    write_rows(path, distinct())
    write_keys(keys, keyed)
    flow.rows.kept, flow.rows.deduplicated = int(new.sum()), int((~new).sum())
    return _signed(job, PARTS, piece, [path, keys], {"waterfall": flow.as_json(), "counts": summed(counts)})


def _signed(job: Job, step: str, piece: int, files: list[Path], facts: dict[str, object]) -> Receipt:
    return write_receipt(job.path(step, piece, ".json"), request=job.request, piece=piece, files=files, facts=facts)


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = table[name]
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
