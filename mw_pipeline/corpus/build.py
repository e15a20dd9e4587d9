"""One source of a corpus, from raw files to shards: read in portions, cut into pieces, done piece by piece, joined.

Memory holds a few pieces, whatever the source. Everything that is done lies in a work folder with its receipt, so that
a build that was killed goes on where it stopped, and its bytes tell neither of the kill nor of who did the work.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mw_pipeline.corpus.census import summed
from mw_pipeline.corpus.cuts import cut_pieces
from mw_pipeline.corpus.keys import KEYS_FOLDER, keys_path, write_keys
from mw_pipeline.corpus.pieces import (
    PARTS,
    READ,
    RECORDS,
    ROWS,
    Job,
    admit_piece,
    compose_piece,
    read_portion,
    write_part,
)
from mw_pipeline.corpus.seen import mark_repeats
from mw_pipeline.corpus.shards import Receipt, find_receipt, read_arrow, write_quarantine, write_rows
from mw_pipeline.corpus.waterfall import Waterfall
from mw_pipeline.corpus.workers import Run, Task, in_process, working_in
from mw_pipeline.digest import write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.licences import asks_to_share_alike
from mw_pipeline.recipe import CorpusSpec
from mw_pipeline.records.adapter import Adapter, NamesUpstreams, ReadsPortions
from mw_pipeline.records.tables import PORTION_BYTES, ReadRequest

RECEIPTS_FILE = "receipts.jsonl"
_READ_FILE = "read.json"


@dataclass(frozen=True)
class SourceSummary:
    """What one source became: its waterfall, its shards in order, and its rows counted by what they are."""

    waterfall: Waterfall
    shards: tuple[Path, ...]
    counts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The waterfall with the counts and the names of the shards."""
        return {
            **self.waterfall.as_json(),
            "counts": self.counts,
            "shards": [path.name for path in self.shards],
        }


def build_from(
    spec: CorpusSpec,
    source: str,
    adapter: Adapter,
    paths: Sequence[Path],
    out: Path,
    progress: Callable[[str], None] = lambda line: None,
    *,
    work: Path | None = None,
    request: str = "",
    run: Run = in_process,
    portion_bytes: int = PORTION_BYTES,
) -> SourceSummary:
    """Writes shards/part-*.parquet, a file of their keys for each in keys/, quarantine.parquet, waterfall.json,
    counts.json and receipts.jsonl.

    `work` keeps what is done when the build is killed, interrupted, loses its workers or a disk; what it holds of the
    same `request`, a digest of inputs, config and code, is not done again. Who names it sweeps it when `out` is in its
    place. Without it nothing outlives the build. `run` reads the portions of the raw files, about `portion_bytes` each,
    and does the pieces: the bytes are the same whoever does them.
    Raises CorpusError for an input that is not of the adapter's format, before anything is written; for a source whose
    rows must be shared alike where the spec does not allow it; without the input that the adapter needs; and when
    `out` already holds shards.
    """
    _check_licence(spec, source, adapter)
    if adapter.needs_input and not paths:
        raise CorpusError(
            f"corpora/{spec.name}.toml: sources.{source}.input is missing: adapter {adapter.name!r} reads files. "
            "Name a file, or a pattern of files, below MW_DATA."
        )
    if (out / "shards").exists():
        raise CorpusError(f"{out}: already holds shards. Name another folder, or remove this one first.")
    job = Job(spec, source, adapter, work or out / ".work", request)
    with working_in(job.work, passing=work is None):
        return _Build(job, out, progress, run).summary(replace(job.reading(paths), portion_bytes=portion_bytes))


def _check_licence(spec: CorpusSpec, source: str, adapter: Adapter) -> None:
    settings = spec.sources[source]
    licence = settings.licence or adapter.licence
    if (adapter.share_alike or asks_to_share_alike(licence)) and not settings.share_alike_allowed:
        raise CorpusError(
            f"corpora/{spec.name}.toml: sources.{source}: rows of {adapter.name!r} ({licence}) must be "
            "shared alike. Leave the source out, or set share_alike_allowed = true."
        )


class _Build:
    """One build at work: what it was asked, who does its pieces, and what they have counted so far."""

    def __init__(self, job: Job, out: Path, progress: Callable[[str], None], run: Run) -> None:
        self._job, self._out, self._progress, self._run = job, out, progress, run
        self._waterfall = job.waterfall()

    def summary(self, reading: ReadRequest) -> SourceSummary:
        """Reads all portions, does all pieces of them, step by step, and puts them together."""
        read = self._read_receipts(reading)
        pieces = list(cut_pieces((receipt.facts["runs"] for receipt in read), self._job.piece_records))
        count = len(pieces)
        calls: Iterator[Any] = ((piece, (cuts,)) for piece, cuts in enumerate(pieces))
        receipts = {READ: read, RECORDS: self._run_step(RECORDS, admit_piece, calls, count)}
        for step, task, before in ((ROWS, compose_piece, RECORDS), (PARTS, write_part, ROWS)):
            files = [self._job.path(before, piece, ".hashes") for piece in range(count)]
            mark_repeats(files, self._job.repeats_path(before))  # again in a build that goes on: cheaper than to trust
            receipts[step] = self._run_step(step, task, ((piece, ()) for piece in range(count)), count)
        adapter = self._job.adapter
        return self._assemble(receipts, adapter.credits(reading) if isinstance(adapter, NamesUpstreams) else ())

    def _read_receipts(self, reading: ReadRequest) -> list[Receipt]:
        """The receipts of all portions. The raw files are looked at again when that was cut short, and only then."""
        marker = self._job.work / _READ_FILE
        if marker.exists():
            count = json.loads(marker.read_text(encoding="utf-8"))["portions"]
            found = [self._receipt(READ, portion) for portion in range(count)]
            sound = [receipt for receipt in found if receipt is not None]
            if len(sound) == count:
                self._report_found(READ, len(sound), f" of {count}")
                self._count(sound)
                return sound
        self._progress(f"{self._job.source}: the raw files are read")
        asked = ((portion, (of_portion,)) for portion, of_portion in enumerate(self._portions(reading)))
        receipts = self._run_step(READ, read_portion, asked, None)
        write_json_atomically(marker, {"portions": len(receipts)})
        return receipts

    def _portions(self, reading: ReadRequest) -> Iterator[ReadRequest]:
        """What is asked of the adapter, one after the other, or at once where only its order says what is left out."""
        adapter = self._job.adapter
        if isinstance(adapter, ReadsPortions) and reading.max_records is None:
            yield from (replace(reading, paths=(), portion=portion) for portion in adapter.portions(reading))
        else:
            yield reading

    def _run_step(
        self, step: str, task: Task, calls: Iterator[tuple[int, tuple[Any, ...]]], count: int | None
    ) -> list[Receipt]:
        """The receipts of a step in the order of the pieces; what is there already is not done again."""
        if step != READ:  # which makes its folder when it has found something to read
            (self._job.work / step).mkdir(exist_ok=True)
        receipts: dict[int, Receipt] = {}
        of_all = f" of {count}" if count is not None else ""

        def missing() -> Iterator[tuple[Any, ...]]:
            there = 0
            for piece, arguments in calls:
                if (found := self._receipt(step, piece)) is None:
                    yield (self._job, piece, *arguments)
                else:
                    receipts[piece] = found
                    self._count([found])
                    there += 1
            self._report_found(step, there, of_all)

        for receipt in self._run(task, missing()):
            receipts[receipt.piece] = receipt
            self._count([receipt])
            self._progress(f"{self._waterfall.one_line()} ({step}: {_unit(step)} {len(receipts)}{of_all})")
        return [receipts[piece] for piece in sorted(receipts)]

    def _receipt(self, step: str, piece: int) -> Receipt | None:
        return find_receipt(self._job.path(step, piece, ".json"), request=self._job.request)

    def _report_found(self, step: str, there: int, of_all: str) -> None:
        if there:
            self._progress(f"{self._job.source}: {step}: {there}{of_all} {_unit(step)}s are there already")

    def _count(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._waterfall += Waterfall.from_json(receipt.facts["waterfall"])

    def _assemble(self, receipts: dict[str, list[Receipt]], named: Sequence[str]) -> SourceSummary:
        """Shards, quarantine and counts in `out`. The work folder keeps its own, until the result is in its place."""
        shards = self._out / "shards"
        for folder in (shards, self._out / KEYS_FOLDER):
            folder.mkdir(parents=True)
        rows = [receipt for receipt in receipts[PARTS] if receipt.facts["counts"]["rows"]]
        paths = tuple(shards / f"part-{number:05d}.parquet" for number in range(max(1, len(rows))))
        for receipt, path in zip(rows, paths, strict=False):
            _link(self._job.path(PARTS, receipt.piece, ".parquet"), path)
            _link(self._job.path(PARTS, receipt.piece, ".keys"), keys_path(path))
        if not rows:
            write_rows(paths[0], ())
            write_keys(keys_path(paths[0]), ())
        write_quarantine(self._out / "quarantine.parquet", self._quarantined(receipts))
        counts = summed(receipt.facts["counts"] for receipt in receipts[PARTS]) | {"credits": list(named)}
        write_json_atomically(self._out / "waterfall.json", self._waterfall.as_json())
        write_json_atomically(self._out / "counts.json", counts)
        with (self._out / RECEIPTS_FILE).open("w", encoding="utf-8") as stream:
            for receipt, path in zip(rows, paths, strict=False):
                line = {"part": path.name, **receipt.as_json()}
                stream.write(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n")
        return SourceSummary(self._waterfall, paths, counts)

    def _quarantined(self, receipts: dict[str, list[Receipt]]) -> Iterator[pa.RecordBatch]:
        for portion in range(len(receipts[READ])):
            yield from read_arrow(self._job.path(READ, portion, ".rejects"))
        for piece in range(len(receipts[RECORDS])):
            for step in (RECORDS, ROWS):
                path = self._job.path(step, piece, ".rejects")
                if path.name in receipts[step][piece].files:
                    yield from read_arrow(path)


def _unit(step: str) -> str:
    return "portion" if step == READ else "piece"


def _link(path: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system knows no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
