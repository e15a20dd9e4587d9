"""What the libraries under torch and pyarrow are told; they read it from the environment once, when they load."""

from __future__ import annotations

import sys

SETTINGS = {
    # Threads that spin while they wait take the cores from each other: a busy machine then takes many times longer.
    "OMP_WAIT_POLICY": "passive",
    # One compiled kernel is kept for every shape that was met; batches of every length would fill memory with them.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    # Arrow's own choice keeps a fifth more of the memory that a corpus build has given back. Elsewhere it is not built.
    **({"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}),
}
"""For a process that is about to load torch or pyarrow. What the user has set goes before."""
