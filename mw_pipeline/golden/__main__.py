"""`python -m mw_pipeline.golden FOLDER` writes the manifest of a folder of gold files anew."""

from __future__ import annotations

import sys
from pathlib import Path

from mw_pipeline.errors import MwError
from mw_pipeline.golden.gold import write_manifest


def main(arguments: list[str]) -> int:
    """0 when the manifest is written, 2 with one sentence when it cannot be."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m mw_pipeline.golden FOLDER, a folder of gold files", file=sys.stderr)  # noqa: T201
        return 2
    try:
        print(write_manifest(Path(arguments[0])))  # noqa: T201
    except MwError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
