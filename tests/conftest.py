"""Shared fixtures: where the real raw files lie, when they are there at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def raw_data() -> Path:
    """The folder of real raw files (MW_DATA, else `shared/data` beside the checkout); skips where it is absent."""
    path = Path(os.environ.get("MW_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "SOURCES.md").is_file():
        pytest.skip(f"no real raw files in {path}")
    return path


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `packages/en-us`, `packages/fr-fr`, `best/` (their checkpoint) and `tokenizer.model`: read only."""
    from tiny_package import build_release  # here, because most test files need no torch

    folder = tmp_path_factory.mktemp("release")
    build_release(folder)
    return folder
