"""What tests have stores make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Made = dict[str, str]

MANY = {f"part-{number}": f"text {number}" * 100 for number in range(30)}


def make(**files: str) -> Callable[[Path], Made]:
    """A maker of text files."""

    def write(folder: Path) -> Made:
        for name, text in files.items():
            (folder / f"{name}.txt").write_text(text)
        return {}

    return write


def never(folder: Path) -> Made:
    """A maker that must not be asked."""
    pytest.fail("made again")
