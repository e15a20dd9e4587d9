"""`mw-pipeline why`: which training rows, of which sources, taught the reading of one address."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import local_path, positive_count
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.digest import JSON
from mw_pipeline.stages.teaching import Teaching
from mw_pipeline.teaching.answer import ROWS_SHOWN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R [--html FILE] [--rows N] ADDRESS."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument("address", metavar="ADDRESS", help="the address as one text")
    parser.add_argument("--html", type=local_path, metavar="FILE", help="also write the page for people here")
    parser.add_argument(
        "--rows", type=positive_count, default=ROWS_SHOWN, metavar="N", help="rows of each kind to show"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the answer as JSON, and what each span is and who taught it for people."""
    teaching = Teaching.open(place_in_use(), args.recipe, progress=say)
    found = teaching.why(args.address, rows=args.rows)
    print(json.dumps(found, ensure_ascii=False))
    if found["truncated"]:
        say("the address is longer than what is read of it: its end is not asked about")
    for span in found["spans"]:
        say(" ".join(span["sentences"]))
    if args.html is not None:
        _write_page(args.html, found)
    return EXIT_OK


def _write_page(path: Path, found: dict[str, JSON]) -> None:
    from mw_pipeline.report.teaching import render_why  # pages are asked for seldom, and templates take a moment

    path.parent.mkdir(parents=True, exist_ok=True)
    render_why(path, found)
    say(f"page: {path}")
