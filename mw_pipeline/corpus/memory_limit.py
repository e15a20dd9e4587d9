"""What the machine gives in memory to joins of all rows of a corpus: a matter of the place, never of the result."""

from __future__ import annotations

import os
import re

from mw_pipeline.errors import CorpusError

MEMORY_VARIABLE = "MW_MEMORY"
MEMORY_LIMIT = "512MB"
"""What one query may hold in memory where the variable says nothing; larger sorts and groupings spill."""

_MEGABYTES = {"MB": 1, "GB": 1_000, "TB": 1_000_000}
_LEAST_MEGABYTES = 128


def memory_megabytes() -> int:
    """What one query may hold in memory. Raises CorpusError for a limit that nobody understands, or that is too low to
    join anything in."""
    limit = os.environ.get(MEMORY_VARIABLE) or MEMORY_LIMIT
    found = re.fullmatch(r"(\d+)\s*([MGT]B)", limit.strip(), re.IGNORECASE)
    megabytes = int(found[1]) * _MEGABYTES[found[2].upper()] if found else 0
    if megabytes < _LEAST_MEGABYTES:
        raise CorpusError(
            f"{MEMORY_VARIABLE} is {limit!r}: expected a limit from {_LEAST_MEGABYTES}MB, as in 512MB or 16GB. "
            "Correct it."
        )
    return megabytes
