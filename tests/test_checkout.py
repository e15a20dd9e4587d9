"""A checkout is found from its code, wherever someone stands, whatever it is called, however git writes its lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graph_runs import ROOT, environment
from tiny_project import write_project

from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import load_golden
from mw_pipeline.stages.place import Place, checkout_of

NAMED = ("MW_PROJECT", "MW_STORE", "MW_DATA")
PARTITIONS = (
    "from assets import partitions as p; from resources.place import PlaceResource; here = PlaceResource().open(); "
    "keys = [each.get_partition_keys() for each in (p.sources, p.recipes, p.campaigns)]; "
    "print(here.store.url, here.data, *keys)"
)
CODE = ("assets", "resources", "mw_pipeline", "Makefile", "dagster.yaml", "workspace.yaml")


def unnamed(**more: str) -> dict[str, str]:
    """An environment in which nobody has named a project."""
    return {name: value for name, value in os.environ.items() if name not in NAMED} | more


def python(*arguments: str, cwd: Path, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, cwd=cwd, env=unnamed(PYTHONPATH=str(path)), capture_output=True, text=True)


def test_the_workspace_has_the_same_partitions_and_store_from_any_folder(tmp_path: Path) -> None:
    from_here, from_elsewhere = (python("-c", PARTITIONS, cwd=folder) for folder in (ROOT, tmp_path))

    assert from_here.returncode == 0, from_here.stderr
    assert from_elsewhere.stdout == from_here.stdout
    assert from_here.stdout.startswith(f"{ROOT / '.mw'} {ROOT / 'data'} [")
    assert "'demo'" in from_here.stdout


def test_the_checkout_of_a_file_is_the_nearest_folder_around_it_with_recipes_and_corpora(tmp_path: Path) -> None:
    code = tmp_path / "clone" / "mw_pipeline" / "stages" / "place.py"
    code.parent.mkdir(parents=True)
    code.touch()
    assert checkout_of(code) is None

    (tmp_path / "clone" / "recipes").mkdir()
    assert checkout_of(code) is None
    (tmp_path / "clone" / "corpora").mkdir()
    assert checkout_of(code) == tmp_path / "clone"
    (tmp_path / "linked.py").symlink_to(code)
    assert checkout_of(tmp_path / "linked.py") == tmp_path / "clone"


def test_a_named_project_is_the_one_that_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert Place.of().project == ROOT

    monkeypatch.setenv("MW_PROJECT", str(tmp_path / "mine"))
    assert Place.of().project == tmp_path / "mine"
    assert Place.of(project=str(tmp_path / "other")).project == tmp_path / "other"


AUDIT = ("-m", "mw_pipeline", "audit", "--recipe", "no-such-recipe")


def test_a_command_from_another_folder_says_which_project_it_works_on(tmp_path: Path) -> None:
    elsewhere, inside = python(*AUDIT, cwd=tmp_path), python(*AUDIT, cwd=ROOT / "docs")

    said = f"project {ROOT} (where this mw_pipeline lies), store {ROOT / '.mw'}; MW_PROJECT and MW_STORE name others\n"
    assert elsewhere.stderr.startswith(said)
    assert "project " not in inside.stderr
    assert elsewhere.stderr.removeprefix(said) == inside.stderr != ""


def test_an_installed_command_works_where_someone_stands_and_says_so(tmp_path: Path, project: Path) -> None:
    site = tmp_path / "site-packages"
    shutil.copytree(ROOT / "mw_pipeline", site / "mw_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    folder = write_project(tmp_path / "mine", golden=project / "golden")

    done = python(*AUDIT, cwd=folder, path=site)

    assert done.stderr.startswith(f"project {folder} (where you stand, as this mw_pipeline was installed without ")
    assert "did you mean 'demo'?" in done.stderr


@pytest.fixture
def clone(tmp_path: Path, project: Path) -> Path:
    """The code, the Makefile and a tiny project in a folder whose name has a blank, a quote and another letter."""
    folder = write_project(tmp_path / "mein klön's", golden=project / "golden")
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, words in (("python", ""), ("dagster", "-m dagster")):
        (binaries / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (binaries / name).chmod(0o755)
    return folder


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A target of the Makefile, where the installation is up to date."""
    command = ["make", "--no-print-directory", "-o", ".venv/.installed", *words]
    return subprocess.run(command, cwd=folder, env=unnamed(PYTHONPATH=str(folder)), capture_output=True, text=True)


def test_no_target_names_a_path_that_a_blank_would_part(clone: Path) -> None:
    for target in ("demo", "ui", "test", "test-fast", "lint", "clean"):
        planned = make(clone, "-n", target)
        assert planned.returncode == 0, planned.stderr
        assert "klön" not in planned.stdout, target


def test_a_folder_of_dagsters_records_is_made_inside_a_clone_whose_name_has_a_blank(clone: Path) -> None:
    done = make(clone, ".dagster/dagster.yaml")

    assert done.returncode == 0, done.stderr
    assert (clone / ".dagster" / "dagster.yaml").read_bytes() == (ROOT / "dagster.yaml").read_bytes()
    assert [path.name for path in clone.parent.iterdir()] == [clone.name]


@pytest.mark.slow
def test_make_demo_runs_in_a_clone_whose_name_has_a_blank_and_writes_nothing_outside(clone: Path) -> None:
    done = make(clone, "demo", "MW_DATA=.")

    assert done.returncode == 0, done.stderr[-3000:]
    assert (clone / "releases" / "demo" / "en-us" / "package.json").is_file()
    assert (clone / ".mw" / "smoke_checkpoint").is_dir()
    assert [path.name for path in clone.parent.iterdir()] == [clone.name]


@pytest.mark.slow
def test_the_workspace_of_a_clone_whose_name_has_a_blank_loads_from_another_folder(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(clone / "workspace.yaml")]
    env = unnamed(PYTHONWARNINGS="ignore", DAGSTER_HOME=environment(clone)["DAGSTER_HOME"])

    done = subprocess.run(command, cwd=tmp_path / "elsewhere", env=env, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout


def git(folder: Path, *words: str) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


def windows_checkout(tmp_path: Path, *files: str) -> Path:
    """The gold and some more files of this project as a git that wants CRLF checks them out."""
    origin = tmp_path / "origin"
    origin.mkdir()
    shutil.copytree(ROOT / "golden", origin / "golden")
    for name in files:
        shutil.copyfile(ROOT / name, origin / name)
    git(origin, "init", "-q")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "everything")
    git(tmp_path, "clone", "-q", str(origin), "checkout")
    return tmp_path / "checkout"


def gold_of(folder: Path) -> list[Path]:
    return sorted((folder / "golden").glob("*.jsonl"))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_with_other_line_ends_has_the_same_bytes(tmp_path: Path) -> None:
    checkout = windows_checkout(tmp_path, ".gitattributes", "pyproject.toml")

    assert [path.read_bytes() for path in gold_of(checkout)] == [path.read_bytes() for path in gold_of(ROOT)]
    assert (checkout / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    assert load_golden(gold_of(checkout)).rows


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_without_git_attributes_the_gold_of_such_a_checkout_is_stale(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="sha256"):
        load_golden(gold_of(windows_checkout(tmp_path)))


def test_every_file_of_this_checkout_that_is_text_ends_its_lines_with_lf() -> None:
    code = [path for folder in ("assets", "mw_pipeline", "golden", "recipes") for path in (ROOT / folder).rglob("*.*")]

    assert [path for path in code if path.suffix != ".pyc" and path.is_file() and b"\r\n" in path.read_bytes()] == []
