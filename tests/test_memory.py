"""Memory that ran out is a MemoryError, the machine's and a GPU's."""

from __future__ import annotations

import pytest
import torch

from mw_pipeline.train.memory import memory_by_name


def test_memory_that_torch_does_not_find_is_a_memory_error():
    with pytest.raises(MemoryError, match="tried to allocate"), memory_by_name():
        torch.empty(1 << 55, dtype=torch.uint8)


def test_a_full_gpu_is_a_memory_error_too_and_other_errors_stay_what_they_are():
    with pytest.raises(MemoryError, match="2 GiB"), memory_by_name():
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="size mismatch"), memory_by_name():
        raise RuntimeError("size mismatch")
