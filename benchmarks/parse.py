"""How many addresses a second the packaged parser reads, on one core and on two, beside the usaddress package.

    python benchmarks/parse.py --package PACKAGE
    python benchmarks/parse.py --package PACKAGE --addresses FILE
    python benchmarks/parse.py --package PACKAGE --rows 20000 --checkpoint RUN

FILE holds one address a line; without it the builtin grammar makes `--rows` of them. Prints JSON: the rates, the best
of `--rounds` in which both parsers take turns in this one process; where the parser's own time goes on one core; how
long one address alone takes either; how long a package takes to load and what it then holds; and how many answers
another batch size or number of threads changes, which should be none. What one core does is told in seconds of CPU,
which other processes of a busy machine change least, all else in those of the wall. With `--checkpoint`, the folder of
the full run, nothing is timed: it prints the addresses that the package reads otherwise than the network before it was
made int8.

To compare with an earlier commit, check that out beside this one and run the same file in both, in turns, on the same
package and addresses (a package from before labels were searched among whole words is read by both):

    git worktree add ../before COMMIT
    for round in 1 2 3; do
        PYTHONPATH=. python benchmarks/parse.py --package PACKAGE --addresses FILE
        (cd ../before && PYTHONPATH=. python ../NEW/benchmarks/parse.py --package PACKAGE --addresses FILE)
    done
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import usaddress

from mw_pipeline.digest import JSON
from mw_pipeline.errors import MwError
from mw_pipeline.failures import EXIT_BAD_INPUT
from mw_pipeline.parse import ParsedAddress, Parser, onnx_logits
from mw_pipeline.parser_files import ParserFiles
from mw_pipeline.recipe import load_corpus_spec
from mw_pipeline.stages.corpus import build_source

PROJECT = Path(__file__).resolve().parent.parent
BATCH_SIZES = (1, 7, 256)
THREADS = (2, 3)
SINGLE_CALLS = 1000
_LOADS = """
import json, re, sys, time
begun = time.perf_counter()
from mw_pipeline.parse import Parser
imported = time.perf_counter()
parser = Parser.load(sys.argv[1])
loaded = time.perf_counter()
parser.parse("1600 Pennsylvania Ave NW, Washington, DC 20500")
most = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({
    "load_ms": round(1e3 * (loaded - imported)),
    "imports_and_load_ms": round(1e3 * (loaded - begun)),
    "most_memory_mib": round(most),
}))
"""
ALLOWED = os.sched_getaffinity(0)


def builtin_addresses(rows: int) -> list[str]:
    """Addresses of the builtin grammar, as its corpus writes them."""
    spec = load_corpus_spec(PROJECT / "corpora" / "builtin.toml")
    settings = spec.sources["builtin"].model_copy(update={"max_records": max(1000, rows)})
    spec = spec.model_copy(update={"sources": {"builtin": settings}})
    with tempfile.TemporaryDirectory() as folder:
        shards = build_source(spec, "builtin", Path(folder), Path(folder) / "out").shards
        texts = [text for path in shards for text in pq.read_table(path, columns=["raw"]).column("raw").to_pylist()]
    return texts[:: max(1, len(texts) // rows)][:rows]


def on_cores(count: int) -> int:
    """Keeps this process on that many cores, or on as many as there are; how many these are."""
    cores = sorted(ALLOWED)[:count]
    os.sched_setaffinity(0, cores)
    return len(cores)


def seconds_of(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of one call: of CPU, or of another clock."""
    begun = clock()
    work()
    return clock() - begun


class Stopwatch:
    """Adds up the seconds of CPU spent in functions that are called through it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., object]) -> Callable[..., object]:
        """The same function, on the clock."""

        def call(*given: object) -> object:
            begun = time.process_time()
            found = function(*given)
            self.seconds += time.process_time() - begun
            return found

        return call


def split_of_time(package: Path, texts: Sequence[str], *, rounds: int) -> dict[str, float]:
    """Microseconds an address costs the tokenizer, the network and the decoding on one core: of the fastest round."""
    on_cores(1)
    found = []
    files = ParserFiles.read(package)
    for _ in range(rounds):
        encoding, network = Stopwatch(), Stopwatch()
        tokenizer = files.tokenizer()
        tokenizer.encode = encoding.timed(tokenizer.encode)
        parser = Parser(
            tokenizer=tokenizer,
            labels=files.labels,
            logits_of=network.timed(onnx_logits(files.model_path, label_count=len(files.labels))),
            max_length=files.max_length,
            transitions=files.transitions,
            starts=files.starts,
        )
        parser.parse_many(texts[:100])
        encoding.seconds = network.seconds = 0.0
        whole = seconds_of(lambda parser=parser: parser.parse_many(texts))
        rest = whole - encoding.seconds - network.seconds
        found.append((whole, encoding.seconds, network.seconds, rest))
    names = ("whole", "tokenizer", "network", "decoding")
    return {name: round(1e6 * part / len(texts), 1) for name, part in zip(names, min(found), strict=True)}


def rates(package: Path, texts: Sequence[str], *, rounds: int) -> dict[str, JSON]:
    """Addresses per second of this parser on one core and on two, and of usaddress, which takes one text at a time."""
    best: dict[str, float] = {}
    cores = {}
    for _ in range(rounds):
        for count in (1, 2):
            cores[count] = on_cores(count)
            parser = Parser.load(package, threads=count)
            parser.parse_many(texts[:100])
            name, clock = f"mw_pipeline_{count}_core", time.process_time if count == 1 else time.perf_counter
            best[name] = min(best.get(name, 1e9), seconds_of(lambda parser=parser: parser.parse_many(texts), clock))
        on_cores(1)
        best["usaddress_1_core"] = min(
            best.get("usaddress_1_core", 1e9), seconds_of(lambda: [usaddress.parse(text) for text in texts])
        )
    found: dict[str, JSON] = {name: round(len(texts) / seconds) for name, seconds in best.items()}
    if cores[2] < 2:
        found["mw_pipeline_2_core"] = None  # this machine gives the process one core
    return found


def single_calls(package: Path, texts: Sequence[str]) -> dict[str, JSON]:
    """Microseconds of one address a call on one core, middle and worst in a hundred, of both parsers in turns."""
    on_cores(1)
    parser = Parser.load(package, threads=1)
    calls: dict[str, Callable[[str], object]] = {"mw_pipeline": parser.parse, "usaddress": usaddress.parse}
    took: dict[str, list[float]] = {name: [] for name in calls}
    for text in texts[:SINGLE_CALLS]:
        for name, call in calls.items():
            took[name].append(seconds_of(lambda call=call, text=text: call(text)))
    return {
        name: {f"p{share}": round(1e6 * float(np.percentile(seconds, share)), 1) for share in (50, 99)}
        for name, seconds in took.items()
    }


def loading(package: Path) -> dict[str, JSON]:
    """Milliseconds that a fresh process takes to load a package, without and with the imports before it, and the most
    memory that it held when it had parsed one address (MiB)."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADS, str(package)], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    found: dict[str, JSON] = json.loads(done.stdout)
    return found


def changed_answers(package: Path, texts: Sequence[str]) -> dict[str, JSON]:
    """Addresses whose spans another batch size or number of threads changes, and by how much a confidence differs."""
    on_cores(2)
    expected = Parser.load(package, threads=1).parse_many(texts)
    others = {f"batch_size_{size}": (1, size) for size in BATCH_SIZES} | {f"threads_{n}": (n, 64) for n in THREADS}
    found: dict[str, JSON] = {}
    for name, (threads, size) in others.items():
        answers = Parser.load(package, threads=threads).parse_many(texts, batch_size=size)
        found[name] = difference(expected, answers)
    return found


def rounded_away(package: Path, checkpoint: Path, texts: Sequence[str]) -> dict[str, JSON]:
    """What int8 changed: addresses that the package reads otherwise than the float32 network, with both readings."""
    from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser  # torch stays out of a process that times

    float32, int8 = (parser.parse_many(texts) for parser in (checkpoint_parser(checkpoint), Parser.load(package)))
    readings: list[JSON] = [
        {"raw": one.raw, "float32": dict(one.components), "package": dict(other.components)}
        for one, other in zip(float32, int8, strict=True)
        if _cut(one) != _cut(other)
    ]
    return {"addresses": len(texts), **difference(float32, int8), "readings": readings}


def _cut(parsed: ParsedAddress) -> list[tuple[str, int, int]]:
    return [(span.tag, span.start, span.end) for span in parsed.spans]


def difference(expected: Sequence[ParsedAddress], found: Sequence[ParsedAddress]) -> dict[str, JSON]:
    """How many answers differ in a span, and the largest difference of confidence where none does."""
    changed, largest = 0, 0.0
    for one, other in zip(expected, found, strict=True):
        changed += _cut(one) != _cut(other)
        if _cut(one) == _cut(other):
            gaps = (abs(a.confidence - b.confidence) for a, b in zip(one.spans, other.spans, strict=True))
            largest = max(largest, *gaps, 0.0)
    return {"changed": changed, "largest_confidence_difference": largest}


def timed(package: Path, texts: Sequence[str], *, rounds: int) -> dict[str, JSON]:
    """All that takes time, and what batches and threads change."""
    return {
        "addresses": len(texts),
        "addresses_per_second": rates(package, texts, rounds=rounds),
        "microseconds_per_address": split_of_time(package, texts, rounds=rounds),
        "microseconds_per_single_call": single_calls(package, texts),
        "loading": loading(package),
        "answers": changed_answers(package, texts),
    }


def main() -> None:
    """Measure one package."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--package", type=Path, required=True)
    arguments.add_argument("--addresses", type=Path, metavar="FILE", help="one address a line")
    arguments.add_argument("--rows", type=int, default=5000, help="how many addresses the builtin grammar makes")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--checkpoint", type=Path, metavar="RUN", help="the full run that was packaged: compare alone"
    )
    args = arguments.parse_args()
    try:
        if args.addresses:
            texts = [line for line in args.addresses.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            texts = builtin_addresses(args.rows)
        if args.checkpoint:
            figures = rounded_away(args.package, args.checkpoint, texts)
        else:
            print(f"{len(texts):,} addresses, {args.rounds} rounds", file=sys.stderr)
            figures = timed(args.package, texts, rounds=args.rounds)
    except (MwError, OSError, UnicodeDecodeError) as error:
        arguments.exit(EXIT_BAD_INPUT, f"{error}\n")
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
