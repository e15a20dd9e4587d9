"""What the libraries under torch and pyarrow are told; they read it from the environment once, when they load."""

from __future__ import annotations

import os
import sys

SETTINGS = {
    # How often a thread looks for work before it sleeps. Those that look for long (300,000 unless told) take the cores
    # of a busy machine from each other; those that sleep at once wake late for the next small product of a step.
    # It would win over OMP_WAIT_POLICY, so whoever has set that is not given it.
    **({} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": "2000"}),
    # One compiled kernel is kept for every shape that was met; batches of every length would fill memory with them.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    # Arrow's own choice keeps a fifth more of the memory that a corpus build has given back. Elsewhere it is not built.
    **({"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}),
}
"""For a process that is about to load torch or pyarrow. What the user has set goes before."""
