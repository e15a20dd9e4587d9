"""Builds in processes of their own, which tests start, watch and kill, and what they leave in their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_until

from mw_pipeline.digest import sha256_file

ROOT = Path(__file__).resolve().parent.parent


def bytes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path there."""
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def receipts(folder: Path) -> int:
    """How many pieces are done, of all steps."""
    work = folder / "work"
    return len([*work.glob("*.json"), *work.glob("*/*.json")])


@contextmanager
def running(folder: Path, workers: str, script: str) -> Iterator[subprocess.Popen[str]]:
    """A build by a script of this folder, in a process that is gone afterwards."""
    command = [sys.executable, str(Path(__file__).parent / script), str(folder), workers]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """What a build has said, once it has ended well."""
    said, _ = process.communicate()
    assert process.returncode == 0
    return said


def built(folder: Path, workers: str, script: str) -> dict[str, str]:
    """The bytes of a build that nothing disturbs. Skips as `demand_ray` does."""
    demand_ray(workers)
    with running(folder, workers, script) as process:
        ended(process)
    return bytes_of(folder / "out")


def demand_ray(workers: str) -> None:
    """Skips the test where Ray would do the work and is not installed."""
    if workers.startswith("ray"):
        pytest.importorskip("ray", reason="Ray is not installed")


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(path.parent.name), *descendants(int(path.parent.name))]
    return found


def workers_among(pids: list[int]) -> list[int]:
    """The processes of a pool, of these."""
    return [pid for pid in pids if "spawn_main" in _command_of(pid)]


def kill_worker(process: subprocess.Popen[str], workers: str) -> None:
    """Kills one that does a piece of the build just now; Ray's agents, whose death is the machine's, are left alone."""
    found: list[int] = []

    def at_work() -> list[int]:
        below = descendants(process.pid)
        return [p for p in below if "_run_on_one_core" in _command_of(p)] if "ray" in workers else workers_among(below)

    wait_until(lambda: bool(found.extend(at_work()) or found))
    os.kill(found[0], signal.SIGKILL)


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
