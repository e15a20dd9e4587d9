"""`mw-pipeline parse`: addresses in, JSON lines out."""

from __future__ import annotations

import argparse
import codecs
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from mw_pipeline.cli import EXIT_BAD_INPUT, EXIT_OK, say
from mw_pipeline.cli.arguments import named_path, positive_count
from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import CorpusError
from mw_pipeline.package.readme import EXAMPLES
from mw_pipeline.parse import ParsedAddress, Parser
from mw_pipeline.parser_files import package_at

_TEXTS_AT_A_TIME = 4096
_SINGLES_TIMED = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--package DIR [ADDRESS... | --jsonl] and how to answer."""
    parser.add_argument("addresses", nargs="*", metavar="ADDRESS", help="texts to parse")
    parser.add_argument(
        "--package", type=named_path, required=True, metavar="DIR", help="a package, or a release folder"
    )
    parser.add_argument("--locale", help="which package of a release folder, such as fr-fr")
    parser.add_argument("--jsonl", action="store_true", help='read {"raw": text} lines from stdin')
    parser.add_argument(
        "--candidates", type=positive_count, metavar="N", help="also print the N most probable readings"
    )
    parser.add_argument(
        "--benchmark", type=positive_count, metavar="N", help="print the speed over N texts, not the parses"
    )
    parser.add_argument("--threads", type=positive_count, default=2, metavar="N", help="batches worked on at a time")


def run(args: argparse.Namespace) -> int:
    """Prints one JSON line per text, in order. 2 when a line of stdin was no `{"raw": text}`; the rest is answered."""
    parser = Parser.load(package_at(args.package, args.locale), threads=args.threads)
    bad_lines: list[int] = []
    texts = _texts(args, bad_lines)
    if args.benchmark:
        print(json.dumps(benchmark(parser, list(texts), args.benchmark)))
    else:
        _answer(parser, texts, args.candidates)
    if bad_lines:
        say(f"{len(bad_lines)} lines were not answered, the first is line {bad_lines[0]}")
    return EXIT_BAD_INPUT if bad_lines else EXIT_OK


def _texts(args: argparse.Namespace, bad_lines: list[int]) -> Iterator[str]:
    """The texts that the arguments ask for. Raises CorpusError when they ask for none, or for two kinds at once."""
    if args.addresses and args.jsonl:
        raise CorpusError("both addresses and --jsonl were given. Leave one out.")
    if args.benchmark and args.candidates:
        raise CorpusError(
            "both --benchmark and --candidates were given, but only best readings are timed. Leave one out."
        )
    if args.jsonl:
        return _texts_of_lines(sys.stdin.buffer, bad_lines)
    if not args.addresses and not args.benchmark:
        raise CorpusError("there is nothing to parse. Give an address, or --jsonl and lines on stdin.")
    return iter(args.addresses)


def _texts_of_lines(lines: Iterable[bytes], bad_lines: list[int]) -> Iterator[str]:
    """The `raw` of every line; a line that has none is reported on stderr and its number noted."""
    for number, line in enumerate(lines, 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            raw = _raw_of(line)
        except ValueError as error:
            bad_lines.append(number)
            reason = f'expected {{"raw": text}} in UTF-8, found {line[:60]!r}: {error}'
            say(json_line({"line": number, "error": reason}))
        else:
            yield raw


def _raw_of(line: bytes) -> str:
    """The text under `raw` of a line. Raises ValueError with what is wrong with the line."""
    value = json_value(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    if not isinstance(value.get("raw"), str):
        raise ValueError("there is no text under raw")
    return str(value["raw"])


def _answer(parser: Parser, texts: Iterator[str], count: int | None) -> None:
    """Prints the answers as they come; a person who waits sees how many there are."""
    answered = 0
    while batch := list(islice(texts, _TEXTS_AT_A_TIME)):
        rows = [_with_candidates(parser, text, count) for text in batch] if count else _rows(parser.parse_many(batch))
        print("\n".join(map(json_line, rows)), flush=True)
        answered += len(batch)
        if sys.stderr.isatty() and answered > _TEXTS_AT_A_TIME:
            print(f"\r{answered:,} parsed", end="", file=sys.stderr)


def _rows(parsed: list[ParsedAddress]) -> list[JSON]:
    return [address.as_json() for address in parsed]


def _with_candidates(parser: Parser, text: str, count: int) -> JSON:
    """The best reading, with all candidates and their probabilities beside it."""
    found = parser.candidates(text, count)
    readings = [
        {
            "probability": round(c.probability, 6),
            "components": c.parsed.components,
            "spans": c.parsed.as_json()["spans"],
        }
        for c in found
    ]
    return {**parser.parse(text).as_json(), "candidates": readings}


def benchmark(parser: Parser, texts: list[str], count: int) -> dict[str, JSON]:
    """Addresses a second over `count` texts, and the median milliseconds of one at a time.

    Without texts the examples are used, with a number of its own before each."""
    sample = texts or list(EXAMPLES.values())
    rows = [sample[i % len(sample)] if texts else f"{i} {sample[i % len(sample)]}" for i in range(count)]
    parser.parse_many(rows[:64])
    started = time.perf_counter()
    parser.parse_many(rows)
    batched_seconds = time.perf_counter() - started
    singles = []
    for text in rows[:_SINGLES_TIMED]:
        started = time.perf_counter()
        parser.parse(text)
        singles.append(time.perf_counter() - started)
    return {
        "addresses": count,
        "addresses_per_second": round(count / batched_seconds, 1),
        "milliseconds_for_one": round(1000 * statistics.median(singles), 3),
        "pieces_per_address": round(len(parser.tokenizer.encode(rows).ids) / count, 1),
        "threads": parser.threads,
    }


def json_line(value: JSON) -> str:
    """JSON on one line, readable, and printable even where a text holds a lone surrogate: that becomes its escape."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")
