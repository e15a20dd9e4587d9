"""Memory that ran out, under one name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def memory_by_name() -> Iterator[None]:
    """Raises MemoryError where torch finds no more memory, the machine's or a GPU's: it has no one name for it."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate" in str(error):
            raise MemoryError(str(error)) from error
        raise
