"""Shared fixtures: where the real raw files lie, when they are there at all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no finding, and CI does not judge by chance: people get fresh examples.
hypothesis.settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("house")

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


@pytest.fixture(scope="session")
def tiny_line(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A tiny project whose whole line has run, from raw rows to packages: read only, made once for all workers."""
    from tiny_project import write_project

    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    with (shared / "line.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "line").exists():
            draft = write_project(shared / "line.draft", golden=project / "golden")
            script = Path(__file__).parent / "tiny_line.py"
            subprocess.run([sys.executable, str(script), str(draft)], cwd=project, check=True, timeout=300)
            draft.rename(shared / "line")
    return shared / "line"
