"""`parse`, `inspect` and `lineage` as a person or a pipe uses them."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import venv

import pytest

from mw_pipeline.cli import main


@pytest.fixture
def package(tiny_release) -> str:
    return str(tiny_release / "packages" / "en-us")


class Stdin(io.StringIO):
    """Text input with the bytes beneath that a pipe has."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buffer = io.BytesIO(data)


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_addresses_are_answered_one_json_line_each(package, capsys):
    assert main(["parse", "--package", package, "12 Oak St", "75001 Paris"]) == 0

    rows = lines_of(capsys.readouterr().out)
    assert [row["raw"] for row in rows] == ["12 Oak St", "75001 Paris"]
    assert all(set(row) == {"raw", "components", "spans", "truncated"} for row in rows)


def test_a_release_folder_and_a_locale_name_the_package(tiny_release, capsys):
    assert main(["parse", "--package", str(tiny_release / "packages"), "--locale", "fr-fr", "75001 Paris"]) == 0
    assert lines_of(capsys.readouterr().out)[0]["raw"] == "75001 Paris"


def test_json_lines_are_answered_in_order_and_bad_ones_reported_by_number(package, capsys, monkeypatch):
    lines = [
        b'{"raw": "12 Oak St"}',
        b"nonsense",
        b"",
        b'{"text": "x"}',
        b'{"raw": 7}',
        b'{"raw": "\xff"}',
        b'{"raw": ""}',
    ]
    monkeypatch.setattr(sys, "stdin", Stdin(b"\n".join(lines)))

    assert main(["parse", "--package", package, "--jsonl"]) == 2

    said = capsys.readouterr()
    assert [row["raw"] for row in lines_of(said.out)] == ["12 Oak St", ""]
    errors = said.err.splitlines()
    assert [json.loads(line)["line"] for line in errors[:-1]] == [2, 4, 5, 6]
    assert errors[-1] == "4 lines were not answered, the first is line 2"


def test_more_lines_than_one_portion_are_all_answered(package, capsys, monkeypatch):
    monkeypatch.setattr("mw_pipeline.cli.parse._TEXTS_AT_A_TIME", 3)
    monkeypatch.setattr(sys, "stdin", Stdin(b"".join(b'{"raw": "%d Oak"}\n' % n for n in range(10))))

    assert main(["parse", "--package", package, "--jsonl"]) == 0
    assert [row["raw"] for row in lines_of(capsys.readouterr().out)] == [f"{n} Oak" for n in range(10)]


def test_a_lone_surrogate_comes_back_as_its_escape(package, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(rb'{"raw": "12 \ud800 Oak \u0000 caf\u00e9"}'))

    assert main(["parse", "--package", package, "--jsonl"]) == 0

    out = capsys.readouterr().out
    assert lines_of(out)[0]["raw"] == "12 \ud800 Oak \x00 café"
    assert "café" in out


def test_candidates_stand_beside_the_best_parse(package, capsys):
    assert main(["parse", "--package", package, "--candidates", "3", "12 Oak St"]) == 0

    row = lines_of(capsys.readouterr().out)[0]
    assert len(row["candidates"]) == 3
    assert all(set(found) == {"probability", "components", "spans"} for found in row["candidates"])
    assert row["components"] in [found["components"] for found in row["candidates"]]


@pytest.mark.parametrize("texts", [[], ["12 Oak St"]])
def test_the_benchmark_prints_speed_and_no_parses(package, capsys, texts):
    assert main(["parse", "--package", package, "--benchmark", "200", *texts]) == 0

    found = lines_of(capsys.readouterr().out)[0]
    assert found["addresses"] == 200
    assert found["addresses_per_second"] > 0
    assert found["milliseconds_for_one"] > 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "there is nothing to parse. Give an address, or --jsonl"),
        (["--jsonl", "12 Oak"], "both addresses and --jsonl were given"),
        (["--benchmark", "9", "--candidates", "2"], "both --benchmark and --candidates were given"),
        (["--locale", "fr-fr", "12 Oak"], "is the package for 'en-us', not 'fr-fr'"),
    ],
)
def test_what_cannot_be_answered_is_bad_input_with_a_sentence(package, capsys, arguments, complaint):
    assert main(["parse", "--package", package, *arguments]) == 2

    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""


def test_zero_candidates_are_refused(package, capsys):
    with pytest.raises(SystemExit):
        main(["parse", "--package", package, "--candidates", "0", "12 Oak"])

    assert "'0' is not a whole number of at least 1" in capsys.readouterr().err


def test_a_damaged_package_is_bad_input_and_no_traceback(tiny_release, tmp_path, capsys):
    copy = shutil.copytree(tiny_release / "packages" / "en-us", tmp_path / "copy")
    (copy / "model.onnx").write_bytes(b"short")

    assert main(["parse", "--package", str(copy), "12 Oak"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_inspect_prints_json_and_a_sentence_for_people(package, capsys):
    assert main(["inspect", package]) == 0

    said = capsys.readouterr()
    assert json.loads(said.out)["sound"] is True
    assert said.err == f"{package}: package, sound\n"


def test_inspect_with_json_prints_nothing_else(package, capsys):
    assert main(["inspect", package, "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_inspect_of_a_broken_file_is_bad_input_and_lists_what_is_wrong(tiny_release, tmp_path, capsys):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes((tiny_release / "best" / "model.safetensors").read_bytes()[:1024])

    assert main(["inspect", str(weights)]) == 2

    said = capsys.readouterr()
    assert json.loads(said.out)["findings"]
    assert "1 findings" in said.err


def test_lineage_prints_the_chain_of_a_package(package, capsys):
    assert main(["lineage", package]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"roots", "nodes"}


def test_lineage_of_a_folder_without_one_is_bad_input(tmp_path, capsys):
    assert main(["lineage", str(tmp_path)]) == 2
    assert "has neither lineage.json nor manifest.json" in capsys.readouterr().err


@pytest.mark.slow
def test_the_wheel_alone_parses_and_inspects_where_nothing_of_training_is_installed(project, package, tmp_path):
    source, home = tmp_path / "source", tmp_path / "venv"
    shutil.copytree(project / "mw_pipeline", source / "mw_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for path in project.iterdir():
        if path.is_file():
            shutil.copyfile(path, source / path.name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source], check=True)
    venv.create(home, with_pip=False)
    subprocess.run([*pip, "--python", home / "bin" / "python", "install", *tmp_path.glob("*.whl")], check=True)

    def run(*arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        command = [home / "bin" / "mw-pipeline", *arguments]
        said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        return said.stdout

    assert json.loads(run("parse", "--package", package, "12 rue de la République"))["raw"] == "12 rue de la République"
    assert json.loads(run("inspect", package))["sound"] is True
    installed = {path.name.partition("-")[0] for path in home.rglob("*.dist-info")}
    assert {"mw_pipeline", "onnxruntime", "sentencepiece", "numpy"} <= installed
    assert not installed & {"torch", "onnx", "pyarrow", "pydantic", "dagster", "duckdb", "safetensors"}
