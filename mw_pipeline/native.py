"""What the native libraries under torch are told; they read it from the environment once, when they load."""

from __future__ import annotations

SETTINGS = {
    # Threads that spin while they wait take the cores from each other: a busy machine then takes many times longer.
    "OMP_WAIT_POLICY": "passive",
    # One compiled kernel is kept for every shape that was met; batches of every length would fill memory with them.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
}
"""For a process that is about to load torch. What the user has set goes before."""
