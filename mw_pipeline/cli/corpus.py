"""`mw-pipeline corpus`: one raw file or folder through one adapter, with the waterfall on stdout."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import local_path, path_on_this_machine
from mw_pipeline.cli.new_folder import input_folder, new_folder, work_folder
from mw_pipeline.corpus.augment import DAMAGE, METHODS
from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.fetch import Fetcher
from mw_pipeline.corpus.waterfall import Flow, rows_are_conserved
from mw_pipeline.corpus.workers import Workers
from mw_pipeline.countries import country_problem
from mw_pipeline.digest import code_digest, digest_of, sha256_file
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import Augmentations, CorpusSpec, SourceSpec, url_problem
from mw_pipeline.recipe.section import MOST
from mw_pipeline.records.adapter import companion_files
from mw_pipeline.sources.reading import files_below, written_name
from mw_pipeline.sources.registry import ADAPTERS, get_adapter
from mw_pipeline.urls import is_url


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--adapter", required=True, metavar="NAME", help=f"one of {', '.join(sorted(ADAPTERS))}")
    parser.add_argument(
        "--input",
        type=_input_place,
        metavar="PATH|URL",
        help="raw file or folder, or the URL of a file (https, s3, gs, az) or of a folder of objects (with a slash at "
        "its end); not needed by builtin",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder for shards, quarantine and counts"
    )
    parser.add_argument(
        "--country", metavar="CC", help="ISO code: the country of files that do not say it, and the only one kept"
    )
    parser.add_argument(
        "--variants", type=int, default=1, metavar="N", help="rows per record; the first is the plain one"
    )
    parser.add_argument(
        "--dose",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of rows per augmentation but typos, from the second variant on",
    )
    parser.add_argument("--max-records", type=int, metavar="N", help="stop after so many records")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything that is drawn")
    parser.add_argument(
        "--allow-share-alike", action="store_true", help="accept rows whose licence asks to share alike"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, metavar="N", help="processes that do the work")
    where.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="a Ray cluster does the work; one of this machine, if none",
    )


def run(args: argparse.Namespace) -> int:
    """Builds the source and prints its waterfall. Returns 1 when it does not add up."""
    if not isinstance(args.input, str):
        return _run_here(args)
    get_adapter(args.adapter)  # before anything is fetched for one that is not there
    with input_folder(args.out) as folder:
        args.input = Fetcher(folder, _progress).fetch_unnamed(args.input, folder)
        return _run_here(args)


def _run_here(args: argparse.Namespace) -> int:
    spec, workers = _spec(args), _workers(args)
    paths = () if args.input is None else (args.input,)
    adapter, request = get_adapter(args.adapter), _request(spec, args)
    with (
        new_folder(args.out) as draft,
        work_folder(args.out, request) as work,
        workers.started() as run_pieces,
    ):
        summary = build_from(
            spec, args.adapter, adapter, paths, draft, _progress, work=work, request=request, run=run_pieces
        )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if not summary.waterfall.records.kept:
        say(f"nothing was kept: {_lost(summary.waterfall.records)}")
    findings = rows_are_conserved(summary.waterfall)
    print(json.dumps({**summary.as_json(), "findings": findings}, ensure_ascii=False, indent=2))
    return EXIT_REFUSED if findings else EXIT_OK


def _input_place(text: str) -> Path | str:
    """A file or folder of this machine, or a URL to fetch, for argparse."""
    if not is_url(text):
        return path_on_this_machine(text, otherwise="Write both of them")
    if problem := url_problem(text):
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}. Name such a URL, or a path on this machine")
    return text


def _lost(records: Flow) -> str:
    """Where all records of a source went: "2 of 2 records invalid_encoding. Look at quarantine.parquet"."""
    if not records.read:
        return "no record was read. Check the input."
    reasons = ", ".join(f"{count} {name}" for name, count in (records.quarantined + records.filtered).most_common())
    return f"of {records.read} records {reasons}. Look at quarantine.parquet, and check the input."


def _spec(args: argparse.Namespace) -> CorpusSpec:
    """The corpus of one source that the arguments describe."""
    adapter = get_adapter(args.adapter)
    if adapter.needs_input and args.input is None:
        raise CorpusError(
            f"--input is missing: adapter {adapter.name!r} reads files. Name a raw file or a folder of them."
        )
    if args.input is not None and not args.input.exists():
        raise CorpusError(f"--input {str(args.input)!r}: there is no such file or folder. Check the path.")
    if args.input is not None and not (args.input.is_file() or args.input.is_dir()):
        raise CorpusError(f"--input {str(args.input)!r}: is neither a file nor a folder. Write to a file first.")
    if args.country is not None and (problem := country_problem(args.country)):
        raise CorpusError(f"--country {problem}.")
    _check_numbers(args)
    source = SourceSpec(
        adapter=args.adapter,
        country=args.country,
        max_records=args.max_records,
        share_alike_allowed=args.allow_share_alike,
    )
    return CorpusSpec(
        name="one-source",
        version="0",
        seed=args.seed,
        countries=() if args.country is None else (args.country,),
        sources={args.adapter: source},
        variants=args.variants,
        augmentations=Augmentations(**dict.fromkeys(METHODS.keys() - DAMAGE, args.dose), other_script=1.0),
    )


def _workers(args: argparse.Namespace) -> Workers:
    if args.ray is not None:
        if args.ray not in ("", "auto") and not args.ray.startswith("ray://"):  # Ray would wait for it in silence
            raise CorpusError(
                f"--ray {args.ray!r}: expected auto or ray://HOST:PORT. Leave it out for a cluster of this machine."
            )
        return Workers(count=os.cpu_count() or 1, ray=args.ray)
    if args.workers < 1:
        raise CorpusError(f"--workers {args.workers}: expected at least 1.")
    return Workers(count=args.workers)


def _request(spec: CorpusSpec, args: argparse.Namespace) -> str:
    """A digest of everything that shapes the rows: the options, the code, the places and bytes of the files of the
    input, and of those beside them that say something of their rows."""
    path = args.input
    adapter = get_adapter(args.adapter)
    named = [] if path is None else [*files_below(path)] if path.is_dir() else [path]
    found = sorted({*named, *companion_files(adapter, named)})
    raw = [[written_name(file.absolute()), sha256_file(file)] for file in found]
    modules = ("mw_pipeline.corpus.build", type(adapter).__module__)
    return digest_of({"spec": spec.model_dump(mode="json"), "raw": raw, "code": code_digest(modules)})


def _check_numbers(args: argparse.Namespace) -> None:
    if not 0 <= args.dose <= 1:
        raise CorpusError(f"--dose {args.dose}: expected a share from 0 to 1.")
    for option, number, least in (
        ("--variants", args.variants, 1),
        ("--max-records", args.max_records, 1),
        ("--seed", args.seed, 0),
    ):
        if number is not None and not least <= number <= MOST:
            raise CorpusError(f"{option} {number}: expected a number from {least} to {MOST}.")


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
