"""`inspect`: verify an artifact, a checkpoint, a package, a release folder or bare weights, byte by byte."""

from __future__ import annotations

import argparse
import json
import sys

from mw_pipeline.cli import EXIT_BAD_INPUT, EXIT_OK
from mw_pipeline.cli.arguments import named_path
from mw_pipeline.package.inspection import inspect_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH [--json]."""
    parser.add_argument("path", type=named_path, metavar="PATH", help="a folder or a .safetensors file")
    parser.add_argument("--json", action="store_true", help="only the JSON on stdout, no summary on stderr")


def run(args: argparse.Namespace) -> int:
    """Prints what the path is and what is wrong with it. 0 when it is sound, 2 when it is not."""
    found = inspect_path(args.path)
    print(json.dumps(found.as_json(), ensure_ascii=False))
    if not args.json:
        verdict = "sound" if found.sound else f"{len(found.findings)} findings"
        print("\n".join([f"{found.path}: {found.kind}, {verdict}", *found.findings]), file=sys.stderr)
    return EXIT_OK if found.sound else EXIT_BAD_INPUT
