"""What the whole data side costs as rows grow, and what that comes to at 677 million rows.

    python benchmarks/scale.py [--sizes 100000 1000000 5000000 20000000] [--speedup ROWS] [--write docs/scale.md]

Prints JSON. For every size two sources are made in the OpenAddresses layout, of which the second repeats records of the
first, and go through every stage between raw files and training, each in a process of its own:

corpus       raw files to aligned rows with their keys, two variants per record; what a source has twice is dropped
exclusions   rows that no one may train on, by joins of the keys
row_checks   every row against the schema, its spans and its keys
leak_checks  families, texts, ids and held-out places across splits, sources and gold
tokenizer    the texts that it learns from, and the tokenizer
tokenizing   aligned rows to the files that training reads

seconds are CPU seconds, so that a busy machine counts as an idle one; a model of a fixed part and one for each row is
fitted to them. parallel_share is what portions of raw files and pieces take of a stage, which any worker can do.
`--speedup` tokenizes so many rows by one worker on one core, by two, by two of Ray, and twice at once by two that share
nothing, by the clock, the faster of two rounds: it wants an idle machine.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import SPEC, american_streets, clocked, cpu_seconds, peak_mib, write_points
from scale_model import extrapolated, page_of

from mw_pipeline import native
from mw_pipeline.corpus import census, holdouts, keys, leaks, schema
from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.exclusions import Exclusions
from mw_pipeline.corpus.memory_limit import memory_megabytes
from mw_pipeline.corpus.workers import Workers
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.labels import STAGE3
from mw_pipeline.recipe import CorpusSpec, TokenizerConfig
from mw_pipeline.sources.openaddresses import Openaddresses
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

SOURCES = {"points": 0.8, "roll": 0.2}  # share of the records; those of the second stand in the first as well
GOLD_ROWS = 2_000
MAX_LENGTH = 64
SAMPLE_ROWS, VOCABULARY = 20_000, 4_000
TOKENIZER_FILE = "tokenizer.model"
SECONDS_BETWEEN_LOOKS = 0.2
SPEEDUP_ROUNDS = 2  # the first reads files that no memory holds yet


def main() -> None:
    """Measure every size, fit the model, print it, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--speedup", type=int, default=0, metavar="ROWS", help="rows for two workers; 0: skip")
    parser.add_argument("--folder", type=Path, help="where all is made; the system's temporary one, if left out")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page to write")
    args = parser.parse_args()
    for setting, value in native.SETTINGS.items():  # as the command line does; the processes below inherit them
        os.environ.setdefault(setting, value)
    streets = american_streets()
    figures: dict[str, Any] = {"memory_limit_mb": memory_megabytes(), "sizes": {}, "speedup": {}}
    for size in args.sizes:
        with tempfile.TemporaryDirectory(dir=args.folder) as made:
            figures["sizes"][size] = measured(streets, size, Path(made))
    if args.speedup:
        with tempfile.TemporaryDirectory(dir=args.folder) as made:
            figures["speedup"] = speedup(streets, args.speedup, Path(made))
    figures |= extrapolated(figures["sizes"])
    print(json.dumps(figures, indent=2))
    if args.write:
        args.write.write_text(page_of(figures), encoding="utf-8")


def measured(streets: pa.Table, size: int, folder: Path) -> dict[str, Any]:
    """The figures of every stage at one size, `rows` that came of it, and bytes of all that was written."""
    write_sources(streets, size, folder)
    stages = {}
    for name, stage in STAGES.items():
        stages[name] = in_a_process_of_its_own(stage, folder)
        print(f"{size:,} rows: {name}: {stages[name]}", file=sys.stderr)
    written = {name: bytes_below(folder / name) for name in ("raw", "shards", "keys", "dataset")}
    written |= {name: stages[name]["work_bytes"] for name in ("corpus", "tokenizing")}
    written["spilled"] = max(stage["spilled_bytes"] for stage in stages.values())
    return {"rows": stages["corpus"]["rows"], "stages": stages, "bytes": written}


def write_sources(streets: pa.Table, size: int, folder: Path) -> None:
    """Raw files of two sources, of which the second repeats the first records of the first."""
    records = {name: max(1, int(size * share / SPEC.variants)) for name, share in SOURCES.items()}
    (folder / "raw").mkdir()
    first, second = (folder / "raw" / f"{name}.csv" for name in SOURCES)
    write_points(first, streets, records["points"])
    with first.open(encoding="utf-8") as lines, second.open("w", encoding="utf-8") as copy:
        copy.writelines(islice(lines, 1 + records["roll"]))


def in_a_process_of_its_own(stage: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What a stage says, with its CPU seconds, the most memory that it had, and the most that it spilled."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe(duplex=False)
    process = spawned.Process(target=_child, args=(theirs, stage, folder))
    process.start()
    theirs.close()
    found: dict[str, Any] = ours.recv()
    process.join()
    return found


def _child(pipe: Any, stage: Callable[[Path], dict[str, Any]], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as spill:
        tempfile.tempdir = spill
        begun = cpu_seconds()
        with watched(folder) as spilled:
            found = stage(folder)
        seconds = round(cpu_seconds() - begun, 3)
        pipe.send({"seconds": seconds, "peak_mib": peak_mib(), "spilled_bytes": max(spilled), **found})


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """The bytes in the temporary folders of a folder, looked at again and again while the block lasts."""
    sizes, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            sizes.append(sum(map(bytes_below, folder.glob("tmp*"))))

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    yield sizes
    ended.set()
    watch.join()


def bytes_below(folder: Path) -> int:
    """The size of all files below a folder; what goes away meanwhile counts nothing."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(inside, name).stat().st_size
    return total


def corpus(folder: Path) -> dict[str, Any]:
    """Both sources, their work in progress kept until each is done."""
    in_pieces: list[float] = []
    rows = work_bytes = 0
    for name in SOURCES:
        spec: CorpusSpec = SPEC.model_copy(update={"sources": {name: SPEC.sources["points"]}})
        work, out = folder / "work", folder / "built" / name
        paths = [folder / "raw" / f"{name}.csv"]
        summary = build_from(spec, name, Openaddresses(), paths, out, work=work, run=clocked(in_pieces))
        rows, work_bytes = rows + summary.counts["rows"], max(work_bytes, bytes_below(work))
        shutil.rmtree(work)
        for kind in ("shards", "keys"):
            (folder / kind).mkdir(exist_ok=True)
            (out / kind).rename(folder / kind / name)
    return {"rows": rows, "in_pieces": round(sum(in_pieces), 3), "work_bytes": work_bytes}


def files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """Source → its shards, or its keys."""
    return {name: sorted((folder / kind / name).iterdir()) for name in SOURCES}


def all_files(folder: Path, kind: str) -> list[Path]:
    """Those of all sources."""
    return [path for paths in files(folder, kind).values() for path in paths]


def gold(folder: Path) -> list[str]:
    """Texts that stand in for gold: those of some rows."""
    first = all_files(folder, "shards")[0]
    texts: list[str] = pq.read_table(first, columns=["raw"])["raw"].slice(0, GOLD_ROWS).to_pylist()
    return texts


def exclusions(folder: Path) -> dict[str, Any]:
    """`excluded.parquet`."""
    found = leaks.write_exclusions(all_files(folder, "keys"), folder / "excluded.parquet", gold_texts=gold(folder))
    return {"excluded": sum(found.values())}


def row_checks(folder: Path) -> dict[str, Any]:
    """What is asked of every source alone."""
    shards = all_files(folder, "shards")
    problems = [*schema.rows_match_schema(shards), *keys.keys_match_rows(shards, all_files(folder, "keys"))]
    return {"problems": problems}


def leak_checks(folder: Path) -> dict[str, Any]:
    """What is asked of all sources together."""
    keyed, excluded, texts = all_files(folder, "keys"), folder / "excluded.parquet", gold(folder)
    problems = [
        *leaks.splits_are_disjoint(keyed, excluded),
        *leaks.sources_share_no_text(keyed, excluded),
        *leaks.golden_is_not_in_train(keyed, texts, (), excluded),
        *census.row_ids_are_unique(keyed),
        *holdouts.held_out_places_stay_out(all_files(folder, "shards"), SPEC.holdout_places_share, excluded),
    ]
    leaks.overlaps(keyed, texts, (), excluded)
    return {"problems": problems}


def tokenizer(folder: Path) -> dict[str, Any]:
    """A tokenizer, and the texts that it learns from."""
    texts = sample_texts(files(folder, "shards"), rows=SAMPLE_ROWS, seed=1, exclusions=folder / "excluded.parquet")
    train_tokenizer(texts, TokenizerConfig(vocab_size=VOCABULARY), folder / TOKENIZER_FILE)
    return {"texts": len(texts)}


def tokenizing(folder: Path, workers: str = "") -> dict[str, Any]:
    """The dataset, its work in progress measured before it goes; by such workers, by the clock."""
    out, work, in_pieces = folder / "dataset", folder / "work", list[float]()
    out.mkdir()
    with Workers.parsed(workers or "1").started() as started:
        begun = time.monotonic()
        summary = build_dataset(
            files(folder, "shards"),
            Tokenizer(folder / TOKENIZER_FILE),
            STAGE3,
            MAX_LENGTH,
            out,
            excluded=Exclusions(folder / "excluded.parquet").of,
            work=work,
            run=started if workers else clocked(in_pieces),
        )
        wall_seconds = round(time.monotonic() - begun, 2)
    work_bytes = bytes_below(work)
    shutil.rmtree(work)
    return {
        "rows": summary["rows"],
        "in_pieces": round(sum(in_pieces), 3),
        "work_bytes": work_bytes,
        "wall_seconds": wall_seconds,
    }


STAGES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "corpus": corpus,
    "exclusions": exclusions,
    "row_checks": row_checks,
    "leak_checks": leak_checks,
    "tokenizer": tokenizer,
    "tokenizing": tokenizing,
}


def speedup(streets: pa.Table, size: int, folder: Path) -> dict[str, float]:
    """How many times as fast as one worker on one core the dataset is made, by who makes it; and `ceiling`, how much
    more two processes get done that share nothing: what the cores of this machine allow."""
    write_sources(streets, size, folder)
    for stage in (corpus, exclusions, tokenizer):
        in_a_process_of_its_own(stage, folder)
    pa.set_cpu_count(1)
    made, twin = [*folder.iterdir()], folder / "twin"
    twin.mkdir()
    for path in made:
        (twin / path.name).symlink_to(path)
    rounds = [{workers: seconds_by(workers, folder) for workers in ("1", "2", "ray:2")} for _ in range(SPEEDUP_ROUNDS)]
    seconds = {workers: min(each[workers] for each in rounds) for workers in rounds[0]}
    with ThreadPoolExecutor(2) as both:
        together = max(both.map(functools.partial(seconds_by, "1"), (folder, twin)))
    found = {workers: round(seconds["1"] / took, 2) for workers, took in seconds.items()}
    return found | {"ceiling": round(2 * seconds["1"] / together, 2)}


def seconds_by(workers: str, folder: Path) -> float:
    """How long such workers take to make the dataset of a folder, by the clock."""
    found = in_a_process_of_its_own(functools.partial(tokenizing, workers=workers), folder)
    shutil.rmtree(folder / "dataset")
    print(f"{found['rows']:,} rows tokenized by {workers}: {found['wall_seconds']} s", file=sys.stderr)
    return float(found["wall_seconds"])


if __name__ == "__main__":
    main()
