"""`lineage`: the whole chain behind a package or an artifact."""

from __future__ import annotations

import argparse
import json
import sys

from mw_pipeline.cli import EXIT_OK
from mw_pipeline.cli.arguments import named_path
from mw_pipeline.package.lineage import lineage_tree, read_lineage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH."""
    parser.add_argument("path", type=named_path, metavar="PATH", help="a package, or an artifact's folder in a store")


def run(args: argparse.Namespace) -> int:
    """Prints the chain: JSON on stdout, a tree for people on stderr."""
    lineage = read_lineage(args.path)
    print(json.dumps(lineage, ensure_ascii=False))
    print(lineage_tree(lineage), file=sys.stderr)
    return EXIT_OK
