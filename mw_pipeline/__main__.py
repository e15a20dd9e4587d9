"""`python -m mw_pipeline` is the same as `mw-pipeline`."""

from __future__ import annotations

import sys

from mw_pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
