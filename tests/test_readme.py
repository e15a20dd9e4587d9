"""Every command of the README runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mw_pipeline.cli import COMMANDS


def blocks(project: Path, language: str) -> list[str]:
    text = (project / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


@pytest.fixture
def checkout(project: Path, tiny_release: Path, tmp_path: Path) -> Path:
    """The files that the commands name, with a small package where `make demo` puts the real one."""
    for name in ("assets", "resources", "corpora", "recipes", "golden"):
        shutil.copytree(project / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tiny_release / "packages", tmp_path / "releases" / "demo")
    return tmp_path


@pytest.mark.slow
def test_every_shell_command_of_the_readme_runs(project: Path, checkout: Path) -> None:
    commands = [line for block in blocks(project, "sh") for line in block.splitlines() if line.strip()]
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command.replace("/tmp/mw-builtin", str(checkout / "builtin")))
        program = [sys.executable, "-m", "mw_pipeline"] if words[0] == "mw-pipeline" else [sys.executable]
        env = {**os.environ, "MW_PROJECT": str(checkout)}  # the code itself is that of another checkout
        done = subprocess.run(
            [*program, *words[1:]], capture_output=True, text=True, cwd=checkout, env=env, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout, command


def test_the_python_of_the_readme_runs(project: Path, checkout: Path) -> None:
    (script,) = blocks(project, "python")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=checkout, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


def test_every_link_and_file_of_the_readme_is_there(project: Path) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (project / target).is_file(), target
    (tree,) = blocks(project, "text")
    for name in re.findall(r"^(\w+/)", tree, flags=re.M):
        assert (project / name).is_dir(), name


def test_the_readme_names_every_command_and_every_page(project: Path) -> None:
    text = (project / "README.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if not re.search(rf"mw-pipeline {name}\b|and `{name}`", text)] == []
    assert [page.name for page in (project / "docs").glob("*.md") if page.name not in text] == []
