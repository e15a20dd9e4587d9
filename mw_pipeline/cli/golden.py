"""`mw-pipeline golden`: what is wrong with gold files, row by row."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import named_path
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import write_manifest
from mw_pipeline.golden.judge import judge_golden
from mw_pipeline.golden.regions import judged_by_region

_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH... and whether to write manifests."""
    parser.add_argument(
        "paths", type=named_path, nargs="+", metavar="PATH", help="a file of gold rows, or a folder of them"
    )
    parser.add_argument(
        "--write-manifest", action="store_true", help="write the manifest.json of each folder anew before judging it"
    )


def run(args: argparse.Namespace) -> int:
    """Prints counts, ceilings, regions and findings as JSON on stdout and the findings as lines on stderr."""
    if args.write_manifest:
        for path in args.paths:
            if not path.is_dir():
                raise CorpusError(f"{path}: a manifest belongs to a folder of gold files. Name a folder.")
            say(f"written: {write_manifest(path)}")
    judged, regions = judged_by_region(judge_golden(_files_of(args.paths)))
    print(json.dumps({**judged.as_json(), "regions": regions}, ensure_ascii=False))
    for finding in judged.findings[:_SHOWN]:
        say(f"{'invalid' if finding.blocks else 'remark'}: {finding}. {finding.remedy}")
    if len(judged.findings) > _SHOWN:
        say(f"{len(judged.findings) - _SHOWN} more findings on stdout")
    say(f"{len(judged.golden.rows)} gold rows, {len(judged.blocking)} findings that make them invalid")
    return EXIT_REFUSED if judged.blocking else EXIT_OK


def _files_of(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise CorpusError(f"{path}: holds no .jsonl file. Name a folder of gold files, or the files.")
        found += files
    return found
