"""How fast raw files become aligned rows, in how much memory, and what a second worker brings.

    python benchmarks/corpus.py [--sizes 100000 1000000] [--speedup ROWS] [--no-ray]

Prints JSON. For every size an address file in the OpenAddresses layout is made of the built-in grammar's streets and
places, always the same, and built into two rows per record in a process of its own:

rows_per_cpu_second   rows kept by CPU seconds, of all threads and processes that had a part in it
ratio_to_floor        those seconds by what pyarrow needs to read the same file and write the same rows, without logic
peak_mib              the most memory that the process had in use at once
parallel_share        CPU seconds of reading and of the pieces, which any worker can do, by all; the rest is comparing
speedup_bound         what two workers can bring by that share (Amdahl's law), were nothing else done meanwhile
speedup               wall seconds of one worker on one core by those of two, whose start (a second) is counted in
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mw_pipeline import native
from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.corpus.workers import Calls, Run, Task, Workers
from mw_pipeline.recipe import Augmentations, CorpusSpec, SourceSpec
from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources.builtin import Builtin
from mw_pipeline.sources.openaddresses import Openaddresses

VARIANTS = 2
COLUMNS = {"STREET": "street", "CITY": "locality", "DISTRICT": "subregion", "REGION": "region", "POSTCODE": "postcode"}
SPEC = CorpusSpec(
    name="benchmark",
    version="1",
    seed=1,
    countries=(),
    sources={"points": SourceSpec(adapter="openaddresses", country="US", licence="CC0-1.0")},
    variants=VARIANTS,
    augmentations=Augmentations(
        partial=0.25, order=0.2, separators=0.25, case=0.3, abbreviation=0.2, accents=0.1, zip4=0.05, country_name=0.25
    ),
)


def main() -> None:
    """Make the files, build them, print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 400_000], help="rows to build")
    parser.add_argument("--speedup", type=int, default=400_000, metavar="ROWS", help="rows for two workers; 0: skip")
    parser.add_argument("--no-ray", action="store_true", help="leave the Ray cluster out")
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's temporary one, if left out")
    args = parser.parse_args()
    for setting, value in native.SETTINGS.items():  # as the command line does; the processes below inherit them
        os.environ.setdefault(setting, value)
    streets = american_streets()
    figures: dict[str, Any] = {"sizes": {}, "speedup": {}}
    for rows in args.sizes:
        figures["sizes"][rows] = _measured(streets, rows, args.folder, "1", floor=True)
        print(f"{rows:,} rows: {figures['sizes'][rows]}", file=sys.stderr)
    if args.speedup:
        one = _measured(streets, args.speedup, args.folder, "1", one_core=True)
        figures["speedup"]["1"] = one
        for workers in ["2"] if args.no_ray else ["2", "ray:2"]:
            found = _measured(streets, args.speedup, args.folder, workers)
            figures["speedup"][workers] = found | {"speedup": round(one["seconds"] / found["seconds"], 2)}
    print(json.dumps(figures, indent=2))


def american_streets() -> pa.Table:
    """American streets of the built-in grammar, under the column names of OpenAddresses."""
    request = ReadRequest(paths=(), source="points", countries=("US",), seed=11, max_records=60_000)
    records = pa.Table.from_batches(Builtin().read(request, Rejects("points")))
    wanted = records.filter(pa.compute.field("street").is_valid() & pa.compute.field("postcode").is_valid())
    return pa.table({name: wanted[tag] for name, tag in COLUMNS.items()}).combine_chunks()


def write_points(path: Path, streets: pa.Table, records: int) -> None:
    """An address file of that many records: streets drawn anew for each, with a number and now and then a unit."""
    rng = np.random.default_rng(records)
    columns = ["LON", "LAT", "NUMBER", "STREET", "UNIT", "CITY", "DISTRICT", "REGION", "POSTCODE", "ID"]
    written = 0
    while written < records:
        count = min(200_000, records - written)
        drawn = streets.take(pa.array(rng.integers(0, len(streets), count)))
        numbers, units = rng.integers(1, 20_000, count), rng.integers(0, 400, count)
        made = {
            "LON": pa.array(np.round(rng.uniform(-120, -70, count), 6)),
            "LAT": pa.array(np.round(rng.uniform(30, 48, count), 6)),
            "NUMBER": pa.array(numbers).cast(pa.string()),
            "UNIT": pa.array([f"APT {unit}" if unit < 40 else None for unit in units.tolist()], pa.string()),
            "ID": pa.array(np.arange(written, written + count)),
        }
        table = pa.table(made | {name: drawn[name] for name in COLUMNS}).select(columns)
        with path.open("ab") as stream:
            pa_csv.write_csv(table, stream, pa_csv.WriteOptions(include_header=not written, quoting_style="needed"))
        written += count


def _measured(
    streets: pa.Table, rows: int, folder: Path | None, workers: str, *, floor: bool = False, one_core: bool = False
) -> dict[str, Any]:
    """Figures of one build in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        path = Path(made) / "points.csv"
        write_points(path, streets, rows // VARIANTS)
        spawned = multiprocessing.get_context("spawn")
        ours, theirs = spawned.Pipe()
        process = spawned.Process(target=_child, args=(theirs, path, workers, floor, one_core))
        process.start()
        theirs.close()
        figures: dict[str, Any] = ours.recv()
        process.join()
    return figures


def _child(pipe: Any, path: Path, workers: str, floor: bool, one_core: bool) -> None:
    if one_core:
        pa.set_cpu_count(1)
    out = path.parent / "out"
    in_pieces: list[float] = []
    with Workers.parsed(workers).started() as run:
        begun, cpu = time.monotonic(), cpu_seconds()
        used_run = clocked(in_pieces) if workers == "1" else run
        summary = build_from(SPEC, "points", Openaddresses(), [path], out, run=used_run)
        seconds = time.monotonic() - begun
    used, rows = cpu_seconds() - cpu, summary.counts["rows"]
    figures = {"rows": rows, "seconds": round(seconds, 2), "peak_mib": peak_mib()}
    if not workers.startswith("ray"):  # the processes of Ray are no children of this one
        figures |= {"cpu_seconds": round(used, 2), "rows_per_cpu_second": round(rows / used)}
    if in_pieces:
        share = sum(in_pieces) / used
        figures |= {"parallel_share": round(share, 2), "speedup_bound": round(1 / (1 - share / 2), 2)}
    if floor:
        figures["ratio_to_floor"] = round(used / _floor_seconds(path, summary.shards, path.parent / "floor"), 2)
    pipe.send(figures)


def clocked(seconds: list[float]) -> Run:
    """Does the pieces in this process, one after the other, and notes the CPU seconds that each took."""

    def run(task: Task, calls: Calls) -> Iterator[Receipt]:
        for call in calls:
            begun = cpu_seconds()
            receipt = task(*call)
            seconds.append(cpu_seconds() - begun)
            yield receipt

    return run


def _floor_seconds(path: Path, shards: tuple[Path, ...], target: Path) -> float:
    """CPU seconds to read the file and to write the finished rows; reading those back is not counted."""
    cpu = cpu_seconds()
    for _ in pa_csv.open_csv(path):
        pass
    used = cpu_seconds() - cpu
    for shard in shards:
        table = pq.read_table(shard)
        cpu = cpu_seconds()
        pq.write_table(table, target, compression="zstd")
        used += cpu_seconds() - cpu
    return used


def cpu_seconds() -> float:
    """Of this process, and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mib() -> int:
    """The high-water mark of this process. Not ru_maxrss, in which a child inherits the size of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
