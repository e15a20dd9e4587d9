"""`python -m mw_pipeline.golden FOLDER` writes the manifest of a folder of gold files anew."""

from __future__ import annotations

import sys
from pathlib import Path

from mw_pipeline.golden.gold import write_manifest

if __name__ == "__main__":
    write_manifest(Path(sys.argv[1]))
