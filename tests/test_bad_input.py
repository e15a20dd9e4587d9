"""The commands as a careless shell runs them: closed streams, full disks, wrong paths, damaged files.

Every case ends in one sentence and exit code 2, and leaves nothing half-done behind.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mw_pipeline import __version__
from mw_pipeline.artifact import MANIFEST, read_artifact
from mw_pipeline.cli import COMMANDS, main
from mw_pipeline.errors import MwError
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.parser_files import read_json
from mw_pipeline.recipe import load_recipe
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Store
from mw_pipeline.train.log import EVALS, RUN, STEPS, TrainingLog, adopt_run
from mw_pipeline.verdict.runlog import read_run

MW = f"{sys.executable} -W ignore -m mw_pipeline"
POSTAL_LINE = "US\t{0:05d}\tTown {0}\tVermont\tVT\tWindham\t025\t\t\t42.8\t-72.5\t4\n"
BAN_HEADER = "id;numero;rep;nom_voie;code_postal;code_insee;nom_commune\n"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """What a shell line leaves on stdout and stderr; it never shows a traceback, not even one from the exit."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    return done


@pytest.fixture
def package(tiny_release: Path) -> Path:
    return tiny_release / "packages" / "en-us"


@pytest.fixture
def ban_csv(tmp_path: Path) -> Path:
    path = tmp_path / "ban.csv"
    path.write_text(BAN_HEADER + "1;12;;Rue Neuve;75001;75101;Paris\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"mw-pipeline {command}" in shown
    assert COMMANDS[command].split()[0] in shown


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mw-pipeline {__version__}\n"


def test_no_argument_is_bad_input_and_a_misspelt_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out == ""
    assert main(["prase"]) == 2
    assert "'prase' is not a command; did you mean 'parse'?" in capsys.readouterr().err


def test_no_package_is_needed_to_be_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "/nowhere/at/all"]) == 2
    assert "/nowhere/at/all: there is no such file or folder" in capsys.readouterr().err


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option of a command and of its subcommands."""
    for action in parser._actions:
        yield action
        for below in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            yield from options_of(below)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_path_is_refused_by_every_option_that_takes_one(command: str) -> None:
    parser = argparse.ArgumentParser(prog=command)
    importlib.import_module(f"mw_pipeline.cli.{command}").add_arguments(parser)

    for option in options_of(parser):
        if callable(option.type) and takes_paths(option.type):
            with pytest.raises(argparse.ArgumentTypeError, match=r"is empty, expected a path\. Write it out"):
                option.type("")


def takes_paths(kind: Callable[[str], object]) -> bool:
    try:
        return isinstance(kind("here"), Path)
    except (ValueError, argparse.ArgumentTypeError):
        return False


def test_an_empty_input_is_a_sentence_and_never_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["corpus", "--adapter", "ban", "--input", "", "--out", "out"])

    assert "argument --input: is empty, expected a path. Write it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("redirected", "code", "answers"),
    [
        ("--jsonl <&-", 0, 0),
        ("--jsonl < /dev/null", 0, 0),
        ("'12 Oak St' >&-", 0, 0),
        ("'12 Oak St' 2>&-", 0, 1),
        ("'12 Oak St'", 0, 1),
    ],
)
def test_a_closed_stream_is_an_empty_one(package: Path, redirected: str, code: int, answers: int) -> None:
    done = shell(f"{MW} parse --package {package} {redirected}")

    assert (done.returncode, done.stdout.count("\n")) == (code, answers)


@pytest.mark.parametrize("command", ["parse --package {} '12 Oak St'", "inspect {}"])
def test_a_full_disk_behind_stdout_is_told_in_a_sentence(package: Path, command: str) -> None:
    done = shell(f"{MW} {command.format(package)} > /dev/full")

    assert done.returncode == 2
    assert "error: no space left on device. Free some space" in done.stderr


def test_a_reader_who_leaves_early_ends_the_command_quietly(package: Path, tmp_path: Path) -> None:
    lines = tmp_path / "many.jsonl"
    lines.write_text("".join(f'{{"raw": "{n} Oak St"}}\n' for n in range(6000)))

    done = shell(f"{MW} parse --package {package} --jsonl < {lines} | head -n 1")

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["raw"] == "0 Oak St"


def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(package: Path, tmp_path: Path) -> None:
    lines = tmp_path / "marked.jsonl"
    lines.write_bytes(b'\xef\xbb\xbf{"raw": "12 Oak St"}\n' + b"[" * 100_000 + b'\n[]\n{"raw": null}\n')

    done = shell(f"{MW} parse --package {package} --jsonl < {lines}")

    assert done.returncode == 2
    assert json.loads(done.stdout)["raw"] == "12 Oak St"
    for reason in ("nested too deeply", "it is no object", "there is no text under raw", "3 lines were not answered"):
        assert reason in done.stderr


def corpus(ban_csv: Path, out: Path) -> int:
    return main(["corpus", "--adapter", "ban", "--input", str(ban_csv), "--out", str(out)])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (lambda folder: folder / "ban.csv", "ban.csv: is a file. Name a new folder"),
        (lambda folder: folder / "ban.csv" / "below", "ban.csv: file exists. Check the path"),
        (lambda folder: folder, "holds files already. Name a new folder"),
        (lambda folder: Path("/proc/nothing/can/be/made/here"), "no such file or directory. Check the path"),
    ],
)
def test_results_go_to_a_new_folder_or_nowhere(
    ban_csv: Path, capsys: pytest.CaptureFixture[str], place: Callable[[Path], Path], message: str
) -> None:
    before = sorted(ban_csv.parent.rglob("*"))

    assert corpus(ban_csv, place(ban_csv.parent)) == 2
    assert message in capsys.readouterr().err
    assert sorted(ban_csv.parent.rglob("*")) == before


def test_an_empty_folder_is_as_good_as_none(ban_csv: Path) -> None:
    out = ban_csv.parent / "out"
    out.mkdir()

    assert corpus(ban_csv, out) == 0
    assert (out / "waterfall.json").is_file()


def test_a_file_that_breaks_off_leaves_nothing_half_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    whole = gzip.compress("".join(map(POSTAL_LINE.format, range(90_000))).encode())
    arguments = ["corpus", "--adapter", "geonames-postal", "--out", str(tmp_path / "out"), "--input"]

    (raw / "cut.txt.gz").write_bytes(whole[:-1000])
    assert main([*arguments, str(raw / "cut.txt.gz")]) == 2
    assert "not readable to its end" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [raw]

    (raw / "whole.txt.gz").write_bytes(whole)
    assert main([*arguments, str(raw / "whole.txt.gz")]) == 0


def test_a_corpus_that_outgrows_its_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw.txt", tmp_path / "out"
    raw.write_text("".join(map(POSTAL_LINE.format, range(90_000))))
    command = f"{MW} corpus --adapter geonames-postal --input {raw} --out {out}"

    done = shell(f"ulimit -f 300; {command}")  # kibibytes a file

    assert (done.returncode, done.stdout) == (2, "")
    assert "file too large. Free some space, or name a folder on another disk" in done.stderr
    assert list(tmp_path.iterdir()) == [raw]
    assert shell(command).returncode == 0


def test_a_maker_that_fails_gives_its_room_back(tmp_path: Path) -> None:
    def make(out: Path) -> dict[str, int]:
        (out / "half").write_bytes(b"x" * 1000)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Store(tmp_path).build("thing", make=make)

    assert not [path for path in (tmp_path / "thing").rglob("*") if path.is_file()]


@pytest.mark.parametrize("url", ["nope://somewhere", "az://somewhere"])
def test_a_store_that_cannot_be_opened_is_named(url: str) -> None:
    with pytest.raises(MwError, match=f"the store '{url}' cannot be opened: .*Name a folder, or install"):
        Store(url)


def test_a_store_whose_url_lacks_a_slash_is_named_as_the_url_that_was_meant(tmp_path: Path) -> None:
    for make in (Store, lambda url: Place.of(store=url, project=str(tmp_path))):
        with pytest.raises(MwError, match=r"the store 's3:/bucket/mw' has one slash .* did you mean 's3://bucket/mw'"):
            make("s3:/bucket/mw")

    assert Place.of(store="./s3:/mw", project=str(tmp_path)).store.root == tmp_path / "s3:" / "mw"


DEEP = b"[" * 200_000
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gold": ("deep.json", lambda folder: load_golden([folder / "deep.json"])),
    "predictions": ("deep.json", lambda folder: read_predictions(folder / "deep.json", GoldenSet(()))),
    "steps of a run": ("steps.jsonl", read_run),
    "facts of a run": ("run.json", read_run),
    "artifact": (MANIFEST, read_artifact),
    "checkpoint": ("checkpoint.json", load_checkpoint),
    "package": ("package.json", lambda folder: read_json(folder / "package.json")),
    "log of a run to go on with": (STEPS, lambda folder: TrainingLog(folder).rows(STEPS)),
    "facts of a run to go on with": (RUN, lambda folder: TrainingLog(folder).read_run()),
    "recipe": ("deep.toml", lambda folder: load_recipe(folder / "deep.toml")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [DEEP + b"\n{}\n", b"\xff\xfe\x00nothing\n{}\n"], ids=["nested", "binary"])
def test_what_is_no_text_of_its_format_is_refused_in_a_sentence(tmp_path: Path, reader: str, content: bytes) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(b"a = " + content if name.endswith(".toml") else content)

    with pytest.raises(MwError, match=name) as refused:
        read(tmp_path)

    assert "\n" not in str(refused.value)


def test_a_run_without_its_facts_is_not_resumed(tmp_path: Path) -> None:
    former = tmp_path / "former"
    (former / "last").mkdir(parents=True)

    with pytest.raises(MwError, match=r"has no run\.json, so there is no run to resume"):
        adopt_run(former, tmp_path / "out")

    (former / RUN).write_text("{}")
    (tmp_path / "out").mkdir()
    adopt_run(former, tmp_path / "out")
    assert (tmp_path / "out" / RUN).is_file() and not (tmp_path / "out" / EVALS).exists()


@pytest.mark.parametrize("lost", ["package.json", "SHA256SUMS"])
def test_a_release_with_a_package_that_lost_its_head_is_not_sound(
    tiny_release: Path, tmp_path: Path, lost: str
) -> None:
    release = tmp_path / "release"
    shutil.copytree(tiny_release / "packages", release)
    assert inspect_path(release).sound
    (release / "en-us" / lost).unlink()

    found = inspect_path(release)

    assert found.facts == {"locales": ["en-us", "fr-fr"]}
    assert not found.sound and all(finding.startswith("en-us: ") for finding in found.findings)
    assert inspect_path(release / "en-us").kind == "package"


def test_one_damage_is_one_finding(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "package"
    shutil.copytree(package, copy)
    (copy / "model.onnx").write_bytes(b"")

    assert [finding.split(":")[0] for finding in inspect_path(copy).findings] == ["model.onnx"]
