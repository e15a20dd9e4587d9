"""`mw-pipeline store`: settles what people must decide in a store: which of two artifacts stays, and what goes."""

from __future__ import annotations

import argparse
import json

from mw_pipeline.cli import EXIT_OK
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages.place import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--keep", metavar="KIND/DIGEST", help="of the artifacts that were made from the same inputs, this one stays"
    )
    what.add_argument(
        "--remove", metavar="KIND/DIGEST", help="this artifact goes: it is made again when it is asked for"
    )


def run(args: argparse.Namespace) -> int:
    """Says which artifacts were removed. Raises ArtifactError for one that is not there."""
    store = Place.of().store
    kind, _, digest = (args.keep or args.remove).partition("/")
    if not digest:
        raise ArtifactError(
            f"{kind!r} names no artifact: expected KIND/DIGEST, as the message that sent you here says."
        )
    if args.keep:
        removed = store.keep(kind, digest)
    else:
        store.remove(kind, digest)
        removed = [digest]
    print(json.dumps({"store": store.url, "removed": [f"{kind}/{name}" for name in removed]}))
    return EXIT_OK
